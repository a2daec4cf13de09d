"""The layer contracts hold, and the tool that checks them can fail."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    program = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    command = [sys.executable, "-c", program, "--no-cache"]
    return subprocess.run(
        command, cwd=folder, env={"PYTHONPATH": str(folder)}, capture_output=True, text=True, check=False
    )


def test_a_layer_imports_only_from_layers_below_it():
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_a_planted_violation_is_caught(tmp_path):
    shutil.copytree(ROOT / "convsmith", tmp_path / "convsmith")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / "convsmith" / "ir" / "types.py").open("a") as stream:
        stream.write("\nimport convsmith.analysis.cost\n")
    done = lint_imports(tmp_path)
    assert done.returncode != 0
    assert "convsmith.ir.types" in done.stdout
