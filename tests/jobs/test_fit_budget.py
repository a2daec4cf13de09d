"""What a budget of bytes and milliseconds promises: sizes before training, times before the finals."""

from __future__ import annotations

import dataclasses
import itertools
import re

import numpy as np
import pytest
from jobs_digits import TINY

from convsmith.data import Normalisation, open_images, split_images
from convsmith.deploy.latency import Latency
from convsmith.design import lower
from convsmith.design.toml_file import parse_design
from convsmith.errors import BudgetError, QuantityError
from convsmith.interop.torch_module import build
from convsmith.jobs import fit_entry
from convsmith.jobs.export import write_onnx_file
from convsmith.jobs.export_form import ExportForm
from convsmith.jobs.finish import finish_run
from convsmith.jobs.fit import fit
from convsmith.jobs.fit_budget import Allowance, account, check_latency, check_memory, corrected
from convsmith.jobs.fit_entry import Entry
from convsmith.jobs.preparation import Preparation
from convsmith.jobs.run_folder import RunFolder, TrainedNetwork
from convsmith.jobs.settle import Settler
from convsmith.scaling import Limits, Measure, price
from convsmith.scaling.axes import total_depth
from convsmith.search.space import Space, make_field
from convsmith.search.space_file import default_space
from convsmith.training.initialise import initialise


@pytest.fixture(scope="module")
def digits():
    return open_images("digits")


@pytest.fixture(scope="module")
def form(digits):
    return ExportForm(digits, Normalisation.of(digits, split_images(digits, seed=0).train))


def written(digits, candidate, path):
    """The bytes of the file of a network with trained-like weights, by the way that every run takes."""
    graph = lower(candidate.design)
    module = initialise(build(graph), 3).eval()
    normalisation = Normalisation.of(digits, split_images(digits, seed=0).train)
    preparation = Preparation.of(digits, candidate.design.input[1], normalisation)
    network = TrainedNetwork(candidate.design, graph, module, digits.classes, preparation)
    write_onnx_file(network, path, digits.pixels[:4])
    return path.stat().st_size


@pytest.mark.slow
def test_the_size_of_a_file_is_known_to_the_byte_before_training(digits, form, tmp_path):
    limits = Allowance(file_size=60_000).limits(lambda: form)
    field = make_field(Space(limits, 1, 8, 10), 8, seed=0)
    assert len(field.candidates) > 8
    for candidate in field.candidates:
        size = written(digits, candidate, tmp_path / "model.onnx")
        assert candidate.costs["file size"] == size
        assert 0.97 * 60_000 <= size <= 60_000
        assert abs(form.about(candidate.design) - size) <= 200


def network_seconds(design):
    """A time that grows with the network, in place of a measured one."""
    cost = price(design)
    return 2e-6 * total_depth(design) + 1e-9 * cost.macs + 3e-9 * cost.params


class FakeStand:
    """A machine on which some kinds of networks take longer than predicted."""

    threads = 1

    def __init__(self, factor):
        self.factor = factor
        self.timed = []

    def measure(self, designs):
        self.timed.append(list(designs))
        return [Latency(t, t, t, t, 1, 50, "onnxruntime 1") for t in (1e3 * self.seconds(d) for d in designs)]

    def seconds(self, design):
        return network_seconds(design) * self.factor(design)


def limited(seconds):
    return Limits(others=(Measure("latency", seconds, network_seconds, str, macs=1_000_000),))


@pytest.mark.slow
@pytest.mark.parametrize("factor", [0.3, 0.9, 1.0, 1.05, 1.4, 3.0])
def test_every_finalist_keeps_the_latency_as_measured_and_fills_it(factor):
    limits = limited(1e-3)
    field = make_field(Space(limits, 3, 32, 10), 6, seed=0).candidates
    stand, told = FakeStand(lambda design: factor), []
    entering = Settler(stand, limits, 4, told.append)(field)
    assert len(entering) == len(field)
    for before, after in zip(field, entering, strict=True):
        assert after.seconds == pytest.approx(stand.seconds(after.design))
        assert after.seconds <= 1e-3
        assert (after.origin, after.shares) == (before.origin, before.shares)
        assert after.seconds >= 0.9e-3
        if 0.95e-3 <= stand.seconds(before.design) <= 1e-3:
            assert after.key == before.key
            assert not after.replaces
        else:
            assert after.replaces == before.key
            assert after.design.input == before.design.input
            assert [stage.block for stage in after.design.stage] == [stage.block for stage in before.design.stage]
            assert total_depth(after.design) <= total_depth(before.design)
    assert len(told) == sum(bool(after.replaces) for after in entering)


def test_a_finalist_is_not_made_wider_beyond_another_limit_nor_away_from_its_weights():
    space = Space(limited(1e-3), 3, 32, 10)
    candidate = make_field(space, 6, seed=0).candidates[0]
    rising = itertools.count()
    stand, told = FakeStand(lambda design: 0.5 + 1e-3 * next(rising)), []  # the same network takes longer later
    bound = dataclasses.replace(limited(1e-3), params=candidate.params)
    for one, limits in ((candidate, bound), (dataclasses.replace(candidate, start="weights"), limited(1e-3))):
        (after,) = Settler(stand, limits, 4, told.append)([one])
        assert (after.key, after.replaces) == (candidate.key, "")
    assert not told


def test_a_finalist_that_is_too_slow_when_wider_stays_as_it_is():
    limits = limited(1e-3)
    candidate = make_field(Space(limits, 3, 32, 10), 6, seed=0).candidates[0]

    def jumps(design):
        return 0.8 if price(design).macs <= candidate.macs else 2.0

    (after,) = Settler(FakeStand(jumps), limits, 4, pytest.fail)([candidate])
    assert after.key == candidate.key


def test_a_finalist_that_shrank_too_far_grows_again():
    limits = limited(1e-3)
    candidate = make_field(Space(limits, 3, 32, 10), 6, seed=0).candidates[0]
    hurried = iter([3.0, 3.0, 1.0])  # the machine was busy when it was timed at first

    (after,) = Settler(FakeStand(lambda design: next(hurried, 1.0)), limits, 4, lambda line: None)([candidate])
    assert after.seconds >= 0.9e-3
    assert after.replaces == candidate.key


@pytest.mark.slow
def test_where_width_does_not_help_blocks_are_taken_away():
    def fixed(design):
        return (1e-3 * total_depth(design) + network_seconds(design)) / network_seconds(design)

    limits = limited(4e-3)
    field = make_field(Space(limits, 3, 32, 10), 6, seed=0).candidates
    deep = [candidate for candidate in field if total_depth(candidate.design) > 4]
    assert deep
    for after in Settler(FakeStand(fixed), limits, 4, lambda line: None)(deep):
        assert total_depth(after.design) <= 3
        assert after.seconds <= 4e-3


def test_a_latency_that_no_network_reaches_says_the_fastest_measured():
    stand = FakeStand(lambda design: 2.0)
    space = Space(Limits(macs=1), 3, 32, 10)
    with pytest.raises(BudgetError, match=r"onnxruntime .*, threads = 1: .*the fastest measured takes 0\.0") as caught:
        check_latency(stand, space, 1e-6)
    (smallest,) = stand.timed
    fastest = 1e3 * min(map(stand.seconds, smallest))
    assert f"{fastest:.3g} ms" in str(caught.value)
    suggested = re.search(r"--latency ([0-9.]+)ms", caught.value.remedy)
    check_latency(stand, space, 1e-3 * float(suggested[1]))


@pytest.mark.slow
@pytest.mark.parametrize(
    "allowance", [Allowance(macs=10**7), Allowance(params=10**5), Allowance(file_size=10**6)], ids=str
)
def test_networks_that_memory_cannot_hold_are_refused_before_one_is_built(allowance, digits, monkeypatch):
    built, content = [], ExportForm.content
    monkeypatch.setattr(ExportForm, "content", lambda *given: built.append(content(*given)) or built[-1])
    for user in ("fit_budget", "export_form"):
        monkeypatch.setattr(f"convsmith.jobs.{user}.free_memory", lambda: 200_000)
    split = split_images(digits, seed=0)
    entry = Entry(allowance, default_space(), digits, split, seed=0, seconds=60.0, tell=print, show=print)
    with pytest.raises(BudgetError, match=r"take at least .* to train, and 195.3 KiB are free.*smaller budget"):
        entry.draw()
    assert max(map(len, built), default=0) < 200_000


def test_networks_may_take_what_memory_is_free(monkeypatch):
    design = parse_design(TINY, where="tiny")
    weights = sum(parameter.numel() for parameter in build(lower(design)).parameters())
    monkeypatch.setattr("convsmith.jobs.fit_budget.free_memory", lambda: 16 * weights)
    check_memory([design])
    monkeypatch.setattr("convsmith.jobs.fit_budget.free_memory", lambda: 16 * weights - 1)
    with pytest.raises(BudgetError, match="to train"):
        check_memory([design])


def test_a_correction_makes_predictions_right_for_each_family():
    factors = {"residual": 1.5, "inverted_residual": 0.8}
    stand = FakeStand(lambda design: factors[design.stage[0].block])
    space = Space(limited(1e-3), 3, 32, 10)
    better = corrected(stand, network_seconds, space)
    for candidate in make_field(space, 6, seed=0).candidates:
        assert better(candidate.design) == pytest.approx(stand.seconds(candidate.design))


@pytest.mark.slow
def test_a_resumed_run_goes_on_with_the_networks_it_has_whatever_is_measured_now(tmp_path, digits, monkeypatch):
    split = split_images(digits, seed=0)

    def entry(allowance, **options):
        nothing = {"tell": lambda line: None, "show": lambda step: None}
        return Entry(allowance, default_space(), digits, split, seed=0, seconds=60.0, **nothing, **options)

    folder = RunFolder.create(tmp_path / "run")
    allowance = Allowance(macs=200_000)
    field = entry(allowance).field(folder)
    entry(allowance).keep(folder, field)
    monkeypatch.setattr(fit_entry, "make_field", lambda *_, **__: pytest.fail("drawn again"))
    assert entry(allowance).field(folder) == field
    monkeypatch.undo()
    other = entry(dataclasses.replace(allowance, macs=100_000)).field(folder)
    assert other.candidates != field.candidates


def test_every_limit_may_be_text_with_a_unit(tmp_path, monkeypatch):
    class Enough(Exception):
        pass

    def stop(*given):
        raise Enough(*given)

    monkeypatch.setattr("convsmith.jobs.fit.Allowance", stop)
    limits = {"macs": "10M", "params": "1.5k", "latency": "3ms", "memory": "2MiB", "file_size": "500kB"}
    with pytest.raises(Enough) as told:
        fit("digits", **limits, minutes="2h", out=tmp_path / "run")
    assert told.value.args == (10_000_000, 1_500, 0.003, 2 * 2**20, 500_000, 1)
    with pytest.raises(QuantityError, match=r"time must be .*'soon'"):
        fit("digits", macs="10M", minutes="soon", out=tmp_path / "run")


def test_a_budget_needs_a_limit_and_is_told_as_given():
    with pytest.raises(BudgetError, match="macs or params, latency, memory or file size"):
        Allowance()
    allowance = Allowance(macs=10_000_000, latency=3e-3, file_size=500_000)
    assert str(allowance) == "10.00M MACs, 3.00 ms an image, 488.3 KiB as a file"
    assert allowance.to_dict() == {
        "macs": 10_000_000, "params": None, "latency_ms": 3.0, "memory_bytes": None, "file_bytes": 500_000, "threads": 1
    }  # fmt: skip


def test_the_account_sets_what_is_spent_beside_what_was_allowed():
    report = {
        "chosen": {"macs": 99_000, "params": 5_000, "latency_ms": 0.5, "memory_bytes": 2048, "file_bytes": 1024},
        "budget": {"macs": 100_000, "params": None, "latency_ms": 1.0, "memory_bytes": None, "file_bytes": None},
        "latency": {"runtime": "onnxruntime 1.2", "threads": 2},
    }
    assert list(map(str, account(report))) == [
        "multiply-adds 99.00k of 100.0k (99.0 %)",
        "parameters 5.000k",
        "latency (onnxruntime 1.2, threads = 2) 0.5 ms of 1.00 ms (50.0 %)",
        "memory 2.000 KiB",
        "file 1.000 KiB",
    ]


@pytest.mark.parametrize(("limit", "notes"), [(None, 0), (0.5, 0), (0.4, 1)])
def test_a_file_that_is_over_the_latency_budget_in_the_end_is_named_in_the_report(tmp_path, limit, notes, monkeypatch):
    design = parse_design(TINY)
    images = open_images("digits")
    preparation = Preparation.of(images, 8, Normalisation.of(images, np.arange(100)))
    network = TrainedNetwork(design, lower(design), build(lower(design)).eval(), images.classes, preparation)
    for name in ("model_card", "render_html"):
        monkeypatch.setattr(f"convsmith.jobs.finish.{name}", lambda *_: "")
    monkeypatch.setattr("convsmith.jobs.finish.render_png", lambda *_: None)
    report = {"chosen": {}, "notes": [], "budget": {"latency_ms": limit}, "seconds": {}}
    timed = Latency(0.45, 0.5, 0.4, 0.6, 1, 50, "onnxruntime")
    done = finish_run(
        RunFolder.create(tmp_path / "run"), network, report, images.pixels[:8], started=0.0, measure=lambda _: timed
    )
    assert len(done["notes"]) == notes
    for note in done["notes"]:
        assert note.startswith("The exported file takes 0.45 ms an image, over the budget of 0.4 ms")
