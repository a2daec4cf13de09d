"""The race of setups: what takes part, what is chosen, what is left behind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from convsmith.training import candidates, probe
from convsmith.training.candidates import all_setups, in_parts
from convsmith.training.probe import choose_setup, measure_setup, race_setups
from convsmith.training.setup import Setup


def network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)
    )


class Merging(nn.Sequential):
    """A network that can use kernels, and is much faster when it does."""

    def __init__(self) -> None:
        super().__init__(*network())
        self.kernels = False

    def use_kernels(self, use: bool) -> None:
        self.kernels = use

    def forward(self, input: Tensor) -> Tensor:
        for _ in range(1 if self.kernels else 200):
            output = super().forward(input)
        return output


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(candidates, "available_threads", lambda: 1)
    monkeypatch.setenv("CONVSMITH_CACHE", str(tmp_path))


def test_the_fastest_measured_setup_is_chosen_and_leaves_no_trace() -> None:
    torch.manual_seed(3)
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    chosen = race_setups(network, (3, 12, 12), 16, seconds=0.05)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads
    assert chosen.threads == 1
    last = [row for row in chosen.measured if row.round == 3]
    fastest = min(last, key=lambda row: row.seconds)
    assert chosen.measured[0] == fastest
    assert chosen.dtype == "float32" or (chosen.dtype, chosen.channels_last) == (fastest.dtype, fastest.channels_last)
    assert {row.channels_last for row in chosen.measured} == {True, False}
    assert json.loads(json.dumps(chosen.to_dict()))["measured"][0]["seconds"] == fastest.seconds


@pytest.mark.slow
def test_kernels_take_part_where_the_network_can_use_them() -> None:
    chosen = race_setups(Merging, (3, 12, 12), 8, seconds=0.05)
    assert chosen.kernels
    assert chosen.channels_last
    assert {row.kernels for row in chosen.measured} == {True, False}
    assert not any(row.kernels for row in race_setups(network, (3, 12, 12), 8, seconds=0.05).measured)


@pytest.mark.parametrize("computes", [True, False])
def test_bfloat16_is_a_candidate_only_where_the_processor_computes_in_it(
    computes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates, "computes_bfloat16", lambda: computes)
    chosen = race_setups(network, (3, 12, 12), 4, seconds=0.0)
    assert ("bfloat16" in {row.dtype for row in chosen.measured}) is computes


class Coarse(nn.Sequential):
    """A network that learns nothing in bfloat16."""

    def forward(self, input: Tensor) -> Tensor:
        scores = super().forward(input)
        return scores.detach() + 0 * scores if scores.dtype == torch.bfloat16 else scores


def test_bfloat16_is_not_chosen_for_a_network_that_does_not_learn_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates, "computes_bfloat16", lambda: True)
    monkeypatch.setattr(probe, "interleaved", lambda steps, seconds: [float(i + 1) for i in range(len(steps))])
    assert race_setups(network, (3, 12, 12), 8, seconds=0.0).dtype == "bfloat16"
    assert race_setups(lambda: Coarse(*network()), (3, 12, 12), 8, seconds=0.0).dtype == "float32"


def test_parts_of_a_batch_take_part_where_batch_norm_sees_enough_images() -> None:
    def parts(module: nn.Module, batch: int) -> set[int | None]:
        return {setup.micro_batch for setup in in_parts(Setup(), module, batch)}

    assert parts(network(), 64) == {None, 32}
    assert parts(network(), 62) == {None}
    without_norm = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
    assert parts(without_norm, 4) == {None, 2}
    assert parts(without_norm, 3) == {None}


def test_a_measured_setup_is_remembered_for_the_same_network_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    first = choose_setup(network, (3, 12, 12), 8, seconds=0.0)
    monkeypatch.setattr(probe, "race_setups", lambda *_, **__: Setup(threads=7))
    again = choose_setup(network, (3, 12, 12), 8, seconds=0.0)
    assert (again, again.measured) == (first, first.measured)
    assert choose_setup(network, (3, 12, 13), 8).threads == 7
    assert choose_setup(lambda: nn.Linear(3, 3), (3, 12, 12), 8).threads == 7
    for path in (tmp_path / "setups").iterdir():
        path.write_text("{")
    assert choose_setup(network, (3, 12, 12), 8).threads == 7


def test_the_choice_is_made_in_the_last_round_whatever_was_measured_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy moment in the last round must not let one win that was left behind in a quiet one."""
    rounds = iter([1.0, 2.0, 8.0])

    def times(steps: list[object], seconds: float) -> list[float]:
        slowness = next(rounds)
        return [slowness * (index + 1) for index in range(len(steps))]

    monkeypatch.setattr(candidates, "available_threads", lambda: 2)
    monkeypatch.setattr(candidates, "computes_bfloat16", lambda: False)
    monkeypatch.setattr(probe, "interleaved", times)
    chosen = race_setups(network, (3, 12, 12), 64, seconds=0.0)
    rows = chosen.measured
    assert [row.round for row in rows] == [3, 3, 3, 3, 2, 2]  # layouts, with one and two threads; two of them in parts
    assert rows[0].seconds == 8.0 > min(row.seconds for row in rows)
    assert (chosen.threads, chosen.channels_last, chosen.micro_batch) == (2, True, None)
    assert {row.images for row in rows} == {64}


@pytest.mark.parametrize(("seconds", "part"), [(0.96, None), (0.94, 32)])
def test_parts_of_a_batch_are_chosen_only_where_clearly_faster(
    seconds: float, part: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates, "computes_bfloat16", lambda: False)
    monkeypatch.setattr(probe, "training_step", lambda setup, *_: 1.0 if setup.micro_batch is None else seconds)
    monkeypatch.setattr(probe, "interleaved", lambda steps, _: steps)
    monkeypatch.setattr(probe, "_seconds", lambda step: step)
    assert race_setups(network, (3, 12, 12), 64, seconds=0.0).micro_batch == part


def test_a_race_measures_some_of_all_setups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates, "available_threads", lambda: 2)
    monkeypatch.setattr(candidates, "computes_bfloat16", lambda: True)
    everything = all_setups(network(), 64)
    assert len(everything) == len(set(everything)) == 2 * 2 * 2 * 2  # number types, layouts, threads, parts
    measured = race_setups(network, (3, 12, 12), 64, seconds=0.0).measured
    assert len(measured) < len(everything)
    keys = ("dtype", "channels_last", "kernels", "threads", "micro_batch", "device")
    offered = {tuple(getattr(setup, key) for key in keys) for setup in everything}
    assert {tuple(getattr(row, key) for key in keys) for row in measured} <= offered


def test_measuring_anew_replaces_what_was_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    choose_setup(network, (3, 12, 12), 8, seconds=0.0)
    monkeypatch.setattr(probe, "race_setups", lambda *_, **__: Setup(threads=7))
    assert measure_setup(network, (3, 12, 12), 8).threads == 7
    monkeypatch.setattr(probe, "race_setups", lambda *_, **__: pytest.fail("measured again"))
    assert choose_setup(network, (3, 12, 12), 8).threads == 7


@pytest.mark.parametrize(("pace", "whole"), [(1e-9, True), (10.0, False)])
def test_a_slow_network_is_raced_on_fewer_images(pace: float, whole: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock is that of the steps: each takes its images times the pace."""
    spent = [0.0]

    def step_of(_setup: Setup, _module: nn.Module, images: Tensor) -> int:
        return len(images)

    def seconds(images: int) -> float:
        spent[0] += images * pace
        return images * pace

    monkeypatch.setattr(probe, "training_step", step_of)
    monkeypatch.setattr(probe, "_seconds", seconds)
    monkeypatch.setattr(probe.time, "perf_counter", lambda: spent[0])
    monkeypatch.setattr(probe, "interleaved", lambda steps, _: [seconds(images) for images in steps])
    chosen = race_setups(network, (3, 12, 12), 64, seconds=1000.0)
    assert (max(row.images for row in chosen.measured) == 64) == whole
    assert spent[0] <= 3 * 1000.0
