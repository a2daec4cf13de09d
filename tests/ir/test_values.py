"""Tensor types, terms and what an operator writes about its attributes."""

from __future__ import annotations

import pytest
import torch

from convsmith.ir import TensorType, Terms
from convsmith.ir.types import ITEM_BYTES
from convsmith.ops import AvgPool2d, Conv2d, Dropout


@pytest.mark.parametrize("dtype", ITEM_BYTES)
def test_bytes_are_torchs(dtype):
    type = TensorType((2, 3, 5), dtype)
    assert type.nbytes == torch.empty(2, 3, 5, dtype=getattr(torch, dtype)).nbytes


def test_a_scalar_has_one_element():
    assert TensorType(()).numel == 1


def test_terms_add_up_field_by_field():
    one = Terms(1, 2, 3, 4, 5, 6, 7, 8)
    assert (one + one).to_dict() == {name: 2 * value for name, value in one.to_dict().items()}
    assert sorted(one.to_dict().values()) == list(range(1, 9))
    assert sum((one, one, one), Terms()).macs == 3 * (1 + 8)


def test_attributes_are_kept_in_one_form():
    spelt = {Conv2d(3, 4, 3, 1, 1), Conv2d(3, 4, (3, 3), [1, 1], [[1, 1], (1, 1)]), Conv2d(3, 4, 3, padding=(1, 1))}
    assert len(spelt) == 1
    assert AvgPool2d(2) == AvgPool2d(2, 2)


def test_only_what_differs_from_the_default_is_an_attribute_worth_telling():
    assert Conv2d(3, 4, 3, stride=1, bias=False).attrs() == {
        "in_channels": 3,
        "out_channels": 4,
        "kernel_size": (3, 3),
        "bias": False,
    }
    assert Dropout().attrs() == {}
