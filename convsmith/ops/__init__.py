"""Every operator, one class each; ``ALL_OPS`` is the whole vocabulary."""

from convsmith.ir.op import Op
from convsmith.ops.activation import GELU, HardSigmoid, HardSwish, ReLU, ReLU6, Sigmoid, SiLU, Softmax
from convsmith.ops.combine import Add, Concat, Mul
from convsmith.ops.conv import Conv2d, ConvTranspose2d
from convsmith.ops.linear import Flatten, Linear
from convsmith.ops.norm import BatchNorm2d, GroupNorm, LayerNorm2d
from convsmith.ops.pool import AvgPool2d, GlobalAvgPool, MaxPool2d
from convsmith.ops.regularise import Dropout, DropPath
from convsmith.ops.resample import Pad, Resize

ALL_OPS: tuple[type[Op], ...] = (
    Add,
    AvgPool2d,
    BatchNorm2d,
    Concat,
    Conv2d,
    ConvTranspose2d,
    DropPath,
    Dropout,
    Flatten,
    GELU,
    GlobalAvgPool,
    GroupNorm,
    HardSigmoid,
    HardSwish,
    LayerNorm2d,
    Linear,
    MaxPool2d,
    Mul,
    Pad,
    ReLU,
    ReLU6,
    Resize,
    SiLU,
    Sigmoid,
    Softmax,
)

__all__ = ["ALL_OPS", *(op.__name__ for op in ALL_OPS)]  # pyright: ignore[reportUnsupportedDunderAll]
