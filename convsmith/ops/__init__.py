"""Every operator, one class each; ``ALL_OPS`` is the whole vocabulary, ``Opaque`` the place of what is outside it."""

from convsmith.ir.op import Op
from convsmith.ops.activation import (
    ELU,
    GELU,
    Clip,
    HardSigmoid,
    HardSwish,
    LeakyReLU,
    Mish,
    PReLU,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
)
from convsmith.ops.arithmetic import Pointwise, Scalar
from convsmith.ops.combine import Add, Concat, Div, Maximum, Minimum, Mul, Sub
from convsmith.ops.constant import Constant
from convsmith.ops.conv import Conv2d, ConvTranspose2d
from convsmith.ops.conv1d import Conv1d
from convsmith.ops.dynamic import DynamicConv2d, Take
from convsmith.ops.global_pool import AdaptiveAvgPool2d, AdaptiveMaxPool2d, GlobalAvgPool, GlobalMaxPool
from convsmith.ops.layer_norm import LayerNorm, LayerNorm2d, RMSNorm
from convsmith.ops.linear import Linear
from convsmith.ops.norm import BatchNorm1d, BatchNorm2d, GroupNorm, InstanceNorm2d, LocalResponseNorm
from convsmith.ops.opaque import Opaque as Opaque
from convsmith.ops.pixels import PixelShuffle, PixelUnshuffle
from convsmith.ops.pool import AvgPool2d, MaxPool2d
from convsmith.ops.product import Einsum, MatMul, ScaledDotProductAttention
from convsmith.ops.reduce import Reduce
from convsmith.ops.regularise import Dropout, DropPath
from convsmith.ops.resample import Pad, Resize
from convsmith.ops.select import Gather, Roll, Slice
from convsmith.ops.shape import Expand, Flatten, Permute, Reshape
from convsmith.ops.zero_insert import ZeroInsert

ALL_OPS: tuple[type[Op], ...] = (
    AdaptiveAvgPool2d,
    AdaptiveMaxPool2d,
    Add,
    AvgPool2d,
    BatchNorm1d,
    BatchNorm2d,
    Clip,
    Concat,
    Constant,
    Conv1d,
    Conv2d,
    ConvTranspose2d,
    Div,
    DropPath,
    Dropout,
    DynamicConv2d,
    ELU,
    Einsum,
    Expand,
    Flatten,
    GELU,
    Gather,
    GlobalAvgPool,
    GlobalMaxPool,
    GroupNorm,
    HardSigmoid,
    HardSwish,
    InstanceNorm2d,
    LayerNorm,
    LayerNorm2d,
    LeakyReLU,
    Linear,
    LocalResponseNorm,
    MatMul,
    MaxPool2d,
    Maximum,
    Minimum,
    Mish,
    Mul,
    PReLU,
    Pad,
    Permute,
    PixelShuffle,
    PixelUnshuffle,
    Pointwise,
    RMSNorm,
    ReLU,
    ReLU6,
    Reduce,
    Reshape,
    Resize,
    Roll,
    Scalar,
    ScaledDotProductAttention,
    SiLU,
    Sigmoid,
    Slice,
    Softmax,
    Softplus,
    Sub,
    Take,
    Tanh,
    ZeroInsert,
)

__all__ = ["ALL_OPS", "Opaque", *(op.__name__ for op in ALL_OPS)]  # pyright: ignore[reportUnsupportedDunderAll]
