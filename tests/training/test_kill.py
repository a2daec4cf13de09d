"""SIGKILL at any moment: what is on the disk can always be gone on from, and nothing is lost or told twice."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import training_nursery


def nursery(*arguments: str) -> dict[str, Any]:
    command = [sys.executable, training_nursery.__file__, *arguments]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


@pytest.mark.slow
def test_a_training_killed_200_times_at_random_ends_as_one_that_was_not(tmp_path: Path) -> None:
    found = nursery(str(tmp_path), "random", "200")
    assert found["found"] == []
    assert found["kills"] == 200
    assert found["runs"] > 2  # it does get on between the kills
    assert found["in_saves"] > 20
    assert found["rollbacks"] > 0


@pytest.mark.slow
def test_a_training_killed_at_any_call_that_changes_the_disk_ends_as_one_that_was_not(tmp_path: Path) -> None:
    found = nursery(str(tmp_path), "calls")
    assert found["found"] == []
    assert found["kills"] > 50
    assert found["in_saves"] > 40
