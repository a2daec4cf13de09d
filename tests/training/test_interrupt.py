"""Ctrl-C and SIGTERM: the step is finished and kept, and a second signal does not wait."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn
from training_toy import Crash, assert_same, logged, network, run, told

from convsmith.errors import Terminated
from convsmith.training.checkpoint import load_latest

STOPS = [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)]


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    """As a program in the foreground has it; the tests may run in the background, where Ctrl-C is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Signalled(nn.Module):
    """The toy, whose process is signalled in the middle of its seventh step, ``times`` times."""

    def __init__(self, number: int, times: int = 1) -> None:
        super().__init__()
        self.net = network()
        self.calls, self.number, self.times = 0, number, times

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        for _ in range(self.times if self.calls == 7 else 0):
            os.kill(os.getpid(), self.number)
        return self.net(images)


@pytest.mark.parametrize(("number", "error"), STOPS)
def test_a_signal_during_a_step_waits_for_its_end_and_keeps_it(
    number: int, error: type[BaseException], tmp_path: Path
) -> None:
    before = signal.getsignal(number)
    seen: list[int] = []
    with pytest.raises(KeyboardInterrupt) as caught:
        run(module=Signalled(number), checkpoints=tmp_path, progress=lambda p: seen.append(p.images))
    assert caught.type is error
    assert seen[-1] == 7 * 16
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000007"]
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_acts_at_once(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What acts at once on SIGTERM ends the process, so a handler stands in for it, as the interrupt's default does."""
    if number == signal.SIGTERM:
        monkeypatch.setattr("convsmith.training.interrupt._DEFAULTS", (end_at_once,))
        before = signal.signal(number, end_at_once)
    seen: list[int] = []
    try:
        with pytest.raises((KeyboardInterrupt, Crash)):
            run(module=Signalled(number, times=2), checkpoints=tmp_path, progress=lambda p: seen.append(p.images))
    finally:
        if number == signal.SIGTERM:
            signal.signal(number, before)
    assert seen[-1] == 6 * 16  # the seventh step was not finished
    assert load_latest(tmp_path) is None


def end_at_once(number: int, frame: object) -> None:
    raise Crash


@pytest.mark.slow
def test_an_application_that_handles_sigterm_itself_keeps_its_handler() -> None:
    received: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: received.append(number))
    try:
        assert run(module=Signalled(signal.SIGTERM)).steps == 100
        assert received == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.slow
def test_a_terminated_training_goes_on_exactly(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    straight = logged(tmp_path / "whole")
    with pytest.raises(Terminated):
        logged(tmp_path, progress=lambda p: os.kill(os.getpid(), signal.SIGTERM) if p.images == 50 * 16 else None)
    assert_same(straight, logged(tmp_path, resume=True, module=network(seed=9)))
    assert told(tmp_path) == told(tmp_path / "whole")
