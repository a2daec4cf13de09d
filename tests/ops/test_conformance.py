"""Every operator through every check of the harness."""

from __future__ import annotations

import pytest

from convsmith.ops import ALL_OPS, Opaque
from convsmith.testing import CHECKS, bad_sample_is_refused, check_op, terms_are_counts, text_round_trips


@pytest.mark.slow
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("op_class", ALL_OPS, ids=lambda op: op.__name__)
def test_operator_conforms(op_class, check):
    check_op(op_class, (check,))


def test_what_an_opaque_operator_does_say_conforms():
    assert Opaque not in ALL_OPS
    check_op(Opaque, (terms_are_counts, text_round_trips, bad_sample_is_refused))


def test_all_ops_are_sorted_and_named_once():
    names = [op.__name__ for op in ALL_OPS]
    assert names == sorted(set(names))
