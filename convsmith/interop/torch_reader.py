"""Any torch module as a graph, without running it: its ``forward`` is called once with tensors that have no memory.

A mode sees every torch function that ``forward`` calls. Those about the network's input are answered by our own
operators, whose shape rules take the place of torch's; nothing is computed, no weight is needed, and the module is
left exactly as it was: nothing is registered on it or replaced in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MethodWrapperType
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

from convsmith.errors import ConvsmithError, ModelError, OpError, first_line
from convsmith.interop.reading import Reading, Unknown
from convsmith.interop.torch_read_attention import ATTENTION
from convsmith.interop.torch_read_elementwise import ELEMENTWISE
from convsmith.interop.torch_read_layers import LAYERS
from convsmith.interop.torch_read_reduce import REDUCE
from convsmith.interop.torch_read_resample import RESAMPLE
from convsmith.interop.torch_read_shapes import SHAPES
from convsmith.interop.torch_read_windows import WINDOWS
from convsmith.interop.torch_trace import Trace
from convsmith.ir import TensorType
from convsmith.ir.types import ITEM_BYTES
from convsmith.ops import Opaque

_HANDLERS: Final[Mapping[Any, Callable[..., Any]]] = {
    **LAYERS, **ELEMENTWISE, **REDUCE, **RESAMPLE, **SHAPES, **WINDOWS, **ATTENTION,
}  # fmt: skip

_ASKING: Final = frozenset(
    {
        "dim", "size", "numel", "nelement", "ndimension", "stride", "is_floating_point", "is_contiguous", "_assert",
        "__len__", "is_complex", "element_size", "storage_offset", "get_device", "data_ptr", "__hash__", "__repr__",
        "__format__", "is_tensor", "is_grad_enabled", "result_type", "is_same_size", "__set__",
    }
)  # fmt: skip
"""Functions that ask about a tensor's shape or type and never about its numbers."""

_DECIDING: Final = frozenset(
    {"__bool__", "item", "tolist", "__int__", "__float__", "__index__", "__contains__", "nonzero", "is_nonzero",
     "equal", "allclose", "numpy", "__array__", "unique", "masked_select"}
)  # fmt: skip
"""Functions whose result depends on numbers, which are not there."""


_SAME_CALL: Final[Mapping[str, Callable[[int], tuple[Any, ...]]]] = {
    "data": lambda _: (Tensor.detach,),
    **dict.fromkeys(("T", "H"), lambda rank: (Tensor.permute, tuple(reversed(range(rank))))),
    **dict.fromkeys(("mT", "mH"), lambda _: (Tensor.transpose, -2, -1)),
}
"""Attributes that are tensors, each with the call that gives the same one of real numbers, by their rank."""

_FRESH: Final = frozenset(
    {
        "new_zeros", "new_ones", "new_empty", "new_full", "new_tensor",
        "zeros_like", "ones_like", "empty_like", "full_like",
    }
)  # fmt: skip
"""Functions that take a tensor only for its type and shape."""


class _Decided(Exception):
    """``forward`` asked for a number."""


class _Reader(TorchFunctionMode):
    """The mode that sees every torch function called while it is on."""

    def __init__(self, trace: Trace, *, run: bool) -> None:
        super().__init__()
        self.trace = trace
        self.run = run
        self._truths: dict[int, Tensor] = {}  # results of comparisons: they decide, and are no values of the graph

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Answer one call."""
        if type(func) is MethodWrapperType:
            return self._attribute(func, types, args)
        handler = _HANDLERS.get(func)
        if handler is not None:
            try:
                result = handler(self.trace, *args, **kwargs) if kwargs else handler(self.trace, *args)
            except OpError as error:
                return self._refused(func, args, kwargs or {}, error)
            if result is not NotImplemented:
                return self._performed(func, args, kwargs or {}, result) if self.run else result
        return self._other(func, args, kwargs or {})

    def _attribute(self, func: Any, types: Any, args: Sequence[Any]) -> Any:
        """What ``shape`` says is known; ``mT`` is another tensor, and read as the call that gives it."""
        if func.__name__ == "__set__" and _attribute_of(func) == "data":
            return self._replaced(func, *args)
        same = _SAME_CALL.get(_attribute_of(func)) if func.__name__ == "__get__" else None
        if same is not None and not args[0].is_complex():
            call, *more = same(args[0].dim())
            return self.__torch_function__(call, types, (args[0], *more))
        result = func(*args)
        made = isinstance(result, Tensor) and result is not args[0]
        return self._other(func, args, {}) if made else result

    def _replaced(self, func: Any, tensor: Tensor, other: Tensor) -> None:
        """``tensor.data = other``: from here on the one stands for the other; what is stored stays as it is."""
        trace = self.trace
        stored = id(tensor) in trace.params or id(tensor) in trace.buffers
        if stored or (other.is_meta and not tensor.is_meta):  # memory cannot be taken from a tensor
            trace.unknown.append(Unknown("Tensor.data", trace.place()[0] or "forward"))
            return
        if id(tensor) in trace.values or id(other) in trace.values:
            trace.bind(tensor, trace.operand(other))
        func(tensor, _without_memory(other) if tensor.is_meta else other)

    def _performed(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], stand_in: Any) -> Any:
        """The real result, standing for the values that the stand-in has."""
        values = [self.trace.values.get(id(leaf)) for leaf in _tensors(stand_in)]
        result = func(*args, **kwargs)
        tensors = _tensors(result)
        for tensor, value in zip(tensors, values, strict=True):
            if value is not None:
                self.trace.bind(tensor, value)
        return result

    def _refused(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], error: OpError) -> Any:
        """Our operator cannot take this call: torch neither, or it is one that has no operator."""
        try:
            return self._unknown(func, args, kwargs, str(error))
        except (RuntimeError, ValueError, TypeError) as torch_error:
            raise ModelError(str(error)) from torch_error

    def _other(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        name = getattr(func, "__name__", str(func))
        if name in _ASKING or name in _FRESH:
            return func(*args, **kwargs)
        tensors = _tensors((args, kwargs))
        if name in _DECIDING and not self.run and any(map(self._depends, tensors)):
            raise _Decided(name)
        if any(id(tensor) in self.trace.values for tensor in tensors):
            return self._unknown(func, args, kwargs)
        return self._constant(func, args, kwargs, tensors, name)

    def _depends(self, tensor: Tensor) -> bool:
        """Whether a tensor depends on the network's input."""
        return id(tensor) in self.trace.values or id(tensor) in self._truths

    def _constant(
        self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], tensors: list[Tensor], name: str
    ) -> Any:
        """A call about nothing but parameters, buffers and what was made from them: it is simply made."""
        trace = self.trace
        stored = args and (id(args[0]) in trace.params or id(args[0]) in trace.buffers)
        if stored and ((name.endswith("_") and not name.endswith("__")) or name in ("__setitem__", "__iadd__")):
            args = (args[0].detach().clone(), *args[1:])  # what is stored stays as it is
        if any(tensor.is_meta for tensor in tensors) and not all(tensor.is_meta for tensor in tensors):
            args, kwargs = tree_map(_without_memory, (args, kwargs))
        result = func(*args, **kwargs)
        outputs = _tensors(result)
        if outputs:
            trace.derive(tensors, outputs)
        return result

    def _unknown(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], reason: str = "") -> Any:
        """A call that has no operator: torch's own shape rule answers, and it is noted."""
        trace = self.trace
        values = [trace.values[id(leaf)] for leaf in tree_leaves((args, kwargs)) if id(leaf) in trace.values]
        if not self.run:
            args, kwargs = tree_map(_without_memory, (args, kwargs))
        result = func(*args, **kwargs)
        outputs = _tensors(result)
        if all(tensor.dtype is torch.bool for tensor in outputs):
            self._truths |= {id(tensor): tensor for tensor in outputs}
            return result
        name = _name_of(func)
        path, _ = trace.place()
        trace.unknown.append(Unknown(name, f"{path or 'forward'}{f' ({reason})' if reason else ''}"))
        for tensor in outputs:
            kind = str(tensor.dtype).removeprefix("torch.")
            op = Opaque(name, tuple(tensor.shape), kind if kind in ITEM_BYTES else "float32")
            trace.bind(tensor, trace.step(op, *values, function=name.rpartition(".")[2].strip("_")))
        return result


def read_module(
    module: nn.Module, input: tuple[int, int, int] = (3, 224, 224), *, name: str = "", run: bool = False
) -> Reading:
    """The graph of ``module`` in evaluation mode, for one image.

    Args:
        module: Any module of one image.
        input: (channels, height, width).
        name: What to call the network; its class, if empty.
        run: Compute for real, on an image of zeros, for a ``forward`` that decides by numbers.

    Raises:
        ModelError: If ``forward`` fails on such an image or decides by numbers that are not there.
    """
    trace = Trace(module, name or type(module).__name__)
    if any([isinstance(part, torch.jit.ScriptModule) for part in trace.modules]):
        rule = "a scripted module runs outside Python, where its steps cannot be seen"
        raise ModelError(rule, where=name, remedy="give the module that it was made from, or export it to ONNX")
    type_ = TensorType((1, *input))
    image = torch.zeros(type_.shape) if run else torch.empty(type_.shape, device="meta")
    reader = _Reader(trace, run=run)
    trace.bind(image, trace.recorder.input(type_))
    with torch.no_grad(), _evaluating(trace.modules), _same_chance():
        try:
            with reader:
                output = module(image)
        except _Decided as error:
            rule = f"forward decides by the numbers of a tensor ({error}), which reading does not compute"
            raise ModelError(
                rule, where=trace.recorder.name, remedy="run it for real with `--run` (run=True)"
            ) from error
        except ConvsmithError:
            raise
        except Exception as error:
            rule = f"forward fails on input {list(type_.shape)}: {first_line(error)}"
            raise ModelError(rule, where=trace.recorder.name) from error
    outputs = [trace.values[id(leaf)] for leaf in tree_leaves(_plain(output)) if id(leaf) in trace.values]
    if not outputs:
        raise ModelError(
            "forward must return a tensor that depends on its input",
            received=type(output).__name__,
            where=trace.recorder.name,
        )
    graph = trace.recorder.graph(*dict.fromkeys(outputs))
    unused = {home.name: tuple(home.tensor.shape) for key, home in trace.params.items() if key not in trace.used}
    warnings = ("run on an image of zeros: where the network decides by numbers, another image may go another way",)
    return Reading(
        graph, unused=unused, unknown=tuple(trace.unknown), called=trace.called, warnings=warnings if run else ()
    )


@contextmanager
def _evaluating(modules: Iterable[nn.Module]) -> Iterator[None]:
    """Evaluation mode, and the mode of each module back afterwards."""
    # past torch's own __setattr__, which looks for parameters and takes longer than all the rest
    training = [attributes for attributes in map(vars, modules) if attributes.get("training")]
    for attributes in training:
        attributes["training"] = False
    try:
        yield
    finally:
        for attributes in training:
            attributes["training"] = True


@contextmanager
def _same_chance() -> Iterator[None]:
    """Torch's random numbers go on afterwards as if nothing had happened."""
    state = torch.get_rng_state()
    try:
        yield
    finally:
        torch.set_rng_state(state)


def _tensors(value: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]


def _without_memory(value: Any) -> Any:
    if isinstance(value, torch.device):
        return torch.device("meta")
    return value.detach().to("meta") if isinstance(value, Tensor) and not value.is_meta else value


def _plain(output: Any) -> Any:
    """Results of classes that only look like containers, as lists."""
    if isinstance(output, Mapping):
        return list(output.values())
    return output


def _attribute_of(func: Any) -> str:
    return func.__self__.__name__


def _name_of(func: Any) -> str:
    if type(func) is MethodWrapperType:
        return f"Tensor.{_attribute_of(func)}"
    name = getattr(func, "__qualname__", None) or getattr(func, "__name__", str(func))
    return str(name).replace("TensorBase.", "Tensor.").replace("_VariableFunctionsClass.", "torch.")
