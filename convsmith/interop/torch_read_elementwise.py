"""How torch's elementwise functions become operators; see ``torch_read_layers`` for what a handler is."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # the field's name for it

from convsmith.errors import OpError
from convsmith.interop.common_ops import ADD, DIV, MAXIMUM, MINIMUM, MUL, POW, SUB, Arithmetic, bounded
from convsmith.interop.recorder import Value
from convsmith.interop.torch_read_layers import Handler
from convsmith.interop.torch_trace import Trace, make
from convsmith.ops import (
    ELU,
    GELU,
    HardSigmoid,
    HardSwish,
    LeakyReLU,
    Mish,
    Pointwise,
    PReLU,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
)
from convsmith.ops.arithmetic import FUNCTIONS


def pointwise(t: Trace, op: Any, input: Tensor, function: str, *, inplace: bool = False) -> Any:
    """One number in, one number out; in place, the tensor stands for the result from now on."""
    value = t.values.get(id(input))
    if value is None:
        return NotImplemented
    result = t.step(op, value, function=function, on_map=True)
    if not inplace:
        return t.track(result)
    t.values[id(input)] = result
    return input


def _activation(kind: type[Any], function: str, *, always_inplace: bool = False) -> Handler:
    def handler(t: Trace, input: Tensor, inplace: bool = False) -> Any:
        return pointwise(t, make(kind), input, function, inplace=inplace or always_inplace)

    return handler


def _function(function: str, *, inplace: bool = False) -> Handler:
    def handler(t: Trace, input: Tensor) -> Any:
        return pointwise(t, make(Pointwise, function), input, function, inplace=inplace)

    return handler


def _gelu(t: Trace, input: Tensor, approximate: str = "none") -> Any:
    return pointwise(t, make(GELU, approximate), input, "gelu")


def _leaky_relu(t: Trace, input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Any:
    return pointwise(t, make(LeakyReLU, negative_slope), input, "leaky_relu", inplace=inplace)


def _elu(t: Trace, input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Any:
    return pointwise(t, make(ELU, alpha), input, "elu", inplace=inplace)


def _softplus(t: Trace, input: Tensor, beta: float = 1, threshold: float = 20) -> Any:
    return pointwise(t, make(Softplus), input, "softplus") if beta == 1 else NotImplemented


def _prelu(t: Trace, input: Tensor, weight: Tensor) -> Any:
    value = t.values.get(id(input))
    if value is None or id(weight) in t.values:
        return NotImplemented
    return t.layer(make(PReLU, weight.numel()), value, weight)


def _clip(t: Trace, input: Tensor, min: Any = None, max: Any = None, inplace: bool = False) -> Any:
    if id(input) not in t.values:
        return NotImplemented
    low, high = (None if bound is None else _number(t, bound, input.dim()) for bound in (min, max))
    if (low, high).count(None) > (min, max).count(None):
        raise OpError("a bound is not a number that is known")
    return pointwise(t, bounded(low, high), input, "clamp", inplace=inplace)


def _clip_inplace(t: Trace, input: Tensor, min: Any = None, max: Any = None) -> Any:
    return _clip(t, input, min, max, inplace=True)


def _hardtanh(t: Trace, input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Any:
    return _clip(t, input, min_val, max_val, inplace)


def _softmax(t: Trace, input: Tensor, dim: int | None = None, *_: Any, **__: Any) -> Any:
    value = t.values.get(id(input))
    if value is None or dim is None:
        return NotImplemented
    op = make(Softmax, t.recorder.axis(value, dim))
    return t.track(t.step(op, value, function="softmax", on_map=True))


def _log_softmax(t: Trace, input: Tensor, dim: int | None = None, *_: Any, **__: Any) -> Any:
    result = _softmax(t, input, dim)
    return result if result is NotImplemented else pointwise(t, make(Pointwise, "log"), result, "log")


def _addcmul(t: Trace, input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: float = 1) -> Any:
    product = combine(t, MUL, "mul", tensor1, tensor2)
    if product is not NotImplemented and value != 1:
        product = combine(t, MUL, "mul", product, value)
    return product if product is NotImplemented else combine(t, ADD, "add", input, product)


def _binary(arithmetic: Arithmetic, function: str, *, inplace: bool = False) -> Handler:
    def handler(
        t: Trace, input: Any, other: Any, *, alpha: float = 1, rounding_mode: None = None, out: None = None
    ) -> Any:
        if rounding_mode is not None:
            return NotImplemented
        if alpha != 1:
            other = combine(t, MUL, "mul", other, alpha) if id(other) in t.values else other * alpha
        return combine(t, arithmetic, function, input, other, inplace=inplace)

    return handler


def _reflected(arithmetic: Arithmetic, function: str) -> Handler:
    """A handler for ``other ? tensor``, which torch calls with the tensor first."""

    def handler(t: Trace, input: Any, other: Any) -> Any:
        return combine(t, arithmetic, function, other, input)

    return handler


def combine(t: Trace, arithmetic: Arithmetic, function: str, first: Any, second: Any, *, inplace: bool = False) -> Any:
    """``first ? second``, at least one of them tracked; in place, the first stands for the result from now on."""
    tracked = id(first) in t.values, id(second) in t.values
    if not any(tracked):
        return NotImplemented
    if tracked[0] and (number := _number(t, second)) is not None and (op := arithmetic.right(number)):
        return pointwise(t, op, first, function, inplace=inplace)
    if not tracked[0] and (number := _number(t, first)) is not None and (op := arithmetic.left(number)):
        return pointwise(t, op, second, function)
    if arithmetic.kind is None or not (isinstance(first, Tensor) and isinstance(second, Tensor)):
        return NotImplemented
    result = join(t, make(arithmetic.kind), first, second, function)
    if inplace and tracked[0] and t.recorder.shape(result) == tuple(first.shape):
        t.values[id(first)] = result
        return first
    return t.track(result)


def join(t: Trace, op: Any, first: Tensor, second: Tensor, function: str) -> Value:
    """Two tensors, at least one of them tracked, as one step in the layout they share."""
    like = t.values.get(id(first)) or t.values.get(id(second))
    values = t.operand(first, like), t.operand(second, like)
    constants = id(first) not in t.values or id(second) not in t.values
    on_map = values[0].channels_last == values[1].channels_last or constants
    return t.step(op, *values, function=function, on_map=on_map)


def _number(t: Trace, operand: Any, rank: int = 0) -> float | None:
    """A number, also alone in a tensor of at most ``rank`` axes that is neither learned nor without memory."""
    if isinstance(operand, int | float):
        return float(operand)
    if not isinstance(operand, Tensor) or operand.dim() > rank or operand.numel() != 1 or operand.is_meta:
        return None
    return None if id(operand) in t.params or id(operand) in t.values else float(operand)


ELEMENTWISE: dict[Any, Handler] = {
    F.relu: _activation(ReLU, "relu"),
    torch.relu: _activation(ReLU, "relu"),
    Tensor.relu: _activation(ReLU, "relu"),
    torch.relu_: _activation(ReLU, "relu", always_inplace=True),
    Tensor.relu_: _activation(ReLU, "relu", always_inplace=True),
    F.relu6: _activation(ReLU6, "relu6"),
    F.silu: _activation(SiLU, "silu"),
    F.mish: _activation(Mish, "mish"),
    F.hardswish: _activation(HardSwish, "hardswish"),
    F.hardsigmoid: _activation(HardSigmoid, "hardsigmoid"),
    torch.sigmoid: _activation(Sigmoid, "sigmoid"),
    Tensor.sigmoid: _activation(Sigmoid, "sigmoid"),
    Tensor.sigmoid_: _activation(Sigmoid, "sigmoid", always_inplace=True),
    F.sigmoid: _activation(Sigmoid, "sigmoid"),
    torch.tanh: _activation(Tanh, "tanh"),
    Tensor.tanh: _activation(Tanh, "tanh"),
    Tensor.tanh_: _activation(Tanh, "tanh", always_inplace=True),
    F.tanh: _activation(Tanh, "tanh"),
    F.gelu: _gelu,
    F.leaky_relu: _leaky_relu,
    F.elu: _elu,
    F.softplus: _softplus,
    F.prelu: _prelu,
    F.hardtanh: _hardtanh,
    torch.clamp: _clip,
    torch.clip: _clip,
    Tensor.clamp: _clip,
    Tensor.clip: _clip,
    Tensor.clamp_: _clip_inplace,
    F.softmax: _softmax,
    torch.softmax: _softmax,
    Tensor.softmax: _softmax,
    F.log_softmax: _log_softmax,
    torch.log_softmax: _log_softmax,
    Tensor.log_softmax: _log_softmax,
    torch.addcmul: _addcmul,
    Tensor.addcmul: _addcmul,
    torch.pow: _binary(POW, "pow"),
    Tensor.pow: _binary(POW, "pow"),
    Tensor.__pow__: _binary(POW, "pow"),
    torch.maximum: _binary(MAXIMUM, "maximum"),
    Tensor.maximum: _binary(MAXIMUM, "maximum"),
    torch.minimum: _binary(MINIMUM, "minimum"),
    Tensor.minimum: _binary(MINIMUM, "minimum"),
    Tensor.__radd__: _reflected(ADD, "add"),
    Tensor.__rsub__: _reflected(SUB, "sub"),
    torch.rsub: _reflected(SUB, "sub"),
    Tensor.__rmul__: _reflected(MUL, "mul"),
    Tensor.__rtruediv__: _reflected(DIV, "div"),
}
"""The handler of every elementwise function."""

for _name in FUNCTIONS:
    for _home in (torch, Tensor, F):
        if hasattr(_home, _name):
            ELEMENTWISE[getattr(_home, _name)] = _function(_name)
    if hasattr(Tensor, f"{_name}_"):
        ELEMENTWISE[getattr(Tensor, f"{_name}_")] = _function(_name, inplace=True)

for _arithmetic, _names in (
    (ADD, ("add",)),
    (SUB, ("sub", "subtract")),
    (MUL, ("mul", "multiply")),
    (DIV, ("div", "divide", "true_divide")),
):
    for _name in _names:  # +, - and the like call these too
        ELEMENTWISE[getattr(torch, _name)] = ELEMENTWISE[getattr(Tensor, _name)] = _binary(_arithmetic, _names[0])
        ELEMENTWISE[getattr(Tensor, f"{_name}_")] = _binary(_arithmetic, _names[0], inplace=True)
