"""Saliency against plain loops and against captum, in float64."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from captum.attr import InputXGradient, LayerGradCam, Occlusion
from torch import nn
from torch.nn import functional

from convsmith.explain.faithfulness import blurred, faithfulness, random_faithfulness
from convsmith.explain.saliency import class_activation, gradient_times_input, occlusion

TARGET = 3


@pytest.fixture
def score(network):
    return lambda images: network.module(images)[:, TARGET]


@pytest.mark.slow
@pytest.mark.parametrize(("window", "stride"), [(2, 1), (2, 2), (3, 2), (8, 4), (1, 1)])
def test_occlusion_is_the_mean_fall_over_the_squares_that_cover_a_pixel(score, image, window, stride):
    starts = sorted({*range(0, 8 - window, stride), 8 - window})
    falls = [[[] for _ in range(8)] for _ in range(8)]
    for top in starts:
        for left in starts:
            covered = image.clone()
            covered[:, :, top : top + window, left : left + window] = 0
            fall = float((score(image) - score(covered)).detach()[0])
            for row in range(top, top + window):
                for column in range(left, left + window):
                    falls[row][column].append(fall)
    expected = np.array([[np.mean(cell) for cell in row] for row in falls])
    found = occlusion(score, image[0], window, stride).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-9)


@pytest.mark.slow
def test_occlusion_is_that_of_captum(network, score, image):
    theirs = Occlusion(network.module).attribute(image, (1, 2, 2), strides=(1, 2, 2), target=TARGET)
    np.testing.assert_allclose(occlusion(score, image[0], 2, 2), theirs[0, 0].detach(), atol=1e-9)


def test_gradient_times_input_is_that_of_captum(network, score, image):
    theirs = InputXGradient(network.module).attribute(image.clone().requires_grad_(), target=TARGET)
    np.testing.assert_allclose(gradient_times_input(score, image[0]), theirs[0].sum(0).detach(), atol=1e-12)


def test_without_biases_gradient_times_input_adds_up_to_the_score():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, bias=False), nn.ReLU(), nn.Conv2d(8, 4, 3, bias=False), nn.ReLU(), nn.Flatten(),
        nn.Linear(64, 5, bias=False),
    ).double()  # fmt: skip
    image = torch.randn(3, 8, 8, dtype=torch.float64)
    found = gradient_times_input(lambda images: net(images)[:, 2], image)
    assert float(found.sum()) == pytest.approx(float(net(image[None]).detach()[0, 2]), rel=1e-9)


@pytest.mark.parametrize("layer", ["stage1.block2.act", "stage2.block1.act", "stage2.block2.act"])
def test_grad_cam_is_that_of_captum(network, image, layer):
    found = class_activation(network.module, network.graph, image[0], TARGET, layer, high_resolution=False)
    cam = LayerGradCam(network.module, network.module.get_submodule(layer))
    theirs = functional.interpolate(
        cam.attribute(image, target=TARGET, relu_attributions=True), (8, 8), mode="bilinear"
    )
    np.testing.assert_allclose(found, theirs[0, 0].detach(), atol=1e-9)


def test_hirescam_multiplies_place_by_place(network, image):
    layer, kept = network.module.get_submodule("stage1.block2.act"), []
    layer.register_forward_hook(lambda _, __, output: (output.retain_grad(), kept.append(output))[0])
    network.module(image)[0, TARGET].backward()
    maps = kept[0]
    expected = functional.relu(sum(maps.grad[0, c] * maps[0, c] for c in range(maps.shape[1])))
    layer._forward_hooks.clear()
    found = class_activation(network.module, network.graph, image[0], TARGET, "stage1.block2.act", high_resolution=True)
    np.testing.assert_allclose(found, expected.detach(), atol=1e-12)


def test_on_the_last_map_both_are_the_same_picture_and_before_it_they_are_not(network, image):
    def both(name):
        found = [class_activation(network.module, network.graph, image[0], TARGET, name, high_resolution=high)
                 for high in (False, True)]  # fmt: skip
        return [cam / cam.max() for cam in found]

    np.testing.assert_allclose(*both("stage2.block2.act"), atol=1e-9)
    first, second = both("stage2.block1.act")
    assert float((first - second).abs().max()) > 0.05


def logistic(weights):
    """A model whose class depends on each pixel by a known weight."""
    return lambda images: torch.sigmoid((images * weights).sum(dim=(1, 2, 3)))


def test_deletion_and_insertion_are_areas_under_the_curves():
    random = torch.Generator().manual_seed(1)
    weights = torch.randn(1, 6, 6, generator=random, dtype=torch.float64)
    image = torch.randn(1, 6, 6, generator=random, dtype=torch.float64)
    value = (weights * image)[0]
    found = faithfulness(logistic(weights), image, value, steps=36)
    deleted, inserted, curves = image.clone(), blurred(image), ([], [])
    order = sorted(range(36), key=lambda place: -float(value.flatten()[place]))
    for place in [None, *order]:
        if place is not None:
            row, column = divmod(place, 6)
            deleted[0, row, column] = 0
            inserted[0, row, column] = image[0, row, column]
        curves[0].append(float(logistic(weights)(deleted[None])))
        curves[1].append(float(logistic(weights)(inserted[None])))
    for curve, area in zip(curves, (found.deletion, found.insertion), strict=True):
        assert area == pytest.approx(sum((a + b) / 2 for a, b in pairwise(curve)) / 36, rel=1e-9)
    worst = faithfulness(logistic(weights), image, -value, steps=36)
    chance = random_faithfulness(logistic(weights), image, seed=0, steps=36)
    assert found.deletion < chance.deletion < worst.deletion
    assert found.insertion > chance.insertion > worst.insertion


def test_blurring_keeps_what_is_even_and_is_a_mean_elsewhere():
    even = torch.full((3, 9, 7), 2.5, dtype=torch.float64)
    np.testing.assert_allclose(blurred(even), even, atol=1e-12)
    spot = torch.zeros(1, 31, 31, dtype=torch.float64)
    spot[0, 15, 15] = 1
    soft = blurred(spot)
    assert float(soft.sum()) == pytest.approx(1)
    spread = (soft[0].sum(0) * (torch.arange(31) - 15.0) ** 2).sum()
    assert float(spread) == pytest.approx(3.1**2, rel=0.05)
