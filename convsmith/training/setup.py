"""How this machine runs a training: device, number type, memory layout, kernels, threads, images at a time.

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
from convsmith.training.device import DEVICES, Device, LossScaler, check_available, lent, move

Dtype = Literal["float32", "bfloat16", "float16"]


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
        round: The last round of the race that it took part in, from 1.
    """

    dtype: Dtype
    channels_last: bool
    kernels: bool
    threads: int
    micro_batch: int | None
    device: Device
    seconds: float
    images: int
    round: int


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
        device: ``"cpu"``, or ``"cuda"`` for a graphics card.
        measured: What :func:`probe.choose_setup` measured, the best of the last round first.
    """

    dtype: Dtype = "float32"
    channels_last: bool = True
    kernels: bool = False
    threads: int = dataclasses.field(default_factory=available_threads)
    batch_forward: int = 128
    micro_batch: int | None = None
    device: Device = "cpu"
    measured: tuple[Measurement, ...] = dataclasses.field(default=(), compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.device not in DEVICES:
            raise TrainingError("device must be cpu or cuda", received=self.device, where="setup.device")
        if self.dtype not in ("float32", "bfloat16", *(["float16"] if self.device == "cuda" else [])):
            rule = "dtype must be float32 or bfloat16, or float16 on a card"
            raise TrainingError(rule, received=self.dtype, where="setup.dtype")
        if self.kernels and self.device != "cpu":
            raise TrainingError("kernels are for the processor", received=self.device, where="setup.device")
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

    @property
    def torch_device(self) -> torch.device:
        """Where torch keeps what the network computes with."""
        return torch.device(self.device)

    def place(self, module: nn.Module) -> nn.Module:
        """Lay the module's weights out in the device's memory and choose its operators; done in place.

        Raises:
            TrainingError: If this machine does not have the device.
        """
        check_available(self.device)
        if isinstance(module, TakesKernels):
            module.use_kernels(self.kernels)
        return module.to(self.torch_device, memory_format=self.memory_format)  # pyright: ignore[reportCallIssue]

    def moved(self, tensor: torch.Tensor) -> torch.Tensor:
        """The tensor on the device."""
        return move(tensor, self.torch_device)

    def lent(self, module: nn.Module) -> contextlib.AbstractContextManager[None]:
        """Have a module on the device for a while, wherever it is at home."""
        return lent(module, self.torch_device)

    def forward(self, module: nn.Module, images: torch.Tensor) -> torch.Tensor:
        """float32 scores, on the device, of float32 (N, C, H, W) images, which may be elsewhere."""
        images = self.moved(images).contiguous(memory_format=self.memory_format)
        half = torch.float16 if self.dtype == "float16" else torch.bfloat16
        with torch.autocast(self.device, dtype=half, enabled=self.dtype != "float32"):
            return module(images).float()

    def make_scaler(self) -> LossScaler:
        """What keeps the gradients of float16 from vanishing; without effect on other number types."""
        return LossScaler(self.device, enabled=self.dtype == "float16")

    @contextlib.contextmanager
    def threads_set(self) -> Iterator[None]:
        """Run with this setup's threads, then with the former number again."""
        before = torch.get_num_threads()
        torch.set_num_threads(self.threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)
