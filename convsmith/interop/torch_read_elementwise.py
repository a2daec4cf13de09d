"""How torch's elementwise functions become operators; see ``torch_read_layers`` for what a handler is."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # the field's name for it

from convsmith.interop.recorder import Value
from convsmith.interop.torch_read_layers import Handler
from convsmith.interop.torch_trace import Trace, make
from convsmith.ops import (
    ELU,
    GELU,
    Add,
    Clip,
    Div,
    HardSigmoid,
    HardSwish,
    LeakyReLU,
    Maximum,
    Minimum,
    Mish,
    Mul,
    Pointwise,
    PReLU,
    ReLU,
    ReLU6,
    Scalar,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Sub,
    Tanh,
)


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
    if isinstance(min, Tensor) or isinstance(max, Tensor):
        return NotImplemented
    low, high = (None if bound is None else float(bound) for bound in (min, max))
    if (low, high) == (0.0, 6.0):
        op = make(ReLU6)
    elif (low, high) == (0.0, None):
        op = make(ReLU)
    else:
        op = make(Clip, low, high)
    return pointwise(t, op, input, "clamp", inplace=inplace)


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
    product = combine(t, Mul, "mul", "mul", tensor1, tensor2)
    if product is not NotImplemented and value != 1:
        product = combine(t, Mul, "mul", "mul", product, value)
    return product if product is NotImplemented else combine(t, Add, "add", "add", input, product)


def _square(t: Trace, input: Tensor) -> Any:
    return combine(t, None, "pow", "pow", input, 2)


def _binary(kind: type[Any], function: str, scalar: str | None, *, inverse: str = "", inplace: bool = False) -> Handler:
    """A handler for ``first ? second``.

    Args:
        kind: The operator of two values.
        function: What to call it.
        scalar: The function of ``Scalar`` for a number as the second; None if there is none.
        inverse: ``negate`` or ``invert`` if the number must be turned first.
        inplace: Whether the first tensor stands for the result from now on.
    """

    def handler(
        t: Trace, input: Any, other: Any, *, alpha: float = 1, rounding_mode: None = None, out: None = None
    ) -> Any:
        if rounding_mode is not None:
            return NotImplemented
        if alpha != 1:
            other = other * alpha if not isinstance(other, Tensor) else combine(t, None, "mul", "mul", other, alpha)
        return combine(t, kind, function, scalar, input, other, inverse=inverse, inplace=inplace)

    return handler


def _reflected(kind: type[Any], function: str, scalar: str) -> Handler:
    """A handler for ``number ? tensor``, which torch calls with the tensor first."""

    def handler(t: Trace, input: Any, other: Any) -> Any:
        if isinstance(other, Tensor):
            return combine(t, kind, function, None, other, input)
        return combine(t, kind, function, scalar, input, other)

    return handler


def combine(
    t: Trace, kind: type[Any] | None, function: str, scalar: str | None, first: Any, second: Any,
    *, inverse: str = "", inplace: bool = False,
) -> Any:  # fmt: skip
    """``first ? second``, whichever of the two is tracked; see ``_binary`` for the arguments."""
    tracked = t.values.get(id(first)), t.values.get(id(second))
    if tracked == (None, None):
        return NotImplemented
    number = _number(t, second)
    if tracked[0] is not None and number is not None and scalar is not None:
        value = -number if inverse == "negate" else 1 / number if inverse == "invert" and number else number
        return pointwise(t, make(Scalar, scalar, float(value)), first, function, inplace=inplace)
    if kind is None:
        return NotImplemented
    if tracked[0] is None and (left := _number(t, first)) is not None:
        mirrored = {"add": ("add", left), "mul": ("mul", left), "sub": ("rsub", left), "div": ("rdiv", left)}.get(
            function
        )
        return (
            pointwise(t, make(Scalar, mirrored[0], float(mirrored[1])), second, function)
            if mirrored
            else NotImplemented
        )
    result = join(t, make(kind), first, second, function)
    if inplace and result is not None and tracked[0] is not None and t.recorder.shape(result) == tuple(first.shape):
        t.values[id(first)] = result
        return first
    return NotImplemented if result is None else t.track(result)


def join(t: Trace, op: Any, first: Any, second: Any, function: str) -> Value | None:
    """Two tensors, at least one of them tracked, as one step in the layout they share."""
    like = t.values.get(id(first)) or t.values.get(id(second))
    values = t.operand(first, like), t.operand(second, like)
    if values[0] is None or values[1] is None:
        return None
    constants = id(first) not in t.values or id(second) not in t.values
    on_map = values[0].channels_last == values[1].channels_last or constants
    return t.step(op, values[0], values[1], function=function, on_map=on_map)


def _number(t: Trace, operand: Any) -> float | None:
    """A number, also where it stands in a tensor of one element that is neither learned nor without memory."""
    if isinstance(operand, int | float):
        return float(operand)
    if not isinstance(operand, Tensor) or operand.dim() > 0 or operand.is_meta or id(operand) in t.params:
        return None
    return float(operand) if id(operand) not in t.values else None


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
    torch.square: _square,
    Tensor.square: _square,
    torch.pow: _binary(Mul, "pow", "pow"),
    Tensor.pow: _binary(Mul, "pow", "pow"),
    Tensor.__pow__: _binary(Mul, "pow", "pow"),
}
"""The handler of every elementwise function."""

for _name in (
    "exp",
    "log",
    "sqrt",
    "rsqrt",
    "abs",
    "neg",
    "erf",
    "reciprocal",
    "sin",
    "cos",
    "sign",
    "floor",
    "ceil",
    "round",
):
    ELEMENTWISE[getattr(torch, _name)] = ELEMENTWISE[getattr(Tensor, _name)] = _function(_name)
    if hasattr(Tensor, f"{_name}_"):
        ELEMENTWISE[getattr(Tensor, f"{_name}_")] = _function(_name, inplace=True)
ELEMENTWISE[Tensor.__neg__] = _function("neg")
ELEMENTWISE[Tensor.__abs__] = _function("abs")
ELEMENTWISE[F.softsign] = _function("softsign")

for _kind, _names, _scalar, _inverse in (
    (Add, ("add",), "add", ""),
    (Sub, ("sub", "subtract"), "add", "negate"),
    (Mul, ("mul", "multiply"), "mul", ""),
    (Div, ("div", "divide", "true_divide"), "mul", "invert"),
):
    for _name in _names:
        _handler = _binary(_kind, _names[0], _scalar, inverse=_inverse)
        _replacing = _binary(_kind, _names[0], _scalar, inverse=_inverse, inplace=True)
        ELEMENTWISE[getattr(torch, _name)] = ELEMENTWISE[getattr(Tensor, _name)] = _handler
        ELEMENTWISE[getattr(Tensor, f"{_name}_")] = _replacing
    _dunder = {"div": "truediv"}.get(_names[0], _names[0])
    ELEMENTWISE[getattr(Tensor, f"__{_dunder}__")] = _binary(_kind, _names[0], _scalar, inverse=_inverse)
    ELEMENTWISE[getattr(Tensor, f"__i{_dunder}__")] = _binary(_kind, _names[0], _scalar, inverse=_inverse, inplace=True)
ELEMENTWISE[Tensor.__radd__] = _reflected(Add, "add", "add")
ELEMENTWISE[Tensor.__rmul__] = _reflected(Mul, "mul", "mul")
ELEMENTWISE[Tensor.__rsub__] = ELEMENTWISE[torch.rsub] = _reflected(Sub, "sub", "rsub")
ELEMENTWISE[Tensor.__rdiv__] = ELEMENTWISE[Tensor.__rtruediv__] = _reflected(Div, "div", "rdiv")
for _kind, _name in ((Maximum, "maximum"), (Minimum, "minimum")):
    ELEMENTWISE[getattr(torch, _name)] = ELEMENTWISE[getattr(Tensor, _name)] = _binary(_kind, _name, None)
