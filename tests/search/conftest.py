from __future__ import annotations

from collections.abc import Callable

import pytest

from convsmith.search.candidate import Candidate
from tests.search.world import Memory, World, make_candidate


@pytest.fixture
def world() -> type[World]:
    return World


@pytest.fixture
def memory() -> type[Memory]:
    return Memory


@pytest.fixture
def candidate() -> Callable[..., Candidate]:
    return make_candidate
