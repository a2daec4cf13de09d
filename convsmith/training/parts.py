"""The gradients of a batch, in as many parts as memory asks for.

Each part adds its share, so the sums are those of the whole batch; only batch norm sees a part at a time.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from convsmith.errors import TrainingError
from convsmith.training.distributed import Group
from convsmith.training.setup import Setup
from convsmith.training.tensors import copy_tensors

_MESSAGES = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "bad_alloc",
    "bad allocation",
    "could not create a primitive\n",  # oneDNN without room for its code; "primitive descriptor" is another fault
)


def out_of_memory(error: BaseException) -> bool:
    """Whether ``error`` says that memory could not be had; torch has several ways to say so."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    text = f"{error}\n".lower()
    return isinstance(error, RuntimeError) and any(message in text for message in _MESSAGES)


class Parts:
    """Forward and backward passes over the parts of a batch.

    Args:
        module: The network, in training mode.
        setup: Device, number type and layout; its ``micro_batch`` is the size of a part at first.
        batch: Images in a full batch.
        classes: Scores that the network must give.
        label_smoothing: Of the loss.
        group: The processes that have the batch together; with several, each does its part of it as a whole.
        class_weights: How much an image of each class counts, (classes,), one on average; or None if all are alike.

    Attributes:
        size: Most images of a part.
        scaler: What the loss is multiplied by before its gradients are worked out, which matters in float16 alone.
    """

    def __init__(
        self,
        module: nn.Module,
        setup: Setup,
        batch: int,
        classes: int,
        label_smoothing: float,
        group: Group | None = None,
        class_weights: torch.Tensor | None = None,
    ) -> None:
        self._module, self._setup, self._classes, self._smoothing = module, setup, classes, label_smoothing
        self._class_weights = setup.moved(class_weights) if class_weights is not None else None
        self._group = group or Group()
        self._run = self._group.wrapped(module)
        self._buffers = [buffer.detach() for buffer in module.buffers()]
        self._before = [buffer.clone() for buffer in self._buffers]
        self.size = min(setup.micro_batch or batch, batch)
        self.scaler = setup.make_scaler()
        self.has_batch_norm = any(isinstance(layer, _BatchNorm) for layer in module.modules())

    def settle(self, height: int, width: int, channels: int) -> None:
        """Where several processes train, take one step whose result is thrown away.

        After its first backward pass torch lays the gradients out anew to exchange them, and the order of sums over
        three processes or more follows the layout. So every step that counts has the last layout, after a resume too.
        """
        if self._group.is_alone:
            return
        copy_tensors(self._buffers, self._before)
        with self._group.failures_named():
            self._setup.forward(self._run, torch.zeros(2, channels, height, width)).sum().backward()
        copy_tensors(self._before, self._buffers)

    def gradients(self, images: torch.Tensor, labels: torch.Tensor, check: Callable[[float], None]) -> float | None:
        """Put the gradients of the batch into the parameters.

        Args:
            images: (N, C, H, W), float32: those of this process.
            labels: (N,) or (N, classes).
            check: Called with the loss of each part, of all processes together, before its gradients are worked out.

        Returns:
            The mean loss; or ``None`` if memory did not suffice. The running statistics are then as before, and the
            next call takes smaller parts.

        Raises:
            TrainingError: If the network gives other scores, or parts cannot be made smaller.
        """
        copy_tensors(self._buffers, self._before)
        try:
            return self._sum(images, labels, check)
        except (MemoryError, RuntimeError) as error:
            if not (out_of_memory(error) and self._group.is_alone):
                raise
        # Not in the handler: the error would keep the activations alive.
        copy_tensors(self._before, self._buffers)
        self._module.zero_grad(set_to_none=True)
        self.size = self._smaller(len(images))
        return None

    def _sum(self, images: torch.Tensor, labels: torch.Tensor, check: Callable[[float], None]) -> float:
        self._module.zero_grad(set_to_none=True)
        count = _count(len(images), self.size)
        total = 0.0
        for some, theirs in zip(images.tensor_split(count), labels.tensor_split(count), strict=True):
            scores = self._setup.forward(self._run, some)
            if scores.shape != (len(some), self._classes):
                rule = f"the network must give {self._classes} scores for each image"
                raise TrainingError(rule, received=tuple(scores.shape), remedy="set the classes of its head")
            loss = self._loss(scores, self._setup.moved(theirs))
            value = self._group.loss(loss.item())
            check(value)
            share = len(some) / len(images)
            weight = share * self._group.weight
            self.scaler.scale(loss * weight if weight != 1.0 else loss).backward()
            total += value * share
        return total

    def _loss(self, scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        if self._class_weights is None:
            return functional.cross_entropy(scores, labels, label_smoothing=self._smoothing)
        losses = functional.cross_entropy(scores, labels, label_smoothing=self._smoothing, reduction="none")
        hard = labels.ndim == 1
        weights = self._class_weights[labels] if hard else labels @ self._class_weights
        return (losses * weights).mean()

    def _smaller(self, images: int) -> int:
        largest = math.ceil(images / _count(images, self.size))
        half = max(largest // 2, 2)
        if _count(images, half) == _count(images, self.size):
            remedy = "train a smaller network, or at a lower resolution"
            raise TrainingError(f"memory must suffice for {largest} images at a time", remedy=remedy)
        return half


def _count(images: int, size: int) -> int:
    """Parts of a batch, as even as can be and of at least two images, because of batch norm."""
    return max(1, min(math.ceil(images / size), images // 2))
