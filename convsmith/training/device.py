"""Where a network is computed: on the processor, or through CUDA on a graphics card.

What goes from one to the other goes through ``move`` and ``lent``. A card does what it is told later and in its own
order, so a training on one is close to another, not equal to the bit.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from typing import Any, Final, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from convsmith.errors import TrainingError

Device = Literal["cpu", "cuda"]
DEVICES: Final = ("cpu", "cuda")


def available_device() -> Device:
    """A card where there is one that torch can use, else the processor."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def is_available(device: Device) -> bool:
    """Whether this machine has the device."""
    return device == "cpu" or torch.cuda.is_available()


def check_available(device: Device) -> None:
    """Raise a ``TrainingError`` unless this machine has the device."""
    if not is_available(device):
        remedy = "train where there is one, or choose the setup anew"
        raise TrainingError("this setup trains on a graphics card, and torch finds none here", remedy=remedy)


def card_half() -> Literal["bfloat16", "float16"]:
    """The number type of half the bytes in which the card computes; float16 needs a scaled loss."""
    return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float16"


def cards(device: Device) -> list[int]:
    """The numbers of the cards that are used, for those functions of torch that ask."""
    return [] if device == "cpu" else [torch.cuda.current_device()]


def card_name(device: Device) -> str:
    """The card's name; nothing for the processor."""
    return "" if device == "cpu" else torch.cuda.get_device_name()


def seed_all(device: Device, seed: int) -> None:
    """Let what is drawn on the device from now on, as dropout does, follow from ``seed``."""
    torch.default_generator.manual_seed(seed)
    if device != "cpu":
        torch.cuda.manual_seed(seed)


def wait_for(device: Device) -> None:
    """Wait until the device has done what it was told; a processor always has."""
    if device != "cpu":
        torch.cuda.synchronize()


def move(tensor: Tensor, place: torch.device) -> Tensor:
    """The tensor at ``place``; itself where it is there already.

    To a card it goes from memory that is never paged out, so that the processor need not wait for the copy.
    """
    if tensor.device.type == place.type:
        return tensor
    return tensor.cpu() if place.type == "cpu" else tensor.pin_memory().to(place, non_blocking=True)


class LossScaler(torch.amp.GradScaler):
    """Torch's scaling of the loss for float16, where a step whose gradients overflow is left out for every optimizer.

    Torch leaves that to fused optimizers, and the SGD of torch 2.13 keeps the overflow in its momentum all the same.
    """

    def step(self, optimizer: Optimizer, *args: Any, **kwargs: Any) -> float | None:
        """Take the optimizer's step, unless a gradient is not finite."""
        if self.is_enabled():
            optimizer.__dict__["_step_supports_amp_scaling"] = False
        return super().step(optimizer, *args, **kwargs)


@contextlib.contextmanager
def lent(module: nn.Module, place: torch.device) -> Iterator[None]:
    """Have the module at ``place`` for a while, then where it was; in place."""
    tensors = itertools.chain(module.parameters(), module.buffers())
    home = next((tensor.device for tensor in tensors), place)
    if home.type == place.type:
        yield
        return
    module.to(place)
    try:
        yield
    finally:
        module.to(home)
