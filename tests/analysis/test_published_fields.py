"""Receptive fields against the tables of Araujo et al., Distill 2019 (doi 10.23915/distill.00021), rebuilt with SAME
padding, which depends on the size of the input: the first center moves, size and stride stay."""

import pytest

from convsmith.analysis import receptive_fields
from convsmith.design import lower, zoo
from tests.analysis import nets

VGG = {"a": (1, 1, 2, 2, 2), "b": (2, 2, 2, 2, 2), "16": (2, 2, 3, 3, 3), "19": (2, 2, 4, 4, 4)}
RESNET = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3), 200: (3, 24, 36, 3)}

# network, image, size, stride, padding before
TABLE = [
    (nets.alexnet_v2, 224, 195, 32, 64),
    (lambda size: nets.vgg(size, VGG["a"]), 224, 150, 32, 59),
    (lambda size: nets.vgg(size, VGG["16"]), 224, 212, 32, 90),
    (lambda size: nets.vgg(size, VGG["16"]), 321, 212, 32, 90),
    (nets.mobilenet_v1, 224, 315, 32, 126),
    (nets.mobilenet_v1, 321, 315, 32, 157),
    (lambda size: nets.slim_resnet(size, RESNET[50]), 224, 483, 32, 239),
    (lambda size: nets.slim_resnet(size, RESNET[50]), 321, 483, 32, 241),
    (lambda size: nets.slim_resnet(size, RESNET[101]), 224, 1027, 32, 511),
    (lambda size: nets.slim_resnet(size, RESNET[152]), 224, 1507, 32, 751),
    (lambda size: nets.slim_resnet(size, RESNET[200]), 224, 1763, 32, 879),
    (nets.inception_v2, 224, 699, 32, 318),
    (nets.inception_v2, 321, 699, 32, 349),
    (nets.inception_v3, 224, 1311, 32, 618),
    (nets.inception_v3, 321, 1311, 32, 618),
]

CENTERS = {
    nets.mobilenet_v1: (31, 0),
    nets.inception_v2: (31, 0),
    nets.inception_v3: (37, 37),
}


@pytest.mark.slow
@pytest.mark.parametrize(("build", "image", "size", "stride", "padding"), TABLE)
def test_fields_of_the_published_table(build, image, size, stride, padding):
    graph = build(image)
    field = receptive_fields(graph)[graph.outputs[0]]
    for axis in (field.height, field.width):
        assert (axis.size, axis.jump, axis.padding) == (size, stride, padding)
        assert 2 * axis.center == size - 1 - 2 * padding


@pytest.mark.parametrize("build", CENTERS)
def test_same_padding_moves_the_first_center_with_the_size_of_the_image(build):
    graphs = [build(image) for image in (224, 321)]
    assert tuple(receptive_fields(graph)[graph.outputs[0]].height.center for graph in graphs) == CENTERS[build]


def test_every_layer_of_mobilenet_v1():
    fields = receptive_fields(nets.mobilenet_v1(224))
    names = ["conv0", *(f"depthwise{number}" for number in range(1, 14))]
    assert [fields[name].width.size for name in names] == [
        3, 7, 11, 19, 27, 43, 59, 91, 123, 155, 187, 219, 251, 315,
    ]  # fmt: skip


def test_every_block_of_resnet_v1_50():
    fields = receptive_fields(nets.slim_resnet(224, RESNET[50]))
    ends = ["block1.unit3", "block2.unit4", "block3.unit6", "block4.unit3"]
    assert [fields[name].height.size for name in ends] == [35, 99, 291, 483]


def test_every_module_of_inception_v3():
    fields = receptive_fields(nets.inception_v3(299))
    names = [f"mixed_{name}" for name in ("5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e", "7a", "7b", "7c")]
    assert [fields[name].height.size for name in names] == [
        63, 95, 127, 159, 351, 543, 735, 927, 1055, 1183, 1311,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("graph", "size", "center"),
    [
        (nets.alexnet_torchvision(224), 195, 31),
        (nets.vgg(224, VGG["a"]), 150, 15.5),
        (nets.vgg(224, VGG["b"]), 156, 15.5),
        (nets.vgg(224, VGG["16"]), 212, 15.5),
        (nets.vgg(224, VGG["19"]), 268, 15.5),
    ],
    ids=["alexnet", "vgg11", "vgg13", "vgg16", "vgg19"],
)
def test_chains_as_torchvision_has_them(graph, size, center):
    field = receptive_fields(graph)[graph.outputs[0]].height
    assert (field.size, field.min_size, field.jump, field.center) == (size, size, 32, center)


def test_pools_of_vgg16():
    fields = receptive_fields(lower(zoo.load("vgg16")))
    pools = [*(f"stage{number}.block1.pool" for number in range(2, 6)), "head.pool"]
    assert [fields[name].height.size for name in pools] == [6, 16, 44, 100, 212]


def test_convnext_by_stage():
    """ConvNeXt-T: a stem of four pixels, kernels of seven, layers of two pixels between the stages."""
    net = nets.Net(224)
    x = net.conv(net.x, 1, 4, 4, 0)
    sizes = [receptive_fields(net.build.graph(x))[x].height.size]
    for stage, depth in enumerate((3, 3, 9, 3)):
        x = net.conv(x, 1, 2, 2, 0) if stage else x
        for _ in range(depth):
            x = net.add(nets.Add(), net.conv(x, 1, 7, 1, 3), x)
        sizes.append(receptive_fields(net.build.graph(x))[x].height.size)
    field = receptive_fields(net.build.graph(x))[x].height
    assert sizes == [4, 76, 224, 1096, 1688]
    assert (field.min_size, field.jump, field.center) == (32, 32, 15.5)
