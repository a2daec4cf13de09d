"""How this machine runs a training: number type, memory layout, threads.

Which is fastest differs between processors and networks by factors, so it is measured on full training steps and not
assumed. The result is a plain value that a run stores: resuming with the same value gives the same bits.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any, Literal

import torch
from torch import nn
from torch.nn import functional

from convsmith.errors import TrainingError
from convsmith.processor import available_threads, computes_bfloat16

Dtype = Literal["float32", "bfloat16"]


@dataclasses.dataclass(frozen=True)
class Measurement:
    """Median seconds of a full training step in one setting."""

    dtype: Dtype
    channels_last: bool
    seconds: float


@dataclasses.dataclass(frozen=True)
class Setup:
    """How a network is run on this machine.

    Attributes:
        dtype: Number type of the forward and backward pass; weights, norms and loss stay float32.
        channels_last: Whether activations and weights lie in memory as NHWC.
        threads: Threads within an operator. Changing it changes the last bits of sums.
        batch_forward: Images per batch where nothing is learnt.
        measured: What :func:`choose_setup` measured, fastest first.
    """

    dtype: Dtype = "float32"
    channels_last: bool = True
    threads: int = dataclasses.field(default_factory=available_threads)
    batch_forward: int = 128
    measured: tuple[Measurement, ...] = dataclasses.field(default=(), compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.dtype not in ("float32", "bfloat16"):
            raise TrainingError("dtype must be float32 or bfloat16", received=self.dtype, where="setup.dtype")
        for key in ("threads", "batch_forward"):
            if getattr(self, key) < 1:
                raise TrainingError(f"{key} must be at least 1", received=getattr(self, key), where=f"setup.{key}")

    def to_dict(self) -> dict[str, Any]:
        """The setup as plain JSON values, with the table it was chosen from."""
        return dataclasses.asdict(self)

    @property
    def memory_format(self) -> torch.memory_format:
        """The layout of (N, C, H, W) tensors."""
        return torch.channels_last if self.channels_last else torch.contiguous_format

    def place(self, module: nn.Module) -> nn.Module:
        """Lay the module's weights out in memory; done in place."""
        return module.to(memory_format=self.memory_format)  # pyright: ignore[reportCallIssue]

    def forward(self, module: nn.Module, images: torch.Tensor) -> torch.Tensor:
        """float32 scores of float32 (N, C, H, W) images."""
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.dtype == "bfloat16"):
            return module(images.contiguous(memory_format=self.memory_format)).float()

    @contextlib.contextmanager
    def threads_set(self) -> Iterator[None]:
        """Run with this setup's threads, then with the former number again."""
        before = torch.get_num_threads()
        torch.set_num_threads(self.threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def choose_setup(
    make_module: Callable[[], nn.Module], input_shape: tuple[int, int, int], batch: int, *, seconds: float = 3.0
) -> Setup:
    """The fastest setup for training this network here, from a measurement of about ``seconds``.

    Whole steps (forward, backward, update) are timed in turn, so that a slow moment of a shared machine hits every
    candidate; the median decides. bfloat16 takes part only where the processor computes in it.

    Args:
        make_module: Gives a new instance of the network.
        input_shape: (channels, height, width).
        batch: Images per training step.
        seconds: Time for the measurement; every candidate is timed at least twice.
    """
    threads = available_threads()
    dtypes: tuple[Dtype, ...] = ("float32", "bfloat16") if computes_bfloat16() else ("float32",)
    candidates = [
        Setup(dtype=dtype, channels_last=layout, threads=threads, batch_forward=2 * batch)
        for dtype, layout in itertools.product(dtypes, (False, True))
    ]
    with torch.random.fork_rng(devices=[]), candidates[0].threads_set():
        images = torch.rand(batch, *input_shape)
        steps = [_training_step(setup, make_module(), images) for setup in candidates]
        times = _interleaved(steps, seconds)
    ranked = sorted(zip(times, candidates, strict=True), key=lambda pair: pair[0])
    table = tuple(Measurement(setup.dtype, setup.channels_last, spent) for spent, setup in ranked)
    return dataclasses.replace(ranked[0][1], measured=table)


def _training_step(setup: Setup, module: nn.Module, images: torch.Tensor) -> Callable[[], None]:
    setup.place(module).train()
    optimizer = torch.optim.SGD(module.parameters(), lr=1e-3, momentum=0.9, fused=True)
    labels = torch.zeros(len(images), dtype=torch.int64)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        functional.cross_entropy(setup.forward(module, images), labels).backward()
        optimizer.step()

    return step


def _interleaved(steps: list[Callable[[], None]], seconds: float) -> list[float]:
    """Median seconds of each step, timed round after round; the first round warms up and does not count."""
    end = time.perf_counter() + seconds
    rounds: list[list[float]] = []
    while len(rounds) < 3 or time.perf_counter() < end:
        rounds.append([_seconds(step) for step in steps])
    return [statistics.median(times) for times in zip(*rounds[1:], strict=True)]


def _seconds(step: Callable[[], None]) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start
