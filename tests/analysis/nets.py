"""Published networks and small teaching examples, built node by node as a foreign file would hold them.

Fields depend on kernels, strides and padding alone, so most of these are a few channels wide.
"""

from __future__ import annotations

import torch

from convsmith.ir import Builder, Graph, TensorType, same_padding
from convsmith.ops import (
    Add,
    BatchNorm2d,
    Concat,
    Conv2d,
    Flatten,
    GlobalAvgPool,
    LayerNorm2d,
    Linear,
    MaxPool2d,
    Mul,
    ReLU,
    Resize,
    Sigmoid,
)


def takes_exact_pixels(op, type: TensorType) -> bool:
    """Whether torch's nearest interpolation takes the pixels of exact arithmetic: it reckons with 32-bit floats."""
    if not isinstance(op, Resize) or op.mode != "nearest":
        return True
    for size, outputs in zip(type.shape[2:], op.size, strict=True):
        line = torch.arange(float(size)).reshape(1, 1, size)
        taken = torch.nn.functional.interpolate(line, size=outputs).ravel().tolist()
        if taken != [unit * size // outputs for unit in range(outputs)]:
            return False
    return True


class Net:
    """A builder that knows the padding of TensorFlow; values are passed on by name."""

    def __init__(self, size: int | tuple[int, int], channels: int = 1) -> None:
        self.build = Builder("net")
        height, width = (size, size) if isinstance(size, int) else size
        self.x = self.build.input(TensorType((1, channels, height, width)))
        self.count = 0

    def add(self, op, *inputs: str, name: str = "") -> str:
        self.count += 1
        return self.build.add(op, *inputs, name=name or f"{type(op).__name__.lower()}{self.count}")

    def sides(self, x: str, kernel, stride: int, padding):
        """(before, after) along both axes: ``same`` as TensorFlow pads, or a number of pixels all around."""
        if padding != "same":
            return ((padding, padding), (padding, padding))
        sizes = self.build.type(x).shape[2:]
        return tuple(same_padding(size, k, stride) for size, k in zip(sizes, kernel, strict=True))

    def conv(
        self, x: str, width: int, kernel, stride: int = 1, padding="same", *, groups=1, bias=False, name=""
    ) -> str:
        kernel = (kernel, kernel) if isinstance(kernel, int) else kernel
        op = Conv2d(
            self.build.channels(x), width, kernel, (stride, stride), self.sides(x, kernel, stride, padding),
            groups=groups, bias=bias,
        )  # fmt: skip
        return self.add(op, x, name=name)

    def pool(self, x: str, kernel: int, stride: int, padding="same", *, ceil_mode=False, name="") -> str:
        pair = (kernel, kernel)
        op = MaxPool2d(pair, (stride, stride), self.sides(x, pair, stride, padding), ceil_mode=ceil_mode)
        return self.add(op, x, name=name)

    def layer(self, x: str, width: int, kernel: int, stride: int = 1, padding="same", *, groups=1, name: str) -> str:
        """Convolution, normalisation, activation: ``name.conv``, ``name.norm``, ``name.act``."""
        x = self.conv(x, width, kernel, stride, padding, groups=groups, name=f"{name}.conv")
        x = self.add(BatchNorm2d(width), x, name=f"{name}.norm")
        return self.add(ReLU(), x, name=f"{name}.act")

    def classify(self, x: str, classes: int = 10) -> Graph:
        """Pool, flatten and classify."""
        x = self.add(Flatten(), self.add(GlobalAvgPool(), x, name="pool"), name="flatten")
        return self.build.graph(self.add(Linear(self.build.channels(x), classes), x, name="fc"))


def alexnet_v2(size: int) -> Graph:
    """TF-Slim's, to the last pooling (Krizhevsky, "One weird trick", 2014)."""
    net = Net(size)
    x = net.conv(net.x, 1, 11, 4, 0)
    x = net.conv(net.pool(x, 3, 2, 0), 1, 5)
    x = net.pool(x, 3, 2, 0)
    for _ in range(3):
        x = net.conv(x, 1, 3)
    return net.build.graph(net.pool(x, 3, 2, 0))


def alexnet_torchvision(size: int) -> Graph:
    net = Net(size)
    x = net.pool(net.conv(net.x, 1, 11, 4, 2), 3, 2, 0)
    x = net.pool(net.conv(x, 1, 5, 1, 2), 3, 2, 0)
    for _ in range(3):
        x = net.conv(x, 1, 3, 1, 1)
    return net.build.graph(net.pool(x, 3, 2, 0))


def vgg(size: int, depths: tuple[int, ...]) -> Graph:
    """Simonyan and Zisserman, 2015: ``depths`` convolutions before each pooling."""
    net = Net(size)
    x = net.x
    for depth in depths:
        for _ in range(depth):
            x = net.conv(x, 1, 3)
        x = net.pool(x, 2, 2, 0)
    return net.build.graph(x)


def mobilenet_v1(size: int) -> Graph:
    """Howard et al., 2017, with SAME padding; nodes ``conv0`` and ``depthwise1`` to ``depthwise13``."""
    net = Net(size)
    x = net.conv(net.x, 1, 3, 2, name="conv0")
    for number, stride in enumerate((1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1), start=1):
        x = net.conv(x, 1, 3, stride, name=f"depthwise{number}")
        x = net.conv(x, 1, 1, name=f"pointwise{number}")
    return net.build.graph(x)


def slim_resnet(size: int, depths: tuple[int, ...]) -> Graph:
    """TF-Slim's resnet_v1: strides in the last unit of the first three blocks, padded alike on both sides."""
    net = Net(size)
    x = net.pool(net.conv(net.x, 1, 7, 2, 3), 3, 2)
    for block, depth in enumerate(depths, start=1):
        for unit in range(1, depth + 1):
            stride = 2 if unit == depth and block < len(depths) else 1
            y = net.conv(net.conv(net.conv(x, 1, 1), 1, 3, stride, 1), 1, 1)
            shortcut = net.pool(x, 1, stride) if stride > 1 else x
            x = net.add(Add(), y, shortcut, name=f"block{block}.unit{unit}")
    return net.build.graph(x)


def inception_v2(size: int) -> Graph:
    """Ioffe and Szegedy, 2015, as TF-Slim has it."""
    net = Net(size)
    x = net.pool(net.conv(net.x, 1, 7, 2), 3, 2)
    x = net.pool(net.conv(net.conv(x, 1, 1), 1, 3), 3, 2)
    for stride in (1, 1, 2, 1, 1, 1, 1, 2, 1, 1):
        double = net.conv(net.conv(net.conv(x, 1, 1), 1, 3), 1, 3, stride)
        parts = [net.conv(net.conv(x, 1, 1), 1, 3, stride), double, net.pool(x, 3, stride)]
        if stride == 1:
            parts.append(net.conv(x, 1, 1))
        x = net.conv(net.add(Concat(), *parts), 1, 1)
    return net.build.graph(x)


def inception_v3(size: int) -> Graph:
    """Szegedy et al., 2016; the joins are called ``mixed_5b`` to ``mixed_7c``."""
    net = Net(size)
    x = net.conv(net.conv(net.conv(net.x, 1, 3, 2, 0), 1, 3, 1, 0), 1, 3)
    x = net.conv(net.conv(net.pool(x, 3, 2, 0), 1, 1, 1, 0), 1, 3, 1, 0)
    x = net.pool(x, 3, 2, 0)

    def chain(x: str, *kernels, stride: int = 1) -> str:
        x = net.conv(x, 1, 1)
        for kernel in kernels[: len(kernels) - (stride > 1)]:
            x = net.conv(x, 1, kernel)
        return net.conv(x, 1, kernels[-1], stride, 0) if stride > 1 else x

    wide, tall = (1, 7), (7, 1)
    for name in ("mixed_5b", "mixed_5c", "mixed_5d"):
        x = join(net, name, net.conv(x, 1, 1), chain(x, 5), chain(x, 3, 3), net.pool(x, 3, 1))
    x = join(net, "mixed_6a", net.conv(x, 1, 3, 2, 0), chain(x, 3, 3, stride=2), net.pool(x, 3, 2, 0))
    for name in ("mixed_6b", "mixed_6c", "mixed_6d", "mixed_6e"):
        x = join(
            net, name, net.conv(x, 1, 1), chain(x, wide, tall), chain(x, tall, wide, tall, wide), net.pool(x, 3, 1)
        )
    x = join(net, "mixed_7a", chain(x, 3, stride=2), chain(x, wide, tall, 3, stride=2), net.pool(x, 3, 2, 0))
    for name in ("mixed_7b", "mixed_7c"):
        split = (chain(x, 3, (1, 3)), chain(x, 3, (3, 1)))
        x = join(net, name, net.conv(x, 1, 1), chain(x, (1, 3)), chain(x, (3, 1)), *split, net.pool(x, 3, 1))
    return net.build.graph(x)


def join(net: Net, name: str, *parts: str) -> str:
    """Concatenate and go back to one channel."""
    return net.conv(net.add(Concat(), *parts), 1, 1, name=name)


def resnet(size: int, *, early_stride: bool, depths=(3, 4, 6, 3), widths=(64, 128, 256, 512)) -> Graph:
    """ResNet with bottlenecks and torch's padding and names; ``early_stride`` puts the stride on the first 1x1 (v1)."""
    net = Net(size, channels=3)
    x = net.conv(net.x, 64, 7, 2, 3, name="conv1")
    x = net.add(ReLU(), net.add(BatchNorm2d(64), x, name="bn1"), name="relu")
    x = net.pool(x, 3, 2, 1, name="maxpool")
    for stage, (depth, width) in enumerate(zip(depths, widths, strict=True), start=1):
        for block in range(depth):
            stride = 2 if block == 0 and stage > 1 else 1
            name = f"layer{stage}.{block}"
            first, second = (stride, 1) if early_stride else (1, stride)
            y = net.layer(x, width, 1, first, 0, name=f"{name}.1")
            y = net.layer(y, width, 3, second, 1, name=f"{name}.2")
            y = net.conv(y, 4 * width, 1, 1, 0, name=f"{name}.conv3")
            y = net.add(BatchNorm2d(4 * width), y, name=f"{name}.bn3")
            if block == 0:
                x = net.conv(x, 4 * width, 1, stride, 0, name=f"{name}.downsample.0")
                x = net.add(BatchNorm2d(4 * width), x, name=f"{name}.downsample.1")
            x = net.add(ReLU(), net.add(Add(), y, x, name=f"{name}.add"), name=f"{name}.relu")
    return net.classify(x, 1000)


def squeezenet(size: int) -> Graph:
    """SqueezeNet 1.0 (Iandola et al., 2016) as torchvision has it."""
    net = Net(size, channels=3)
    x = net.add(ReLU(), net.conv(net.x, 96, 7, 2, 0, bias=True))
    x = net.pool(x, 3, 2, 0, ceil_mode=True)
    for number, (squeezed, expanded) in enumerate(
        ((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256)), start=2
    ):
        y = net.add(ReLU(), net.conv(x, squeezed, 1, bias=True))
        parts = [net.add(ReLU(), net.conv(y, expanded, kernel, bias=True)) for kernel in (1, 3)]
        x = net.add(Concat(), *parts)
        if number in (4, 8):
            x = net.pool(x, 3, 2, 0, ceil_mode=True)
    x = net.add(ReLU(), net.conv(x, 1000, 1, bias=True))
    return net.build.graph(net.add(Flatten(), net.add(GlobalAvgPool(), x)))


def mobilenet_v2(size: int = 64) -> Graph:
    """A short MobileNetV2 with squeeze-and-excitation and a block's name on every node."""
    net = Net(size, channels=3)
    x = net.layer(net.x, 8, 3, 2, 1, name="conv_stem")
    rows = (
        ("blocks.0.0", 8, 1),
        ("blocks.1.0", 16, 2),
        ("blocks.1.1", 16, 1),
        ("blocks.2.0", 24, 2),
        ("blocks.2.1", 24, 1),
    )
    for name, width, stride in rows:
        inner = net.build.channels(x)
        y = x
        if name != "blocks.0.0":
            inner *= 4
            y = net.layer(y, inner, 1, name=f"{name}.pw")
        y = net.layer(y, inner, 3, stride, 1, groups=inner, name=f"{name}.dw")
        gate = net.conv(net.add(GlobalAvgPool(), y, name=f"{name}.se.pool"), inner, 1, bias=True, name=f"{name}.se.fc")
        y = net.add(Mul(), y, net.add(Sigmoid(), gate, name=f"{name}.se.gate"), name=f"{name}.se.mul")
        y = net.conv(y, width, 1, name=f"{name}.pwl")
        x = net.add(Add(), y, x, name=f"{name}.add") if stride == 1 and width == net.build.channels(x) else y
    return net.classify(x)


def densenet(size: int = 64) -> Graph:
    """Two dense blocks around a transition that normalises before it pools."""
    net = Net(size, channels=3)
    x = net.pool(net.layer(net.x, 8, 7, 2, 3, name="features.conv0"), 3, 2, 1, name="features.pool0")
    for block in (1, 2):
        for number in (1, 2):
            name = f"features.denseblock{block}.layer{number}"
            y = net.add(BatchNorm2d(net.build.channels(x)), x, name=f"{name}.norm")
            y = net.conv(net.add(ReLU(), y, name=f"{name}.relu"), 4, 3, name=f"{name}.conv")
            x = net.add(Concat(), x, y, name=f"{name}.cat")
        if block == 1:
            x = net.add(BatchNorm2d(16), x, name="features.transition1.norm")
            x = net.pool(net.conv(x, 8, 1, name="features.transition1.conv"), 2, 2, 0, name="features.transition1.pool")
    return net.classify(x)


def convnext(size: int = 64) -> Graph:
    """A patch of four pixels as stem, and layers between the stages that normalise and shrink."""
    net = Net(size, channels=3)
    x = net.add(LayerNorm2d(8), net.conv(net.x, 8, 4, 4, 0, name="stem.0"), name="stem.1")
    for stage, width in enumerate((8, 16)):
        if stage:
            x = net.add(LayerNorm2d(8), x, name="stages.1.downsample.0")
            x = net.conv(x, width, 2, 2, 0, name="stages.1.downsample.1")
        for block in range(2):
            name = f"stages.{stage}.blocks.{block}"
            y = net.conv(x, width, 7, 1, 3, groups=width, name=f"{name}.conv_dw")
            x = net.add(Add(), net.conv(y, width, 1, name=f"{name}.mlp"), x, name=f"{name}.add")
    return net.classify(x)


def unet(size: int = 64) -> Graph:
    """Ronneberger et al., 2015, with three levels."""
    net = Net(size, channels=3)
    skips, x = [], net.layer(net.x, 4, 3, name="inc")
    for number in (1, 2):
        skips.append(x)
        x = net.layer(net.pool(x, 2, 2, 0, name=f"down{number}.pool"), 8, 3, name=f"down{number}.conv")
    for number, skip in enumerate(reversed(skips), start=1):
        scale = net.build.type(skip).shape[2]
        x = net.add(Resize((scale, scale)), x, name=f"up{number}.resize")
        x = net.layer(net.add(Concat(), skip, x, name=f"up{number}.cat"), 4, 3, name=f"up{number}.conv")
    return net.build.graph(net.conv(x, 2, 1, name="outc"))
