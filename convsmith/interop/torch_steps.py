"""The steps in which a network runs, and how steps merge into one operator for training."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from convsmith.kernels import (
    Activation,
    activation_of,
    depthwise,
    normalise,
    normed_depthwise,
    takes_depthwise,
    takes_map,
    takes_norm,
)
from convsmith.kernels.activation import NO_ACTIVATION
from convsmith.ops.torch_modules import Call, pointwise


class Child(NamedTuple):
    """A module by its place, looked up at every run, so that a replaced child is respected.

    Attributes:
        parent: The container that holds it.
        name: Its name there.
    """

    parent: nn.Module
    name: str

    @property
    def module(self) -> nn.Module:
        """What is there now."""
        found = self.parent._modules[self.name]
        assert found is not None
        return found

    def __call__(self, *inputs: Tensor) -> Tensor:
        """Run it."""
        return self.parent._modules[self.name](*inputs)  # pyright: ignore[reportOptionalCall]


class Step(NamedTuple):
    """A module, or several in one, ready to run.

    Attributes:
        run: What to call.
        inputs: Slots it reads.
        output: Slot it fills.
        dead: Slots that nobody reads afterwards.
    """

    run: Callable[..., Tensor]
    inputs: tuple[int, ...]
    output: int
    dead: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Normalised:
    """A normalisation with what is added to it and its activation."""

    norm: Child
    add: Child | None
    follows: Child | None
    activation: Activation

    def __call__(self, x: Tensor, *added: Tensor) -> Tensor:
        """One operator where the kernels take the maps, else the modules one after the other."""
        norm = self.norm.module
        alike = all(map.shape == x.shape and map.dtype == x.dtype and takes_map(map) for map in added)
        if takes_map(x) and alike and isinstance(norm, nn.BatchNorm2d) and takes_norm(norm):
            return normalise(x, norm, self.activation, *added)
        y = norm(x)
        for map in added:
            y = self.add(y, map) if self.add else y
        return self.follows(y) if self.follows else y


@dataclasses.dataclass(frozen=True)
class Depthwise:
    """A depthwise convolution."""

    convolution: Child

    def __call__(self, x: Tensor) -> Tensor:
        """By the kernels where they take the map."""
        module = self.convolution.module
        if torch.is_autocast_enabled("cpu"):
            x = x.to(torch.get_autocast_dtype("cpu"))
        if takes_map(x) and isinstance(module, nn.Conv2d) and module.weight.dtype == torch.float32:
            return depthwise(x, module.weight, module.stride[0], int(module.padding[0]))
        return module(x)


@dataclasses.dataclass(frozen=True)
class NormedDepthwise:
    """A normalisation with its activation, and the depthwise convolution that alone reads it."""

    normalised: Normalised
    depthwise: Depthwise

    def __call__(self, x: Tensor) -> Tensor:
        """One operator where the kernels take the map, else one after the other."""
        norm, module = self.normalised.norm.module, self.depthwise.convolution.module
        cast = torch.is_autocast_enabled("cpu") and x.dtype != torch.get_autocast_dtype("cpu")
        if (
            takes_map(x)
            and not cast
            and isinstance(norm, nn.BatchNorm2d)
            and takes_norm(norm)
            and isinstance(module, nn.Conv2d)
            and module.weight.dtype == torch.float32
        ):
            stride, padding = module.stride[0], int(module.padding[0])
            return normed_depthwise(x, norm, self.normalised.activation, module.weight, stride, padding)
        return self.depthwise(self.normalised(x))


@dataclasses.dataclass(frozen=True)
class Pointwise:
    """A 1x1 convolution."""

    convolution: Child

    def __call__(self, x: Tensor) -> Tensor:
        """As a linear layer where the map lies so."""
        module = self.convolution.module
        if not (isinstance(module, nn.Conv2d) and x.is_contiguous(memory_format=torch.channels_last)):
            return module(x)
        return pointwise(x, module.weight, module.bias)


def merged(steps: Sequence[Step], outputs: Sequence[int]) -> list[Step]:
    """The steps with every normalisation merged with what follows it, and faster ways to run some convolutions."""
    readers: dict[int, list[Step]] = {}
    for step in steps:
        for slot in step.inputs:
            readers.setdefault(slot, []).append(step)

    def next_alone(step: Step) -> Step | None:
        """The one reader of what a step gives, unless it has merged with another."""
        found = readers.get(step.output, [])
        alone = len(found) == 1 and step.output not in outputs and found[0].output not in gone
        return found[0] if alone else None

    taken: dict[int, Step] = {}  # by the slot of the last of the merged: what takes their place
    gone = set[int]()
    for step in steps:
        if step.output in gone or not isinstance(step.run, Child):
            continue
        module = step.run.module
        if takes_depthwise(module):
            taken[step.output] = step._replace(run=Depthwise(step.run))
        elif _is_pointwise(module):
            taken[step.output] = step._replace(run=Pointwise(step.run))
        elif type(module) is nn.BatchNorm2d:
            parts, one = _from_norm(step, next_alone)
            taken[one.output] = one
            gone.update(part.output for part in parts)
    kept = [taken.get(step.output, step) for step in steps if step.output in taken or step.output not in gone]
    return _with_dead(kept, outputs)


def _from_norm(norm: Step, next_alone: Callable[[Step], Step | None]) -> tuple[list[Step], Step]:
    """The steps that merge with a normalisation, itself included, and the step that they become."""
    last, parts, inputs = norm, [norm], norm.inputs
    add = follows = None
    activation = NO_ACTIVATION
    reader = next_alone(last)
    if reader is not None and _adds(reader):
        after = next_alone(reader)
        known = _activation(after)
        if known is None or known.clips:
            last, add = reader, reader.run
            parts.append(reader)
            inputs = (*inputs, *[slot for slot in reader.inputs if slot != norm.output])
            reader = after
    known = _activation(reader)
    if reader is not None and known is not None:
        last, follows, activation = reader, reader.run, known
        parts.append(reader)
    assert isinstance(norm.run, Child)
    run = Normalised(norm.run, add, follows, activation)  # pyright: ignore[reportArgumentType]
    reader = next_alone(last)
    if add is None and reader is not None and isinstance(reader.run, Child) and takes_depthwise(reader.run.module):
        parts.append(reader)
        return parts, Step(NormedDepthwise(run, Depthwise(reader.run)), inputs, reader.output, ())
    return parts, Step(run, inputs, last.output, ())


def _is_pointwise(module: nn.Module) -> bool:
    if type(module) is not nn.Conv2d:
        return False
    return module.kernel_size == module.stride == (1, 1) and module.padding == (0, 0) and module.groups == 1


def _adds(step: Step) -> bool:
    """Whether a step is the sum of two different maps."""
    module = step.run.module if isinstance(step.run, Child) else None
    return isinstance(module, Call) and module.function is torch.add and len(set(step.inputs)) == 2


def _activation(step: Step | None) -> Activation | None:
    return activation_of(step.run.module) if step is not None and isinstance(step.run, Child) else None


def _with_dead(steps: Sequence[Step], outputs: Sequence[int]) -> list[Step]:
    """The steps, each with the slots that nobody reads after it."""
    left = Counter(slot for step in steps for slot in set(step.inputs))
    left.update(outputs)
    renewed: list[Step] = []
    for step in steps:
        left.subtract(set(step.inputs))
        dead = [slot for slot in (*dict.fromkeys(step.inputs), step.output) if left[slot] == 0]
        renewed.append(step._replace(dead=tuple(dead)))
    return renewed
