"""How torch's functions that sum up elements become operators; see ``torch_read_layers``."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # the field's name for it

from convsmith.interop.common_ops import MAXIMUM, MINIMUM, Arithmetic
from convsmith.interop.recorder import Value
from convsmith.interop.torch_read_elementwise import combine, join, pointwise
from convsmith.interop.torch_read_layers import Handler
from convsmith.interop.torch_trace import Trace, make
from convsmith.ops import Clip, Div, Reduce


def _reduce(function: str) -> Handler:
    def handler(
        t: Trace, input: Tensor, dim: Any = None, keepdim: bool = False, *, axis: Any = None, dtype: Any = None
    ) -> Any:
        return reduce(t, function, input, dim if axis is None else axis, keepdim=keepdim)

    return handler


def _spread(function: str) -> Handler:
    """``var`` and ``std``, whose third argument by place is the correction or whether there is one."""

    def handler(
        t: Trace, input: Tensor, dim: Any = None, unbiased: bool = True, keepdim: bool = False,
        *, correction: int | None = None,
    ) -> Any:  # fmt: skip
        if isinstance(dim, bool):
            dim, unbiased = None, dim
        taken_off = int(unbiased) if correction is None else correction
        return reduce(t, function, input, dim, keepdim=keepdim, correction=taken_off)

    return handler


def reduce(
    t: Trace, function: str, input: Tensor, dim: Any = None, *, keepdim: bool = False, correction: int = 1
) -> Any:
    """One number for each place along the axes that are left."""
    value = t.values.get(id(input))
    if value is None or isinstance(dim, Tensor):
        return NotImplemented
    rank = input.dim()
    dims = range(rank) if dim is None else (dim,) if isinstance(dim, int) else dim
    value, axes = t.recorder.reduced(value, dims, keepdim=keepdim)
    result = t.step(make(Reduce, function, axes, keepdim, correction), value, function=function, on_map=True)
    return t.track(result if keepdim else Value(result.name))


def _extreme(function: str, two: Arithmetic) -> Handler:
    """``max`` and ``min``: over all elements, along an axis (with the indices), or of two tensors."""

    def handler(t: Trace, input: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
        if isinstance(dim, Tensor):
            return combine(t, two, function, input, dim)
        values = reduce(t, function, input, dim, keepdim=keepdim)
        if dim is None or values is NotImplemented:
            return values
        indices = torch.empty(tuple(values.shape), dtype=torch.int64, device="meta")
        return getattr(torch.return_types, function)((values, indices))

    return handler


def _norm(t: Trace, input: Tensor, p: Any = 2, dim: Any = None, keepdim: bool = False, **_: Any) -> Any:
    function = {2: "l2", 1: "l1", None: "l2", "fro": "l2"}.get(p)
    return NotImplemented if function is None else reduce(t, function, input, dim, keepdim=keepdim)


def _vector_norm(t: Trace, input: Tensor, ord: Any = 2, dim: Any = None, keepdim: bool = False, **_: Any) -> Any:
    return _norm(t, input, ord, dim, keepdim)


def _normalize(t: Trace, input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12, out: None = None) -> Any:
    if id(input) not in t.values:
        return NotImplemented
    length = _norm(t, input, p, dim, True)
    if length is NotImplemented:
        return length
    divisor = pointwise(t, make(Clip, float(eps), None), length, "clamp")
    return t.track(join(t, make(Div), input, divisor, "div"))


REDUCE: dict[Any, Handler] = {
    torch.max: _extreme("max", MAXIMUM),
    Tensor.max: _extreme("max", MAXIMUM),
    torch.min: _extreme("min", MINIMUM),
    Tensor.min: _extreme("min", MINIMUM),
    torch.norm: _norm,
    Tensor.norm: _norm,
    torch.linalg.vector_norm: _vector_norm,
    F.normalize: _normalize,
    torch.var: _spread("var"),
    Tensor.var: _spread("var"),
    torch.std: _spread("std"),
    Tensor.std: _spread("std"),
}
"""The handler of every function that sums up elements."""

for _name, _function in (("mean", "mean"), ("sum", "sum"), ("amax", "max"), ("amin", "min")):
    REDUCE[getattr(torch, _name)] = REDUCE[getattr(Tensor, _name)] = _reduce(_function)
