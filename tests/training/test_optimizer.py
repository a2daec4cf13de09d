"""The optimizers: who moves how fast, Muon's orthogonal updates, the whitening first layer."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from training_toy import SETUP, training_set

from convsmith.training.batches import class_weights
from convsmith.training.budget import Budget
from convsmith.training.learner import Learner
from convsmith.training.muon import Muon, orthogonal
from convsmith.training.optimizer import make_optimizer, set_rate
from convsmith.training.parts import Parts
from convsmith.training.recipe import Recipe
from convsmith.training.setup import Setup
from convsmith.training.whitening import whiten_first_layer


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.BatchNorm2d(8),
        nn.Conv2d(8, 8, 3, groups=8, bias=False),
        nn.Flatten(),
        nn.Linear(8, 3),
    )


def stepped(recipe: Recipe) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Each parameter before and after one step with gradients of 0.5."""
    module = network()
    before = {name: parameter.detach().clone() for name, parameter in module.named_parameters()}
    optimizer = make_optimizer(module, recipe)
    set_rate(optimizer, 0.1)
    for parameter in module.parameters():
        parameter.grad = torch.full_like(parameter, 0.5)
    optimizer.step()
    return {name: (before[name], parameter.detach()) for name, parameter in module.named_parameters()}


def test_biases_of_norms_alone_learn_at_their_own_rate():
    recipe = Recipe(optimizer="sgd", bias_rate=8.0, weight_decay=0.0, momentum=0.0)
    for name, (before, after) in stepped(recipe).items():
        rate = 0.8 if name == "1.bias" else 0.1
        torch.testing.assert_close(before - after, torch.full_like(before, rate * 0.5))


@pytest.mark.parametrize("optimizer", ["sgd", "muon"])
def test_weights_decay_and_vectors_do_not(optimizer: str):
    decayed = stepped(Recipe(optimizer=optimizer, weight_decay=0.5))  # pyright: ignore[reportArgumentType]
    plain = stepped(Recipe(optimizer=optimizer, weight_decay=0.0))  # pyright: ignore[reportArgumentType]
    for name, (before, after) in decayed.items():
        assert torch.equal(after, plain[name][1]) == (before.ndim <= 1), name


def test_muon_moves_filters_along_an_orthogonal_matrix_and_the_rest_as_sgd_does():
    muon = stepped(Recipe(optimizer="muon", weight_decay=0.0))
    sgd = stepped(Recipe(weight_decay=0.0))
    for name, (before, after) in muon.items():
        if name != "0.weight":
            torch.testing.assert_close(after, sgd[name][1])
        else:  # a constant gradient has one direction: its singular value is brought near one
            update = ((before - after) / 0.1).flatten(1)
            assert 0.6 < torch.linalg.svdvals(update)[0] < 1.3


@pytest.mark.parametrize("shape", [(6, 40), (40, 6), (16, 16)])
def test_orthogonal_keeps_the_singular_vectors_and_brings_the_values_near_one(shape: tuple[int, int]):
    left, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((shape[0], min(shape))))
    right, _ = np.linalg.qr(np.random.default_rng(1).standard_normal((shape[1], min(shape))))
    values = np.linspace(0.3, 1.0, min(shape))
    found = orthogonal(torch.from_numpy(left * values @ right.T).float())
    core = left.T @ found.double().numpy() @ right
    assert np.abs(core - np.diag(np.diag(core))).max() < 1e-4
    assert np.all((np.diag(core) > 0.5) & (np.diag(core) < 1.3))


def test_muon_learns():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 4))
    images, labels = torch.randn(32, 3, 8, 8), torch.arange(32) % 4
    optimizer = make_optimizer(module, Recipe(optimizer="muon", learning_rate=0.1))
    assert isinstance(optimizer, Muon)
    losses: list[float] = []
    for _ in range(60):
        loss = nn.functional.cross_entropy(module(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_a_whitened_first_layer_gives_uncorrelated_outputs_of_variance_one():
    generator = torch.Generator().manual_seed(0)
    rough = torch.randn(64, 3, 18, 18, generator=generator)
    images = nn.functional.avg_pool2d(rough, 3, 1, 1)
    images = images / images.std()
    layer = nn.Conv2d(3, 12, 2, bias=False)
    assert whiten_first_layer(nn.Sequential(layer, nn.ReLU()), images)
    outputs = layer(images).detach().transpose(0, 1).flatten(1).double()
    covariance = outputs @ outputs.T / outputs.shape[1]
    torch.testing.assert_close(covariance, torch.eye(12, dtype=torch.float64), atol=0.02, rtol=0)


def test_large_images_are_whitened_with_few_of_their_patches_in_memory_at_a_time(monkeypatch):
    images = torch.randn(40, 1, 192, 192, generator=torch.Generator().manual_seed(0))
    taken, unfold = [], nn.functional.unfold

    def watched(images: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        taken.append(unfold(images, size))
        return taken[-1]

    monkeypatch.setattr(nn.functional, "unfold", watched)
    layer = nn.Conv2d(1, 4, 2, bias=False)
    assert whiten_first_layer(layer, images)
    assert max(part.numel() for part in taken) <= 4 * 2**18
    patches = torch.cat(taken).transpose(0, 1).flatten(1).double()
    outputs = layer.weight.detach().flatten(1).double() @ patches
    torch.testing.assert_close(
        outputs @ outputs.T / outputs.shape[1], torch.eye(4, dtype=torch.float64), atol=0.02, rtol=0
    )


def test_a_wider_first_layer_has_both_signs_and_a_network_without_one_is_left_alone():
    images = torch.randn(16, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    layer = nn.Conv2d(1, 10, 2, bias=False)
    last = layer.weight[8:].clone()
    assert whiten_first_layer(layer, images)
    assert torch.equal(layer.weight[4:8], -layer.weight[:4])
    assert torch.equal(layer.weight[8:], last)
    assert not whiten_first_layer(nn.Linear(3, 2), images)
    assert not whiten_first_layer(nn.Conv2d(3, 4, 2), images)


def test_a_training_whitens_its_first_layer_if_the_recipe_says_so():
    data = training_set(64)
    for whiten in (False, True):
        module = nn.Sequential(nn.Conv2d(3, 24, 2, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(24, 2))
        before = module[0].weight.detach().clone()
        recipe = Recipe(whiten=whiten, policy=None)
        Learner(module, data, recipe=recipe, budget=Budget(images=64), seed=0, setup=SETUP)
        after = module[0].weight.detach()
        assert torch.equal(after, before) != whiten
        assert torch.equal(after[12:], -after[:12]) == whiten


@pytest.mark.parametrize(("balance", "ratio"), [(0.0, 1.0), (0.5, 3.0), (1.0, 9.0), (1, 9.0)])
def test_rare_classes_weigh_more_and_the_average_image_weighs_one(balance: float, ratio: float):
    labels = np.array([0] * 90 + [1] * 10)
    weights = class_weights(labels, 2, balance)
    assert weights[1] / weights[0] == pytest.approx(ratio)
    assert weights[labels].mean().item() == pytest.approx(1.0)


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("micro_batch", [None, 3])
def test_the_loss_counts_each_image_by_the_weight_of_its_class(soft: bool, micro_batch: int | None):
    module = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
    images, labels = torch.randn(8, 3, 2, 2), torch.tensor([0, 1, 2, 2, 2, 1, 0, 2])
    weights = torch.tensor([2.0, 1.0, 0.5])
    parts = Parts(module, Setup(micro_batch=micro_batch), 8, 3, 0.0, class_weights=weights)
    targets = nn.functional.one_hot(labels, 3).float() if soft else labels
    found = parts.gradients(images, targets, lambda loss: None)
    scores = module(images).detach().double()
    wanted = sum(
        weights[label] * (row.exp().sum().log() - row[label]) for row, label in zip(scores, labels, strict=True)
    )
    assert found == pytest.approx(wanted.item() / 8, rel=1e-5)
