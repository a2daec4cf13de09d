"""What is known while a torch module is being read: which tensor is which value, and whose parameters are whose.

Tensors that depend on the network's input are tracked, each as a value of the graph. All others are parameters,
buffers or made from them; they enter the graph where a tracked tensor meets them.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from types import FrameType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from convsmith.interop.reading import Unknown
from convsmith.interop.recorder import CHANNELS_FIRST, Recorder, Value, beside
from convsmith.ir import Op, Shape
from convsmith.ops import Constant


@lru_cache(maxsize=2**10)
def _blank(shape: Shape) -> Tensor:
    """A tensor without memory; ``detach`` gives another one faster than making it anew."""
    return torch.empty(shape, device="meta")


@lru_cache(maxsize=2**13)
def make(kind: type[Any], *attributes: Any) -> Any:
    """An operator, made and checked once for equal attributes."""
    return kind(*attributes)


class Home(NamedTuple):
    """Where a parameter or buffer is kept.

    Attributes:
        name: Its full name.
        path: Path of its module.
        ran: What the module is, see ``_ran``.
    """

    name: str
    tensor: Tensor
    path: str
    ran: str


class Trace:
    """The state of one reading.

    Attributes:
        recorder: The graph so far.
        values: The value of every tracked tensor, by ``id``.
        called: Class of the module that ran each node, see ``Reading``.
        unknown: What was not understood so far.
        params: The home of every parameter, by ``id``.
        buffers: The home of every buffer.
        modules: All modules, once each.
        used: Ids of the parameters that something has read.
    """

    def __init__(self, module: nn.Module, name: str) -> None:
        self.recorder = Recorder(name)
        self.values: dict[int, Value] = {}
        self.called: dict[str, str] = {}
        self.unknown: list[Unknown] = []
        self.params: dict[int, Home] = {}
        self.buffers: dict[int, Home] = {}
        self.modules: list[nn.Module] = []
        self.used: set[int] = set()
        self._paths: dict[int, tuple[str, str]] = {}
        self._owners: dict[int, str] = {}
        self._constants: dict[tuple[int, Shape], str] = {}
        self._sources: dict[int, frozenset[int]] = {}
        self._kept: list[Tensor] = []  # an id stays taken as long as its tensor lives
        self._walk(module, "")

    def _walk(self, module: nn.Module, path: str) -> None:
        if id(module) in self._paths:
            return
        children = module._modules
        ran = "" if children else _ran(type(module))
        self._paths[id(module)] = (path, ran)
        self.modules.append(module)
        dot = f"{path}." if path else ""
        for stored, known in ((module._parameters, self.params), (module._buffers, self.buffers)):
            if stored:
                for name, tensor in stored.items():
                    if tensor is not None and id(tensor) not in known:
                        known[id(tensor)] = Home(dot + name, tensor, path, ran)
        if children:
            for name, child in children.items():
                if child is not None:
                    self._walk(child, dot + name)

    def track(self, value: Value) -> Tensor:
        """A new tensor, without memory, that stands for ``value``."""
        return self.bind(_blank(self.recorder.shape(value)).detach(), value)

    def bind(self, tensor: Tensor, value: Value) -> Tensor:
        """Let an existing tensor stand for ``value``."""
        self.values[id(tensor)] = value
        self._kept.append(tensor)
        return tensor

    def place(self) -> tuple[str, str]:
        """Path of the module that is running, and what it is, see ``_ran``; empty for one with modules inside."""
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and frame.f_code.co_name != "__torch_function__":
            frame = frame.f_back  # our own functions: looking into a frame is slow
        while frame is not None:
            code = frame.f_code
            if code.co_varnames[:1] == ("self",) and code.co_name != "__torch_function__":
                found = self._paths.get(id(frame.f_locals.get("self")))
                if found is not None:
                    return found
            frame = frame.f_back
        return "", ""

    def step(self, op: Op, *values: Value, function: str, on_map: bool = False) -> Value:
        """A node without parameters of its own, named after the module that is running.

        Args:
            op: The operator.
            values: What it reads.
            function: What to call it within a module that does more than this.
            on_map: Whether it reads maps as the graph keeps them, see ``Recorder.add_on_map``.
        """
        name, ran = self.named(function)
        value = (self.recorder.add_on_map if on_map else self.recorder.add)(op, *values, name=name)
        self.called[value.name] = ran
        return value

    def named(self, function: str) -> tuple[str, str]:
        """Name of a node of the module that is running, and what ran it, see ``Reading.called``."""
        path, ran = self.place()
        name = path if ran and path else f"{path}.{function}" if path else function
        return name, ran if ran and ran[-1] != "." else ran + function

    def layer(self, op: Op, value: Value, *tensors: Tensor | None, on_map: bool = False) -> Tensor:
        """A node with parameters, named after the module that holds the first of them."""
        weight = tensors[0] if tensors[0] is not None else next(tensor for tensor in tensors if tensor is not None)
        home = self.params.get(id(weight)) or self._home(weight)
        path, ran = (home.path, home.ran) if home else self.place()
        owner = self._owners.get(id(weight), "")
        add = self.recorder.add_on_map if on_map else self.recorder.add
        result = add(op, value, name=path or "layer", shares=owner)
        if not owner:
            self._owners[id(weight)] = result.name
            self._kept.append(weight)
        self.called[result.name] = ran
        for tensor in tensors:
            if id(tensor) in self.params:
                self.used.add(id(tensor))
            elif id(tensor) in self._sources and tensor is not None:
                self._home(tensor)
                self._record_sources(id(tensor))
        return self.track(result)

    def concerns(self, *tensors: Tensor) -> bool:
        """Whether a product of these is work of the network: one of them depends on its input or on its parameters."""
        known = (self.values, self.params, self._sources)
        return any(id(tensor) in ids for tensor in tensors for ids in known)

    def is_composed(self, tensor: Tensor | None) -> bool:
        """Whether a tensor was made from several parameters, or from one of another size."""
        return tensor is not None and id(tensor) in self._sources and self._source_of(tensor) is None

    def derive(self, inputs: list[Tensor], outputs: list[Tensor]) -> None:
        """Remember from which parameters untracked tensors were made."""
        sources = frozenset[int]().union(*map(self._sources_of, inputs))
        if sources:
            for tensor in outputs:
                if id(tensor) not in self.params:
                    self._sources[id(tensor)] = sources
                    self._kept.append(tensor)

    def operand(self, tensor: Tensor, like: Value | None = None) -> Value:
        """A tensor as a value: its own if it is tracked, else a constant in the layout of ``like``."""
        value = self.values.get(id(tensor))
        if value is not None:
            return value
        shape = tuple(tensor.shape)
        if like is not None and like.channels_last and 0 < len(shape) <= 4:
            shape = tuple(beside(shape)[axis] for axis in CHANNELS_FIRST)
        key = (id(tensor), shape)
        if key not in self._constants:
            self._constants[key] = self._constant(tensor, shape)
            self._kept.append(tensor)
        return Value(self._constants[key])

    def _constant(self, tensor: Tensor, shape: Shape) -> str:
        found = self._home(tensor)
        path = self.place()[0]
        label = found.name if found else f"{path}.constant" if path else "constant"
        learned = found is not None and id(tensor) not in self.buffers
        name = self.recorder.add(make(Constant, shape, learned), name=label).name
        self._record_sources(id(tensor))
        self.called[name] = ""
        return name

    def _sources_of(self, tensor: Tensor) -> frozenset[int]:
        return frozenset((id(tensor),)) if id(tensor) in self.params else self._sources.get(id(tensor), frozenset())

    def _home(self, tensor: Tensor) -> Home | None:
        """Home of the parameter or buffer that this is, or that it was made from without changing size."""
        found = self.params.get(id(tensor)) or self._source_of(tensor)
        if found is not None:
            self.used.add(id(found.tensor))
            return found
        return self.buffers.get(id(tensor))

    def _source_of(self, tensor: Tensor) -> Home | None:
        sources = (self.params[source] for source in self._sources.get(id(tensor), ()) if source not in self.used)
        same = [home for home in sources if home.tensor.numel() == tensor.numel()]
        return same[0] if len(same) == 1 else None

    def _record_sources(self, tensor: int) -> None:
        """Enter the parameters that a tensor was made from beside its main one, so that they are counted."""
        for source in sorted(self._sources.get(tensor, ()), key=lambda source: self.params[source].name):
            if source not in self.used:
                self.used.add(source)
                home = self.params[source]
                self.called[self.recorder.add(make(Constant, tuple(home.tensor.shape)), name=home.name).name] = ""


@lru_cache(maxsize=2**10)
def _ran(kind: type[nn.Module]) -> str:
    """How ``Reading.called`` speaks of a module without modules inside: ``ReLU``, or ``X.`` of another package."""
    return kind.__name__ if kind.__module__.startswith("torch.nn.") else f"{kind.__name__}."
