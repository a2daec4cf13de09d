from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of the test's own, outside its ``tmp_path``."""
    folder = tmp_path_factory.mktemp("cache") / "convsmith"
    monkeypatch.setenv("CONVSMITH_CACHE", str(folder))
    return folder
