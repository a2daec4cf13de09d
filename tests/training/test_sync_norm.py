"""Batch norm over parts of a batch, against torch's own over the whole in float64; threads stand in for processes."""

from __future__ import annotations

import copy
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor, nn

from convsmith.training.distributed import Group
from convsmith.training.sync_norm import synchronised_norms


class Threads:
    """Adds up what threads give, as the processes of a group do."""

    def __init__(self, world: int) -> None:
        self.world, self._given, self._barrier = world, [torch.empty(0)] * world, threading.Barrier(world, timeout=20)

    def sum(self, rank: int, tensor: Tensor) -> Tensor:
        self._given[rank] = tensor
        self._barrier.wait()
        total = torch.stack(self._given).sum(0)
        self._barrier.wait()
        return total


class OneThread(Group):
    def __init__(self, rank: int, threads: Threads) -> None:
        super().__init__()
        self.rank, self.world, self._threads = rank, threads.world, threads

    def sum(self, tensor: Tensor) -> Tensor:
        return self._threads.sum(self.rank, tensor)


NORMS = [
    (nn.BatchNorm2d(5), (7, 5, 4, 3)),
    (nn.BatchNorm2d(5, affine=False, momentum=None), (7, 5, 4, 3)),
    (nn.BatchNorm2d(5, track_running_stats=False), (7, 5, 4, 3)),
    (nn.BatchNorm1d(5, momentum=0.3), (7, 5)),
]


@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize("images", [7, 2])  # with 2, one of three processes has none
@pytest.mark.parametrize(("norm", "shape"), NORMS)
def test_parts_are_normalised_as_the_whole(
    norm: nn.Module, shape: tuple[int, ...], images: int, channels_last: bool
) -> None:
    torch.manual_seed(3)
    for parameter in norm.parameters():
        nn.init.normal_(parameter)
    x = torch.randn(images, *shape[1:]) * 3 + 20  # far from zero: sums of squares would lose digits in float32
    slope = torch.randn(x.shape)
    whole = copy.deepcopy(norm).double()
    wanted = x.double().requires_grad_()
    for _ in range(2):
        scores = whole(wanted)
    scores.backward(slope.double())

    threads = Threads(3)

    def work(rank: int) -> tuple[nn.Module, Tensor, Tensor]:
        group, mine = OneThread(rank, threads), copy.deepcopy(norm)
        start, count = group.take(images)
        part = x[start : start + count].clone()
        part = (
            part.contiguous(memory_format=torch.channels_last) if channels_last and x.ndim == 4 else part
        ).requires_grad_()
        with synchronised_norms(mine, group):
            for _ in range(2):
                y = mine(part)
        y.backward(slope[start : start + count] * (not group.idle))
        assert part.grad is not None
        return mine, y.detach()[: 0 if group.idle else None], part.grad[: 0 if group.idle else None]

    with ThreadPoolExecutor(3) as pool:
        done = [*pool.map(work, range(3))]
    assert wanted.grad is not None
    close = {"atol": 2e-5, "rtol": 1e-5, "check_dtype": False}
    torch.testing.assert_close(torch.cat([y for _, y, _ in done]), scores.detach(), **close)
    torch.testing.assert_close(torch.cat([gradient for *_, gradient in done]), wanted.grad, **close)
    for mine, *_ in done:
        for (name, value), true in zip(mine.named_buffers(), whole.buffers(), strict=True):
            torch.testing.assert_close(value, true, msg=name, **close)
    for name, parameter in whole.named_parameters():
        gradients = [dict(mine.named_parameters())[name].grad for mine, *_ in done]
        torch.testing.assert_close(torch.stack([g for g in gradients if g is not None]).sum(0), parameter.grad, **close)


def test_layers_are_as_they_were_afterwards_and_judge_as_ever() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    names, x = [*net.state_dict()], torch.randn(2, 3, 5, 5)
    group = OneThread(0, Threads(2))
    net.eval()
    expected = net(x)
    with synchronised_norms(net, group):
        assert [*net.state_dict()] == names
        assert torch.equal(net(x), expected)  # nothing is exchanged: the other would be waited for
    assert type(net[1]) is nn.BatchNorm2d
    assert "forward" not in vars(net[1])
    with synchronised_norms(net, Group()):
        assert "forward" not in vars(net[1])
