from pathlib import Path

import pytest
import torch

from convsmith.jobs.run_folder import RunFolder
from tests.explain.explain_digits import draw_digit, train_digits


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory) -> Path:
    return train_digits(tmp_path_factory.mktemp("explain"))


@pytest.fixture
def network(run_folder):
    """The trained network in float64, so that its values can be held against other ways to compute them."""
    found = RunFolder(run_folder).read_network()
    found.module.double()
    return found


@pytest.fixture
def digit(tmp_path) -> Path:
    return draw_digit(tmp_path / "zero.png")


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("CONVSMITH_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def image(network) -> torch.Tensor:
    """A normalised image (1, 1, 8, 8) in float64."""
    return torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
