from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
from torch import nn

from convsmith.training.initialise import initialise
from convsmith.training.optimizer import make_optimizer
from convsmith.training.recipe import Recipe


def named(*layers: tuple[str, nn.Module]) -> nn.Module:
    return nn.Sequential(OrderedDict(layers))


def test_layers_of_one_name_and_shape_agree_between_architectures() -> None:
    small = named(("stem", nn.Conv2d(3, 8, 3)), ("head", nn.Linear(8, 10)))
    large = named(("stem", nn.Conv2d(3, 8, 3)), ("extra", nn.Conv2d(8, 8, 3)), ("head", nn.Linear(8, 10)))
    a, b = (initialise(net, seed=3).state_dict() for net in (small, large))
    assert all(torch.equal(a[name], b[name]) for name in a)
    other = initialise(named(("stem", nn.Conv2d(3, 8, 3))), seed=4).state_dict()
    assert not torch.equal(a["stem.weight"], other["stem.weight"])


def test_the_callers_random_state_is_neither_used_nor_changed() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    net = nn.Conv2d(3, 8, 3)  # draws its own first weights
    torch.manual_seed(0)
    initialise(net, seed=1)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("groups", [1, 4, 64])
def test_convolutions_have_he_variance_by_fan_out(groups: int) -> None:
    net = initialise(named(("conv", nn.Conv2d(64, 256, 5, groups=groups))), seed=0)
    expected = (2 / (25 * 256 / groups)) ** 0.5
    assert net.conv.weight.std().item() == pytest.approx(expected, rel=0.05)
    assert net.conv.bias.abs().max() == 0


def test_norms_start_as_the_identity_with_fresh_statistics() -> None:
    net = named(("norm", nn.BatchNorm2d(4)), ("group", nn.GroupNorm(2, 4)))
    net.train()(torch.randn(8, 4, 5, 5) * 3 + 2)
    nn.init.normal_(net.norm.weight)
    initialise(net, seed=0)
    assert net.norm.weight.tolist() == [1.0] * 4
    assert net.norm.running_mean.tolist() == [0.0] * 4
    assert net.norm.running_var.tolist() == [1.0] * 4


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_only_weights_of_two_or_more_dimensions_decay(name: str) -> None:
    net = named(
        ("conv", nn.Conv2d(3, 8, 3)), ("norm", nn.BatchNorm2d(8)), ("fixed", nn.Linear(4, 4)), ("head", nn.Linear(8, 2))
    )
    net.fixed.requires_grad_(False)
    optimizer = make_optimizer(net, Recipe(optimizer=name, weight_decay=0.25))  # type: ignore[arg-type]
    decay = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    found = {key: decay.get(id(parameter)) for key, parameter in net.named_parameters()}
    assert found == {
        "conv.weight": 0.25,
        "conv.bias": 0.0,
        "norm.weight": 0.0,
        "norm.bias": 0.0,
        "fixed.weight": None,
        "fixed.bias": None,
        "head.weight": 0.25,
        "head.bias": 0.0,
    }
