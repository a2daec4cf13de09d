"""One training in several processes, for real; the oracle is the same training in one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import training_together
from safetensors.torch import load_file
from training_together import STEPS, VARIANTS, losses_of

from convsmith.errors import TrainingError
from convsmith.training.distributed import Group, joined
from convsmith.training.events import read_events


def launched(processes: int, folder: Path) -> Path:
    """What so many processes found; see ``training_together``."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(processes)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [*torchrun, training_together.__file__, str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return launched(2, tmp_path_factory.mktemp("together"))


def found(folder: Path, rank: int) -> dict[str, Any]:
    return json.loads((folder / f"found-{rank}.json").read_text())


def same(*, rolls_back: bool) -> dict[str, Any]:
    return {"differ": [], "same course": [True] * 4, "same events": True, "rolls back": rolls_back}


@pytest.mark.slow
def test_two_processes_have_the_losses_and_the_weights_of_one(together: Path, tmp_path: Path) -> None:
    alone, losses = losses_of(tmp_path / "alone")
    assert len(losses) == STEPS
    assert max(losses[:5]) > 2 * losses[-1]  # it does learn
    for rank in (0, 1):
        theirs = found(together, rank)
        assert theirs["losses"] == pytest.approx(losses, abs=1e-5, rel=0)
        assert theirs["accuracy"] == alone.accuracy
    mine = load_file(together / "weights-0.safetensors")
    other = load_file(together / "weights-1.safetensors")
    for name, tensor in alone.module.state_dict().items():
        torch.testing.assert_close(mine[name], tensor, atol=1e-4, rtol=1e-4)
        assert torch.equal(mine[name], other[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_two_processes_that_crash_and_go_on_end_with_the_same_bits(together: Path, name: str) -> None:
    for rank in (0, 1):
        assert found(together, rank)["resumes"][name] == same(rolls_back=name == "sgd")


@pytest.mark.slow
def test_so_do_three_whose_sums_depend_on_their_order(tmp_path: Path) -> None:
    launched(3, tmp_path)
    for rank in (0, 1, 2):
        assert found(tmp_path, rank)["resumes"] == {"sgd": same(rolls_back=True)}


@pytest.mark.slow
def test_files_are_written_by_one_process(together: Path) -> None:
    events = read_events(together / "losses" / "events.ndjson")
    assert [event["number"] for event in events if "number" in event] == [*range(1, STEPS + 3)]
    saved = [event["file"] for event in events if event["event"] == "checkpoint"]
    assert len(saved) == len(set(saved)) >= 1


@pytest.mark.slow
def test_a_signal_to_any_process_stops_all_after_the_next_step_with_a_checkpoint(together: Path) -> None:
    assert [found(together, rank)["stopped"] for rank in (0, 1)] == [["Terminated", 8]] * 2
    assert (together / "stopped" / "checkpoints" / "step-000000008").is_dir()


@pytest.mark.slow
def test_time_is_that_of_the_first_process(together: Path) -> None:
    first, second = (found(together, rank)["timed"] for rank in (0, 1))
    assert first == second > 1


@pytest.mark.slow
def test_a_training_of_two_goes_on_in_one_process_and_says_that_it_is_close(together: Path) -> None:
    lines: list[str] = []
    trained, losses = losses_of(together / "half", resume=True, tell=lines.append)
    (resumed,) = [event for event in read_events(together / "half" / "events.ndjson") if event["event"] == "resumed"]
    assert (resumed["exact"], resumed["differs"]) == (False, {"processes": [2, 1]})
    assert any("close, not exact: processes was 2 and is 1" in line for line in lines)
    assert trained.steps == STEPS
    assert losses == pytest.approx(found(together, 0)["losses"][-len(losses) :], abs=1e-5, rel=0)


def test_every_image_of_a_batch_is_one_process_s_and_one_with_none_does_not_count() -> None:
    for world in (1, 2, 3, 64):
        for size in (2, 5, 64, 100):
            groups = [whole_group(rank, world) for rank in range(world)]
            taken = [group.take(size) for group in groups]
            own = [
                [*range(start, start + count)] for (start, count), g in zip(taken, groups, strict=True) if not g.idle
            ]
            assert [image for mine in own for image in mine] == [*range(size)]
            assert all(0 <= start < start + count <= size for start, count in taken)
            # Mean over processes of weight times mean over own images: the mean over all images.
            weights = [len(mine) / size * world for mine in own]
            assert [group.weight for group in groups if not group.idle] == pytest.approx(weights)
            assert [group.weight for group in groups if group.idle] == [0.0] * (world - len(own))


def whole_group(rank: int, world: int) -> Group:
    group = Group()
    group.rank, group.world = rank, world
    return group


def test_one_process_is_alone_and_a_broken_environment_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with joined() as group:
        assert group.is_alone
        assert group.is_first
    monkeypatch.setenv("WORLD_SIZE", "two")
    with (
        pytest.raises(TrainingError, match=r"WORLD_SIZE must be a whole number \(received 'two'\); torchrun sets it"),
        joined(),
    ):
        pass
    monkeypatch.setenv("WORLD_SIZE", "2")
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(TrainingError, match=r"2 processes of a training must meet.*docs/scale_out\.md"), joined():
        pass
