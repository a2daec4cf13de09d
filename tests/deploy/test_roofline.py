"""Times from graphs: what is counted, what a fit finds, what an estimate says, and what is kept on disk."""

from __future__ import annotations

import dataclasses
import json
import random
import statistics

import pytest

from convsmith.deploy import calibrate
from convsmith.deploy.calibrate import PROFILER, Equation, fit_prices, hold_out
from convsmith.deploy.calibration import (
    Calibration,
    CalibrationError,
    calibration_path,
    read_calibration,
    this_machine,
    write_calibration,
)
from convsmith.deploy.kernels import plan_kernels
from convsmith.deploy.roofline import RUN, estimate, kernel_works, latency_of, price
from convsmith.deploy.trials import make_trial
from convsmith.deploy.work import Hardware, count_work
from convsmith.design import lower, zoo
from convsmith.ir import Builder, TensorType
from convsmith.ops import Concat, Conv2d
from convsmith.scaling.axes import Factors, scale

HARDWARE = Hardware(8, (2**15, 2**19, 2**25))
TRIALS = range(48)


@pytest.fixture(scope="module")
def equations():
    """Trial networks timed on a machine whose prices are known: each name's own, spread over an order of magnitude."""
    found = []
    for number in TRIALS:
        works = [work for _, work in kernel_works(make_trial(number, HARDWARE), HARDWARE)]
        for work in works:
            found.append(timed({**work, PROFILER: 1.0}, number, whole=False))
        total = {name: sum(work.get(name, 0.0) for work in works) for name in {name for work in works for name in work}}
        found.append(timed({**total, RUN: 1.0}, number, whole=True))
    return found


def timed(work, number, *, whole):
    return Equation(work, price(work, {name: planted(name) for name in work}), number, whole)


def planted(name: str) -> float:
    return random.Random(name).uniform(1, 10) * (1e-6 if name.endswith(("calls", "groups")) else 1e-10)


def synthetic() -> Calibration:
    names = {name for n in TRIALS for _, work in kernel_works(make_trial(n, HARDWARE), HARDWARE) for name in work}
    prices = {name: planted(name) for name in sorted(names)}
    return Calibration(this_machine(1), HARDWARE, prices, (0.8, 0.9, 1.0, 1.05, 1.3))


@pytest.mark.parametrize("padding", [0, 1, 2])
@pytest.mark.parametrize(("kernel", "stride", "channels", "filters", "groups"), [
    (3, 1, 16, 40, 1), (3, 2, 32, 64, 2), (5, 1, 8, 8, 1), (7, 3, 24, 96, 1), (3, 1, 3, 32, 1),
])  # fmt: skip
def test_the_counted_vectors_are_the_multiply_adds_on_real_pixels(kernel, stride, channels, filters, groups, padding):
    net, size = Builder("one"), (13, 18)
    x = net.input(TensorType((1, channels, *size)))
    op = Conv2d(
        channels, filters, (kernel, kernel), (stride, stride), ((padding, padding), (padding, padding)), groups=groups
    )
    works = kernel_works(net.graph(net.add(op, x, name="conv")), HARDWARE)
    work = {name.split(": ")[1]: amount for kernel, work in works if kernel.op is op for name, amount in work.items()}
    taps = 1
    for length in size:  # brute force: every tap of every output along an axis
        starts = range(-padding, length + padding - kernel + 1, stride)
        taps *= sum(0 <= start + tap < length for start in starts for tap in range(kernel))
    assert (work.get("vectors", 0) + work.get("edge filters", 0)) * 8 == taps * filters * channels // groups


def test_channels_that_fill_half_a_tile_are_waited_for():
    def waits(filters: int) -> float:
        net = Builder("one")
        x = net.input(TensorType((1, 32, 12, 12)))
        graph = net.graph(net.add(Conv2d(32, filters, (1, 1)), x, name="conv"))
        return sum(work.get("pointwise: waits", 0.0) for _, work in kernel_works(graph, HARDWARE))

    assert waits(32) == 0
    assert waits(8) == 48 * 32 * (8 - 3)  # 48 tiles of three outputs, 32 steps each, three sums in flight of eight
    assert waits(40) == waits(8)


@pytest.mark.slow
def test_a_fit_finds_the_prices_of_a_machine_that_keeps_to_the_model(equations):
    prices = fit_prices(equations)
    for name in ("dense: vectors", "pointwise: vectors", "depthwise: tiles", "SiLU: elements", "in passing: ReLU6"):
        assert prices[name] == pytest.approx(planted(name), rel=0.01)
    for name in zoo.names():
        for _, work in kernel_works(lower(zoo.load(name)), HARDWARE):
            known = {part: planted(part) for part in work if part in prices}
            assert price(work, prices) == pytest.approx(price(work, known), rel=0.02)
    ratios = hold_out(equations)
    assert len(ratios) == len(TRIALS)
    assert statistics.median(abs(ratio - 1) for ratio in ratios) < 0.01


@pytest.mark.slow
def test_other_programs_that_slow_down_a_tenth_of_the_kernels_do_not_move_the_prices_much(equations):
    rng = random.Random(0)
    disturbed = [
        dataclasses.replace(equation, seconds=equation.seconds * (2.0 if rng.random() < 0.1 else 1.0))
        for equation in equations
    ]
    prices, clean = fit_prices(disturbed), fit_prices(equations)
    for name in ("resnet50", "mobilenet-v2"):
        works = [work for _, work in kernel_works(lower(zoo.load(name)), HARDWARE)]
        expected = sum(price(work, clean) for work in works)
        assert sum(price(work, prices) for work in works) == pytest.approx(expected, rel=0.05)


def test_prices_are_never_negative(equations):
    assert min(fit_prices(equations[:400]).values()) >= 0


@pytest.mark.slow
def test_the_trials_have_some_of_every_work_of_the_zoo():
    known = set(synthetic().seconds)
    for name in zoo.names():
        for _, work in kernel_works(lower(zoo.load(name)), HARDWARE):
            assert set(work) <= known, name


@pytest.mark.parametrize("name", ["resnet18", "mobilenet-v2", "efficientnet-b0", "vgg16"])
def test_more_work_takes_longer(name):
    base, calibration = zoo.load(name), synthetic()
    for axis, factors in (("width", (0.5, 1, 1.5, 2)), ("depth", (1, 2, 3)), ("resolution", (0.5, 1, 1.5, 2))):
        times = [estimate(lower(scale(base, Factors(**{axis: factor}))), calibration).seconds for factor in factors]
        assert times == sorted(times)
        assert times[-1] > 1.5 * times[0]


def test_an_estimate_adds_up_over_the_layers_and_lies_in_its_interval():
    graph, calibration = lower(zoo.load("efficientnet-b0")), synthetic()
    guess = estimate(graph, calibration)
    assert list(guess.per_layer) == [node.name for node in graph.nodes]
    assert sum(guess.per_layer.values()) == pytest.approx(guess.seconds)
    assert guess.per_layer["stem.norm"] == 0  # folded into the convolution
    assert guess.low < guess.seconds < guess.high
    assert (guess.low, guess.high) == pytest.approx((0.82 * guess.seconds, 1.25 * guess.seconds))
    assert guess.error == pytest.approx(1 / 0.9 - 1)
    assert json.loads(json.dumps(guess.to_dict()))["seconds"] == guess.seconds


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CONVSMITH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_what_is_kept_comes_back_the_same(cache):
    calibration = synthetic()
    path = write_calibration(calibration)
    assert path.is_relative_to(cache)
    assert read_calibration() == calibration
    graph = lower(zoo.load("resnet18"))
    assert latency_of(graph) == estimate(graph, calibration)
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_without_a_calibration_the_remedy_is_named(cache):
    with pytest.raises(CalibrationError, match=r"run `convsmith probe`$"):
        latency_of(lower(zoo.load("resnet18")))
    write_calibration(synthetic())
    with pytest.raises(CalibrationError, match=r"run `convsmith probe --threads 2`$"):
        latency_of(lower(zoo.load("resnet18")), threads=2)


def test_the_calibration_of_another_machine_is_refused(cache):
    here = synthetic()
    path = write_calibration(dataclasses.replace(here, machine=dataclasses.replace(here.machine, cpu="Another 9000")))
    assert path != calibration_path(here.machine)
    with pytest.raises(CalibrationError, match=r"has not been measured"):
        read_calibration()
    path.rename(calibration_path(here.machine))
    with pytest.raises(CalibrationError, match=r"another machine.*Another 9000.*convsmith probe"):
        read_calibration()


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: "[]",
        lambda text: text.replace('"ratios"', '"rations"'),
        lambda text: text.replace("1.3", "NaN"),
        lambda text: text.replace("calibration/2", "calibration/1"),
        lambda text: text.replace('"block": 8', '"block": "many"'),
    ],
)
def test_a_damaged_calibration_is_one_clear_line(cache, damage):
    path = write_calibration(synthetic())
    path.write_text(damage(path.read_text()))
    with pytest.raises(CalibrationError, match=r"cannot be read; run `convsmith probe`$") as caught:
        read_calibration()
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)


@pytest.mark.slow
def test_a_real_calibration_prices_what_it_timed(monkeypatch):
    monkeypatch.setattr(calibrate, "MIN_TRIALS", 16)
    shares = []
    found = calibrate.calibrate(seconds=0.1, progress=shares.append)
    assert found.machine == this_machine(1)
    assert len(found.ratios) == 16
    assert min(found.seconds.values()) >= 0
    works = [work for _, work in kernel_works(make_trial(1, found.hardware), found.hardware)]
    assert sum(price(work, found.seconds) for work in works) > 0
    assert shares == sorted(shares)
    assert 0 <= shares[0] <= shares[-1] <= 1


def test_an_operator_without_rules_of_its_own_is_priced_by_what_it_moves():
    net = Builder("join")
    x = net.input(TensorType((1, 8, 10, 10)))
    graph = net.graph(net.add(Concat(), x, x, name="join"))
    (kernel,) = plan_kernels(graph, HARDWARE.block)
    assert count_work(kernel, HARDWARE, 0) == {"move: calls": 1, "move: bytes": 4 * 4 * 8 * 10 * 10}
