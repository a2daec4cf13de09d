"""How this machine runs a training: number type, memory layout, kernels, threads, images at a time.

Which is fastest differs between processors and networks by factors, so it is measured (see ``probe``) and not assumed.
The result is a plain value that a run stores: resuming with the same value gives the same bits.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from torch import nn

from convsmith.errors import TrainingError
from convsmith.processor import available_threads

Dtype = Literal["float32", "bfloat16"]


@runtime_checkable
class TakesKernels(Protocol):
    """A module that can train with the operators of ``convsmith.kernels``."""

    def use_kernels(self, use: bool) -> None:
        """Use them from now on, or torch's alone."""
        ...


@dataclasses.dataclass(frozen=True)
class Measurement:
    """How fast one setting trained.

    Attributes:
        seconds: Median of a step of a whole batch.
        images: Images per step in the last measurement; less than a batch for those that were left behind early, whose
            ``seconds`` are in proportion.
    """

    dtype: Dtype
    channels_last: bool
    kernels: bool
    threads: int
    micro_batch: int | None
    seconds: float
    images: int


@dataclasses.dataclass(frozen=True)
class Setup:
    """How a network is run on this machine.

    Attributes:
        dtype: Number type of the forward and backward pass; weights, norms and loss stay float32.
        channels_last: Whether activations and weights lie in memory as NHWC.
        kernels: Whether steps are merged into the operators of ``convsmith.kernels``, where the module can do that.
        threads: Threads within an operator. Changing it changes the last bits of sums.
        batch_forward: Images per batch where nothing is learnt.
        micro_batch: Most images in memory at once while learning; the gradients of a batch are summed over its parts.
            ``None`` for the whole batch.
        measured: What :func:`probe.choose_setup` measured, fastest first.
    """

    dtype: Dtype = "float32"
    channels_last: bool = True
    kernels: bool = False
    threads: int = dataclasses.field(default_factory=available_threads)
    batch_forward: int = 128
    micro_batch: int | None = None
    measured: tuple[Measurement, ...] = dataclasses.field(default=(), compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.dtype not in ("float32", "bfloat16"):
            raise TrainingError("dtype must be float32 or bfloat16", received=self.dtype, where="setup.dtype")
        for key in ("threads", "batch_forward"):
            if getattr(self, key) < 1:
                raise TrainingError(f"{key} must be at least 1", received=getattr(self, key), where=f"setup.{key}")
        if self.micro_batch is not None and self.micro_batch < 2:
            rule = "micro_batch must be at least 2, because of batch norm"
            raise TrainingError(rule, received=self.micro_batch, where="setup.micro_batch")

    def to_dict(self) -> dict[str, Any]:
        """The setup as plain JSON values, with the table it was chosen from."""
        return dataclasses.asdict(self)

    @property
    def memory_format(self) -> torch.memory_format:
        """The layout of (N, C, H, W) tensors."""
        return torch.channels_last if self.channels_last else torch.contiguous_format

    def place(self, module: nn.Module) -> nn.Module:
        """Lay the module's weights out in memory and choose its operators; done in place."""
        if isinstance(module, TakesKernels):
            module.use_kernels(self.kernels)
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
