"""What excites a channel, what a unit depends on, images made to excite: held against all images and changed pixels."""

import numpy as np
import pytest
import torch

from convsmith.analysis import receptive_fields
from convsmith.data import Normalisation
from convsmith.explain.effective import effective_field
from convsmith.explain.excite import Exciters, cut
from convsmith.explain.maps import feature_maps
from convsmith.explain.maximise import maximise
from convsmith.explain.points import find_map, points
from convsmith.explain.walk import pick
from convsmith.interop.torch_module import build
from convsmith.ir import Builder, TensorType
from convsmith.ops import Conv2d

NAME = "stage2.block1.conv1.act"


@pytest.fixture
def point(network):
    return find_map(network.graph, points(network.graph), NAME)


@pytest.fixture
def images():
    return torch.randn(50, 1, 8, 8, generator=torch.Generator().manual_seed(4), dtype=torch.float64)


@pytest.fixture
def exciters(network, point, images):
    found = Exciters([point], receptive_fields(network.graph), 5)
    for start in (0, 7, 30):
        found.add(network.module, network.graph, images[start : {0: 7, 7: 30, 30: 50}[start]])
    return found


def test_the_strongest_images_are_those_of_all(network, point, images, exciters):
    values = pick(network.module, network.graph, [NAME], images)[NAME].detach()
    for channel in range(point.channels):
        strongest = values[:, channel].flatten(1).max(1)
        order = sorted(range(50), key=lambda image: (-float(strongest.values[image].float()), image))[:5]
        found = list(exciters.patches(point, channel))
        assert [patch.image for patch in found] == order
        for patch in found:
            assert patch.value == pytest.approx(float(values[patch.image, channel, *patch.unit]), rel=1e-6)
            assert patch.value == pytest.approx(float(strongest.values[patch.image]), rel=1e-6)


def strided_net():
    net = Builder("strided")
    x = net.input(TensorType((1, 1, 21, 18)))
    x = net.add(Conv2d(1, 3, (3, 5), (2, 1), ((1, 0), (2, 2))), x, name="a")
    return net.graph(net.add(Conv2d(3, 6, (3, 2), (2, 3), ((1, 1), (0, 1))), x, name="b"))


def test_a_patch_is_exactly_what_its_unit_sees():
    """Pixels inside it change the answer, those around it do not: strides, uneven padding, edges of the image."""
    torch.manual_seed(3)
    graph = strided_net()
    module, point = build(graph).double().eval(), points(graph)[-1]
    images = torch.randn(60, 1, 21, 18, dtype=torch.float64)
    found = Exciters([point], receptive_fields(graph), 10)
    found.add(module, graph, images)
    units = set()
    for channel in range(6):
        for patch in found.patches(point, channel):
            inputs = images[patch.image : patch.image + 1].clone().requires_grad_()
            module(inputs)[0, channel, *patch.unit].backward()
            rows, columns = (np.flatnonzero(inputs.grad[0, 0].abs().sum(axis)) for axis in (1, 0))
            top, left, bottom, right = patch.box
            assert (max(top, 0), min(bottom, 21)) == (rows[0], rows[-1] + 1)
            assert (max(left, 0), min(right, 18)) == (columns[0], columns[-1] + 1)
            assert (bottom - top, right - left) == found._fields["b"].size == (7, 6)
            units.add(patch.unit)
    assert len(units) > 15


def test_a_patch_is_cut_with_grey_outside_the_image():
    pixels = np.arange(16, dtype=np.uint8).reshape(4, 4, 1)
    found = cut(pixels, (-1, 2, 2, 6))[..., 0]
    np.testing.assert_array_equal(found, [[128] * 4, [2, 3, 128, 128], [6, 7, 128, 128]])
    np.testing.assert_array_equal(cut(pixels, (-5, -5, 20, 20)), pixels)


def linear_net(channels):
    net = Builder("linear")
    x = net.input(TensorType((1, 2, 9, 9)))
    x = net.add(Conv2d(2, 3, (3, 3), padding=((1, 1), (1, 1))), x, name="a")
    return net.graph(net.add(Conv2d(3, channels, (3, 3), padding=((1, 1), (1, 1))), x, name="b"))


@pytest.mark.parametrize("channels", [5, 400])
def test_the_effective_field_of_a_linear_net_is_the_root_of_its_squared_kernel(channels):
    torch.manual_seed(0)
    graph = linear_net(channels)
    module, point = build(graph).double().eval(), points(graph)[-1]
    images = torch.randn(3, 2, 9, 9, dtype=torch.float64)
    found = effective_field(module, graph, images, point, receptive_fields(graph)["b"], seed=0)
    expected = np.zeros((9, 9))
    zero = module(torch.zeros(1, 2, 9, 9, dtype=torch.float64))[0, :, 4, 4].detach()
    for channel in range(2):
        for row in range(9):
            for column in range(9):
                pulse = torch.zeros(1, 2, 9, 9, dtype=torch.float64)
                pulse[0, channel, row, column] = 1
                response = module(pulse)[0, :, 4, 4].detach() - zero
                expected[row, column] += float((response**2).sum())
    np.testing.assert_allclose(found.energy, np.sqrt(expected), rtol=1e-9 if channels < 32 else 0.5, atol=1e-12)
    assert found.energy.sum() == pytest.approx(np.sqrt(expected).sum(), rel=1e-9 if channels < 32 else 0.1)
    assert found.box == (2, 2, 7, 7)
    assert not found.energy[~np.pad(np.ones((5, 5), bool), 2)].any()
    assert 0 < found.pixels <= 25
    assert found.share == found.pixels / 25


def test_what_a_unit_depends_on_lies_within_what_it_could_see(network, images):
    for name in ("stem.act", "stage1.block1.act", NAME):
        point = find_map(network.graph, points(network.graph), name)
        found = effective_field(network.module, network.graph, images, point, receptive_fields(network.graph)[name],
                                seed=0)  # fmt: skip
        top, left, bottom, right = found.box
        outside = found.energy.copy()
        outside[top:bottom, left:right] = 0
        assert not outside.any()
        squares = np.sort(found.energy.ravel() ** 2)[::-1]
        assert squares[: found.pixels].sum() >= 0.95 * squares.sum() > squares[: found.pixels - 1].sum()


def test_maps_are_the_values_of_one_image_and_flat_ones_are_told(network, image):
    network.module.get_submodule("stem.norm").weight.data[2] = 0
    network.module.get_submodule("stem.norm").bias.data[2] = -1
    point = find_map(network.graph, points(network.graph), "stem")
    (found,) = feature_maps(network.module, network.graph, image, [point])
    expected = pick(network.module, network.graph, ["stem.act"], image)["stem.act"][0].detach()
    np.testing.assert_allclose(found.values, expected, rtol=1e-6)
    assert found.flat[2]
    assert 2 in found.to_dict()["flat_channels"]
    variance = expected.flatten(1).var(1)
    assert found.order()[0] == int(variance.argmax())
    assert found.order()[-1] in np.flatnonzero(found.flat)


@pytest.mark.slow
def test_an_image_that_is_made_excites_more_than_what_it_began_with(network):
    network.module.float()
    normalisation = Normalisation((77.0,), (96.0,))
    point = find_map(network.graph, points(network.graph), "stage1")
    made = maximise(network.module, network.graph, point, [0, 3, 5], normalisation, steps=40, seed=2)
    assert made.pixels.shape == (3, 8, 8, 1)
    assert all(after > before for before, after in zip(made.before, made.after, strict=True))
    again = maximise(network.module, network.graph, point, [0, 3, 5], normalisation, steps=40, seed=2)
    np.testing.assert_array_equal(made.pixels, again.pixels)


@pytest.mark.slow
def test_the_image_made_for_a_linear_unit_has_the_sign_of_its_kernel():
    torch.manual_seed(0)
    net = Builder("one")
    graph = net.graph(net.add(Conv2d(1, 2, (8, 8)), net.input(TensorType((1, 1, 8, 8))), name="a"))
    module = build(graph).eval()
    halves = torch.cat([torch.ones(4, 8), -torch.ones(4, 8)])
    module.get_submodule("a").weight.data = torch.stack([halves, halves.T])[:, None]
    made = maximise(module, graph, points(graph)[0], [0, 1], Normalisation((128.0,), (64.0,)), seed=0)
    for image, kernel in zip(made.pixels[..., 0], (halves, halves.T), strict=True):
        bright = image > 127
        assert (bright == (kernel.numpy() > 0)).mean() > 0.9
