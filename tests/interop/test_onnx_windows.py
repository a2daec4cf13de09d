from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from onnx import ModelProto

from convsmith.interop.onnx_reader import read_onnx
from tests.interop.helpers import by_runtime
from tests.interop.onnx_helpers import (
    Array,
    by_torch,
    disagreement,
    file,
    node,
    numbers,
)

# Any attributes of convolutions and pools

KINDS = ("Conv", "ConvTranspose", "MaxPool", "AveragePool")
REASONS = ("dilated", "padding wider than half", "windows that reach past", "kernel_size does not fit")


@st.composite
def windows(draw: Callable[..., Any]) -> tuple[ModelProto, tuple[int, ...]]:
    axes = draw(st.sampled_from([1, 2, 2]))

    def per_axis(low: int, high: int) -> list[int]:
        return draw(st.lists(st.integers(low, high), min_size=axes, max_size=axes))

    kind = draw(st.sampled_from(KINDS))
    pool = kind.endswith("Pool")
    attributes: dict[str, Any] = {"kernel_shape": per_axis(1, 4), "strides": per_axis(1, 3)}
    mode = draw(st.sampled_from(["NOTSET", "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"]))
    if mode == "NOTSET":
        attributes["pads"] = per_axis(0, 3) + per_axis(0, 3)
    else:
        attributes["auto_pad"] = mode
    if not (pool and mode.startswith("SAME")):  # there onnxruntime forgets the dilation
        attributes["dilations"] = per_axis(1, 3)
    if pool:
        attributes["ceil_mode"] = draw(st.integers(0, 1))
    if kind == "AveragePool":
        attributes["count_include_pad"] = draw(st.integers(0, 1))
    stored: dict[str, Array] = {}
    if not pool:
        attributes["group"] = draw(st.sampled_from([1, 2, 4]))
        lead = (8, 4 // attributes["group"]) if kind == "Conv" else (4, 2)
        stored["w"] = numbers(*lead, *attributes["kernel_shape"])
    if kind == "ConvTranspose" and draw(st.booleans()):
        attributes["output_padding"] = per_axis(0, 1)
    if kind == "ConvTranspose" and draw(st.booleans()):
        attributes["output_shape"] = per_axis(3, 20)
    shape = (1, 4, *per_axis(3, 9))
    return file(21, node(kind, "x" if pool else "x w", **attributes), shape=shape, **stored), shape


def check_windows(case: tuple[ModelProto, tuple[int, ...]]) -> None:
    model, shape = case
    try:
        want = by_runtime(model, [numbers(*shape)])[0]
    except Exception:  # onnxruntime does not take every combination
        want = np.empty(0)
    assume(want.size)
    reading = read_onnx(model)
    if reading.unknown:
        assert any(reason in reading.unknown[0].function for reason in REASONS)
        return
    got = by_torch(reading, [numbers(*shape)])[0]
    assert got.shape == want.shape == reading.graph.types[reading.graph.outputs[0]].shape
    assert np.abs(got - want).max() <= 1e-5 * np.abs(want).max()


@given(windows())
@settings(max_examples=120)
def test_any_window_gives_what_onnxruntime_gives(case: tuple[ModelProto, tuple[int, ...]]) -> None:
    check_windows(case)


@pytest.mark.parametrize("mode", ["SAME_UPPER", "SAME_LOWER"])
def test_a_mean_whose_strides_leave_out_more_than_a_pixel_crops_as_onnxruntime_crops(mode: str) -> None:
    model = file(21, node("AveragePool", "x", kernel_shape=[1, 1], strides=[3, 4], auto_pad=mode), shape=(1, 4, 6, 8))
    assert disagreement(read_onnx(model), model, [numbers(1, 4, 6, 8)]) < 1e-6


@pytest.mark.slow
@given(windows())
@settings(max_examples=1000)
def test_many_windows_give_what_onnxruntime_gives(case: tuple[ModelProto, tuple[int, ...]]) -> None:
    check_windows(case)
