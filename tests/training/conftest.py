from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

# training_toy.py is shared by the tests and by the child processes that tests kill.
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing waits for the disk: that matters when the power fails, and these tests save after every step."""
    monkeypatch.setattr(os, "fsync", lambda _: None)
