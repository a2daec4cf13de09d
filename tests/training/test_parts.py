"""Memory that does not suffice: the same batch in smaller parts, with the same sums."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import training_toy
from torch import nn
from torch.nn import functional
from training_toy import POLICY, SETUP, Crash, assert_same, logged, network, run, stop_after, told

from convsmith.errors import TrainingError
from convsmith.training.budget import Budget
from convsmith.training.parts import Parts, out_of_memory
from convsmith.training.recipe import Recipe
from convsmith.training.setup import Setup

ALLOCATOR = "[enforce fail at alloc_cpu.cpp:121] . DefaultCPUAllocator: can't allocate memory: you tried to allocate"
ERRORS = [
    MemoryError(),
    RuntimeError(ALLOCATOR),
    RuntimeError("std::bad_alloc"),
    RuntimeError("could not create a primitive"),
]
SHORT: dict[str, Any] = {"budget": Budget(images=330), "recipe": Recipe(batch=16, policy=POLICY)}


class Small(nn.Module):
    """A network on a machine that has memory for so many images only, and fails after all layers have run."""

    def __init__(self, net: nn.Module, most: int, error: Exception | None = None, since: int = 1) -> None:
        super().__init__()
        self.net, self.most, self.error, self.since = net, most, error or MemoryError(), since
        self.seen: list[torch.Tensor] = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        scores = self.net(images)
        if len(images) > self.most and len(self.seen) >= self.since - 1:
            raise self.error
        self.seen.append(images)
        return scores


def without_norms() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(200, 2))


@pytest.mark.slow
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_parts_learn_what_the_whole_batch_would(error: Exception) -> None:
    whole, small = Small(without_norms(), 10**9), Small(without_norms(), 5, error, since=3)
    expected, found = run(module=whole, **SHORT), run(module=small, **SHORT)
    for mine, theirs in zip(small.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)
    assert found.loss == pytest.approx(expected.loss, rel=1e-4)
    assert torch.equal(torch.cat(small.seen), torch.cat(whole.seen))  # the same samples, changed in the same way
    assert (found.steps, found.images_seen) == (expected.steps, expected.images_seen)
    assert {len(images) for images in small.seen[2:]} == {3, 4}  # 16 as four times 4, the last 10 as 4, 3, 3
    assert [incident.kind for incident in found.incidents] == ["smaller_parts"] * 2
    assert [incident.step for incident in found.incidents] == [3, 3]


@pytest.mark.slow
def test_a_failed_pass_leaves_no_trace_in_running_statistics_or_chance(tmp_path: Path) -> None:
    """As a run that was given small parts from the start; the toy has batch norm and dropout."""
    setup = dataclasses.replace(SETUP, micro_batch=8)
    expected = run(module=Small(network(), 8), setup=setup, **SHORT)
    found = logged(tmp_path, module=Small(network(), 8), **SHORT)
    assert_same(dataclasses.replace(expected, incidents=found.incidents), found)
    (incident,) = found.incidents
    assert (incident.step, incident.kind) == (1, "smaller_parts")
    assert "batch norms see one part at a time" in incident.remedy
    (event,) = [event for event in told(tmp_path) if event["event"] == "smaller_parts"]
    assert (event["step"], event["micro_batch"]) == (1, 8)


def test_the_parts_of_a_batch_weigh_by_their_images() -> None:
    """Gradients held against float64 autograd on the whole batch; 7 images in parts of at most 3."""
    net = without_norms()
    images, labels = torch.randn(7, 3, 12, 12), torch.tensor([0, 1, 1, 0, 1, 0, 0])
    parts = Parts(net, Setup(threads=1, micro_batch=3), batch=7, classes=2, label_smoothing=0.1)
    loss = parts.gradients(images, labels, lambda _: None)
    found = [parameter.grad.clone() for parameter in net.parameters()]
    net.double().zero_grad()
    expected = functional.cross_entropy(net(images.double()), labels, label_smoothing=0.1)
    expected.backward()
    assert loss == pytest.approx(expected.item(), rel=1e-6)
    for mine, parameter in zip(found, net.parameters(), strict=True):
        torch.testing.assert_close(mine.double(), parameter.grad, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("images", "size"), [(16, 16), (16, 5), (17, 16), (3, 2), (2, 2), (5, 2), (9, 4)])
def test_no_part_is_a_single_image(images: int, size: int) -> None:
    net = Small(network(), 10**9)
    parts = Parts(net, Setup(threads=1, micro_batch=size), batch=images, classes=2, label_smoothing=0.0)
    parts.gradients(torch.randn(images, 3, 12, 12), torch.zeros(images, dtype=torch.int64), lambda _: None)
    sizes = [len(part) for part in net.seen]
    assert sum(sizes) == images
    assert min(sizes) >= 2
    assert max(sizes) <= max(size, 3)


def test_memory_for_too_few_images_ends_the_training_in_one_line() -> None:
    with pytest.raises(TrainingError, match=r"memory must suffice for 2 images at a time; train a smaller network"):
        run(module=Small(network(), 1), **SHORT)


def test_memory_that_lacks_elsewhere_ends_the_training_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError(ALLOCATOR)

    monkeypatch.setattr("convsmith.training.batches.Batches.at", fail)
    with pytest.raises(TrainingError, match="memory must suffice for the weights and a batch of images"):
        run(**SHORT)


def test_other_errors_are_not_taken_for_a_lack_of_memory() -> None:
    assert not out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not out_of_memory(ValueError("out of memory"))
    assert not out_of_memory(RuntimeError("could not create a primitive descriptor for the convolution"))
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        run(module=nn.Sequential(nn.Flatten(), nn.Linear(7, 2)))


@pytest.mark.slow
def test_a_resumed_run_keeps_its_smaller_parts(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    straight = logged(tmp_path / "whole", module=Small(network(), 8), **SHORT)
    with pytest.raises(Crash):
        logged(tmp_path, module=Small(network(), 8), progress=stop_after(7, Crash), checkpoint_seconds=0.0, **SHORT)
    resumed = logged(tmp_path, module=Small(network(seed=9), 10**9), resume=True, **SHORT)
    assert_same(straight, resumed)
    assert told(tmp_path) == told(tmp_path / "whole")


@pytest.mark.parametrize("value", [0, 1])
def test_a_micro_batch_that_batch_norm_cannot_take_is_refused(value: int) -> None:
    with pytest.raises(TrainingError, match=r"setup\.micro_batch: micro_batch must be at least 2"):
        Setup(micro_batch=value)


PROGRAM = """
import resource, sys
import torch
from torch import nn
sys.path.insert(0, {folder!r})
from training_toy import run
from convsmith.training.budget import Budget
from convsmith.training.recipe import Recipe
net = nn.Sequential(*[nn.Sequential(nn.Conv2d(3 if i == 0 else 64, 64, 1), nn.ReLU()) for i in range(30)],
                    nn.Flatten(), nn.Linear(64 * 144, 2))
tiny = dict(recipe=Recipe(batch=2, policy=None), budget=Budget(images=4))
run(module=net, **tiny)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 300 * 2**20,) * 2)
trained = run(module=net, recipe=Recipe(batch=800, policy=None, learning_rate=0.001), budget=Budget(images=800))
print([incident.kind for incident in trained.incidents], trained.steps, trained.loss < 10)
"""


@pytest.mark.slow
def test_a_process_that_may_not_have_more_memory_trains_in_smaller_parts() -> None:
    """800 images keep 885 MB of maps for their gradient; there are 300 MB."""
    program = PROGRAM.format(folder=str(Path(training_toy.__file__).parent))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("] 1 True\n")
    assert "smaller_parts" in done.stdout
