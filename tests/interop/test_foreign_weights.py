"""Weights of other programs: matched in order, refused where they do not fit, the same numbers out."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from convsmith.design import lower, make_design
from convsmith.errors import ModelError
from convsmith.interop.foreign_weights import match_weights
from convsmith.interop.torch_module import build
from convsmith.interop.weights import load_weights
from convsmith.ir import Graph


class Squeezed(nn.Module):
    """What a stranger would write for the design below, with names and an epsilon of his own."""

    def __init__(self, eps: float) -> None:
        super().__init__()
        self._stem = nn.Conv2d(3, 8, 3, 2, 1, bias=False)
        self._bn0 = nn.BatchNorm2d(8, eps=eps)
        self.dw = nn.Conv2d(8, 8, 3, 1, 1, groups=8, bias=False)
        self._bn1 = nn.BatchNorm2d(8, eps=eps)
        self.squeeze = nn.Linear(8, 2)
        self.excite = nn.Linear(2, 8)
        self.pw = nn.Conv2d(8, 8, 1, bias=False)
        self._bn2 = nn.BatchNorm2d(8, eps=eps)
        self.fc = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self._bn0(self._stem(x)).clamp(0, 6)
        y = self._bn1(self.dw(x)).clamp(0, 6)
        y = y * self.excite(self.squeeze(y.mean((2, 3))).clamp(0, 6)).sigmoid()[:, :, None, None]
        return self.fc((self._bn2(self.pw(y)) + x).mean((2, 3)))


def ours() -> Graph:
    block = {"block": "inverted_residual", "depth": 1, "width": 8, "expansion": 1.0, "se_ratio": 0.25}
    stem = {"block": "conv", "width": 8, "stride": 2, "activation": "relu6"}
    head = {"task": "classify", "classes": 5}
    return lower(make_design({"name": "ours", "input": [3, 9, 7], "stem": stem, "stage": [block], "head": head}))


def theirs(eps: float = 1e-3) -> tuple[Squeezed, dict[str, Any]]:
    torch.manual_seed(0)
    module = Squeezed(eps)
    for _ in range(3):
        module(torch.randn(4, 3, 9, 7))  # statistics of some data
    module.double().eval()
    return module, {name: value.numpy() for name, value in module.state_dict().items()}


def test_the_network_computes_what_theirs_does() -> None:
    module, weights = theirs()
    network = build(ours()).double().eval()
    load_weights(network, match_weights(ours(), weights, norm_eps=1e-3))
    x = torch.randn(2, 3, 9, 7, dtype=torch.float64)
    torch.testing.assert_close(network(x), module(x), rtol=1e-12, atol=1e-14)
    load_weights(network, match_weights(ours(), weights))  # with an epsilon of 1e-5 it is another network
    assert (network(x) - module(x)).abs().max() > 1e-6


def test_without_another_epsilon_the_arrays_are_taken_as_they_are() -> None:
    _, weights = theirs(1e-5)
    matched = match_weights(ours(), weights, norm_eps=1e-5)
    given = [value for name, value in weights.items() if not name.endswith("num_batches_tracked")]
    assert all((a.ravel() == b.ravel()).all() for a, b in zip(matched.values(), given, strict=True))


def test_a_misfit_names_the_place_and_both_arrays() -> None:
    _, weights = theirs()
    moved = {name: weights[name] for name in ("dw.weight", *weights)}
    with pytest.raises(ModelError) as caught:
        match_weights(ours(), moved)
    assert str(caught.value) == (
        "ours: array 1 must be stem.conv.weight of shape (8, 3, 3, 3) (received 'dw.weight of shape (8, 1, 3, 3)'); "
        "give the arrays of the same layers in the order in which the network runs"
    )


def test_a_bias_is_not_taken_for_a_weight_of_its_shape() -> None:
    _, weights = theirs()
    turned = dict(weights)
    turned["_bn0.bias"] = turned.pop("_bn0.weight")
    names = list(weights)
    with pytest.raises(ModelError, match=r"array 2 must be stem.norm.weight"):
        match_weights(ours(), {name: turned[name] for name in [names[0], "_bn0.bias", *names[3:]]})


@pytest.mark.parametrize("more", [True, False])
def test_too_few_and_too_many_are_refused(more: bool) -> None:
    _, weights = theirs()
    if more:
        weights["aux.weight"] = weights["fc.weight"]
    else:
        del weights["fc.bias"]
    rule = rf"must be the 21 arrays that the network stores \(received {22 if more else 20}\)"
    with pytest.raises(ModelError, match=rule):
        match_weights(ours(), weights)
