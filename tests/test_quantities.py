"""Numbers with units: what is read, what is written, and that the one is the other's inverse to the digits shown."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convsmith.errors import QuantityError
from convsmith.quantities import (
    format_bytes,
    format_count,
    format_list,
    format_percent,
    format_probability,
    format_seconds,
    format_shape,
    parse_bytes,
    parse_count,
    parse_rounded,
    parse_seconds,
    parse_shape,
)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("10M", 10_000_000),
        ("1.5G", 1_500_000_000),
        ("1.5b", 1_500_000_000),
        ("4.3G", 4_300_000_000),
        ("200_000", 200_000),
        (" 12 k ", 12_000),
        ("1e6", 1_000_000),
        (".5k", 500),
        (7, 7),
        (1e6, 1_000_000),
        (1e22, 10**22),
        ("9007199254740993", 9007199254740993),
    ],
)
def test_counts_are_read(text, count):
    assert parse_count(text) == count


@pytest.mark.parametrize(
    ("text", "count", "margin"),
    [
        ("4.11G", 4_110_000_000, 5_000_000),
        (" 4.11 G ", 4_110_000_000, 5_000_000),
        ("4.1e9", 4_100_000_000, 50_000_000),
        ("41E8", 4_100_000_000, 50_000_000),
        ("4e3M", 4_000_000_000, 500_000_000),
        ("2_5M", 25_000_000, 500_000),
        (".5k", 500, 50),
        ("15000e-3k", 15_000, 0),
        ("4089184256", 4_089_184_256, 0),
    ],
)
def test_rounded_counts_know_half_a_unit_of_their_last_digit(text, count, margin):
    assert parse_rounded(text) == (count, margin)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("3ms", 0.003),
        ("90s", 90),
        ("20min", 1200),
        ("20m", 1200),
        ("1.5h", 5400),
        ("250us", 0.00025),
        (2, 2),
        ("2 sec", 2),
    ],
)
def test_durations_are_read(text, seconds):
    assert parse_seconds(text) == pytest.approx(seconds, rel=1e-15)


def test_a_bare_duration_has_the_unit_asked_for():
    assert parse_seconds("3", default_unit="ms") == 0.003
    assert parse_seconds("3s", default_unit="ms") == 3


@pytest.mark.parametrize(
    ("text", "size"),
    [("500kB", 500_000), ("6MiB", 6 * 2**20), ("1.5 GiB", 3 * 2**29), ("17", 17), ("17B", 17), ("0", 0), (2048, 2048)],
)
def test_sizes_are_read(text, size):
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["3x224x160", "3X224X160", "3,224,160", "3×224×160", " 3 x 224 x 160 ", [3, 224, 160]])
def test_shapes_are_read(text):
    assert parse_shape(text, rank=3) == (3, 224, 160)


@pytest.mark.parametrize(
    ("parse", "text", "message"),
    [
        (parse_count, "", "macs must be a non-negative number"),
        (parse_count, "many", "macs must be a non-negative number"),
        (parse_count, "-3", "macs must be a non-negative number"),
        (parse_count, "1,5M", "macs must be a non-negative number"),
        (parse_count, "1M2", "macs must be a non-negative number"),
        (parse_count, float("nan"), "macs must be a non-negative number"),
        (parse_count, "10Q", "unit 'Q' of macs is not one of k, m, g, b, t"),
        (parse_count, "10ms", "unit 'ms' of macs"),
        (parse_count, "0", "macs must be at least 1"),
        (parse_count, "0.4", "macs must be at least 1"),
        (parse_count, "1e999", "macs is too large"),
        (parse_count, "1e308G", "macs is too large"),
        (parse_count, "9" * 5000, "macs is too large"),
        (parse_seconds, "soon", "macs must be a non-negative number"),
        (parse_seconds, "3 days", "unit 'days' of macs is not one of us, ms, s"),
        (parse_seconds, "0s", "macs must be above zero"),
        (parse_seconds, "1e999", "macs is too large"),
        (parse_bytes, "big", "macs must be a non-negative number"),
        (parse_bytes, "3TB", "unit 'TB' of macs is not one of b, kb"),
        (parse_bytes, "1e999", "macs is too large"),
        (parse_shape, "", "macs must be some positive integers joined by x"),
        (parse_shape, [], "macs must be some positive integers joined by x"),
        (parse_shape, "3x", "macs must be some positive integers"),
        (parse_shape, "3x0x4", "macs must be some positive integers"),
        (parse_shape, "3x-2", "macs must be some positive integers"),
        (parse_shape, "3x²", "macs must be some positive integers"),
        (parse_shape, [3, 2.5], "macs must be some positive integers"),
    ],
)
def test_what_is_no_quantity_is_refused(parse, text, message):
    with pytest.raises(QuantityError, match=f"^{message}") as caught:
        parse(text, "macs")
    assert repr(text)[:100] in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_shape_of_another_rank_is_refused():
    with pytest.raises(QuantityError, match=r"^input must be 3 positive integers joined by x \(received '224x224'\)"):
        parse_shape("224x224", "input", rank=3)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (4_089_184_256, "4.089G"),
        (25_557_032, "25.56M"),
        (999, "999"),
        (1000, "1.000k"),
        (9_999.6, "10.00k"),
        (99_996, "100.0k"),
        (999_949, "999.9k"),
        (999_950, "1.000M"),
        (0, "0"),
        (-25_557_032, "-25.56M"),
        (1.5e12, "1.500T"),
    ],
)
def test_counts_are_written(value, text):
    assert format_count(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(102_228_128, "97.49 MiB"), (0, "0 B"), (1023, "1023 B"), (1024, "1.000 KiB"), (5 * 2**30, "5.000 GiB")],
)
def test_sizes_are_written(value, text):
    assert format_bytes(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0032, "3.20 ms"),
        (0.25, "250 ms"),
        (0.9999, "1.00 s"),
        (41, "41.0 s"),
        (59.96, "1 min"),
        (750, "12 min 30 s"),
        (3599.7, "1 h"),
        (7500, "2 h 5 min"),
    ],
)
def test_durations_are_written(value, text):
    assert format_seconds(value) == text


def test_fractions_and_shapes_are_written():
    assert format_percent(0.9753) == "97.5 %"
    assert format_percent(0.97534, digits=2) == "97.53 %"
    assert format_percent(0.131, signed=True) == "+13.1 %"
    assert format_percent(-0.5, 0, signed=True) == "-50 %"
    assert format_shape((3, 224, 160)) == "3x224x160"


def test_a_probability_is_never_said_to_be_none_or_all():
    assert format_probability(0.9753) == "97.5 %"
    assert [format_probability(value) for value in (1.0, 0.9996, 0.9994)] == ["> 99.9 %", "> 99.9 %", "99.9 %"]
    assert [format_probability(value) for value in (0.0, 0.0004, 0.0006)] == ["< 0.1 %", "< 0.1 %", "0.1 %"]


@given(st.integers(1, 10**15 - 1))
def test_a_written_count_reads_back_to_four_digits(value):
    assert parse_count(format_count(value)) == pytest.approx(value, rel=5.001e-4)


@given(st.integers(0, 2**40 - 1))
def test_a_written_size_reads_back_to_four_digits(value):
    assert parse_bytes(format_bytes(value)) == pytest.approx(value, rel=5.001e-4, abs=1)  # and to whole bytes


@given(st.floats(0.001, 59))
def test_a_written_duration_reads_back_to_three_digits(value):
    assert parse_seconds(format_seconds(value)) == pytest.approx(value, rel=5.001e-3)


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=5))
def test_a_written_shape_reads_back(shape):
    assert parse_shape(format_shape(shape)) == tuple(shape)


@given(st.text(max_size=12))
def test_any_text_is_a_quantity_or_refused(text):
    for parse in (parse_count, parse_seconds, parse_bytes, parse_shape):
        with suppress(QuantityError):
            parse(text)


@pytest.mark.parametrize(
    ("parts", "text"), [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")]
)
def test_words_in_a_row(parts, text):
    assert format_list(parts) == text
