"""What the README shows works as shown."""

import re
import shlex
from pathlib import Path

import pytest

from convsmith.cli.main import COMMANDS, run
from convsmith.design import lower, parse_design

TEXT = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
COMMAND_LINES = [line.split("#")[0] for line in TEXT.splitlines() if line.startswith("convsmith ")]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def test_the_python_runs():
    page: dict[str, object] = {}
    for code in blocks("python"):
        exec(compile(code, "README.md", "exec"), page)


def test_the_design_file_is_one():
    (text,) = blocks("toml")
    assert lower(parse_design(text)).outputs == ("head.classifier",)


def test_every_command_has_a_first_look():
    assert {shlex.split(line)[1] for line in COMMAND_LINES} == set(COMMANDS)


@pytest.mark.slow
@pytest.mark.parametrize("line", [line for line in COMMAND_LINES if "zoo" in line or "--kernel" in line])
def test_a_command_line_runs(line, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(shlex.split(line)[1:]) == 0
    assert capsys.readouterr().out or list(tmp_path.iterdir())
