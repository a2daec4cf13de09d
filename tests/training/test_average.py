from __future__ import annotations

import pytest
import torch
from torch import nn

from convsmith.training.average import WeightAverage


def test_the_first_weights_do_not_count_and_the_first_updates_are_a_plain_mean() -> None:
    module = nn.Linear(1, 1)
    average = WeightAverage(module, half_life=0.5)
    for number, value in enumerate((2.0, 4.0, 9.0), start=1):
        nn.init.constant_(module.weight, value)
        average.update(number / 100)
    assert average.tensors["weight"].item() == pytest.approx(5.0)


def test_a_weight_counts_half_after_the_half_life() -> None:
    module = nn.Linear(1, 1)
    average = WeightAverage(module, half_life=0.1)
    nn.init.constant_(module.weight, 8.0)
    average.update(0.5)
    nn.init.constant_(module.weight, 0.0)
    for step in (0.51, 0.57, 0.6):
        average.update(step)
    assert average.tensors["weight"].item() == pytest.approx(4.0)


def test_a_module_gets_its_own_weights_and_counters_back_after_a_loan() -> None:
    module = nn.BatchNorm2d(2)
    average = WeightAverage(module, half_life=0.1)
    nn.init.constant_(module.weight, 8.0)
    module(torch.randn(4, 2, 3, 3))
    average.update(0.5)
    nn.init.constant_(module.weight, 3.0)
    module(torch.randn(4, 2, 3, 3))
    own = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    with average.loaded():
        assert module.weight.tolist() == [8.0, 8.0]
        assert module.num_batches_tracked.item() == 1
    assert all(torch.equal(own[name], tensor) for name, tensor in module.state_dict().items())
