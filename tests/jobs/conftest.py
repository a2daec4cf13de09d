import sys
from pathlib import Path

import pytest

from convsmith.training.setup import Setup

sys.path.insert(0, str(Path(__file__).parent))

from jobs_digits import TINY


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """One fixed setup in place of a measured one, so that equal trainings give equal bits."""
    monkeypatch.setattr("convsmith.jobs.settings.choose_setup", lambda *_, **__: Setup(threads=1))


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """Searches train in this process, where a test can look on, unless more ``processes`` are asked for."""
    monkeypatch.setattr("convsmith.jobs.local_crew.available_threads", lambda: 1)


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("CONVSMITH_CACHE", str(tmp_path_factory.mktemp("cache") / "convsmith"))


@pytest.fixture
def design(tmp_path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(TINY)
    return path
