"""The page on looking into networks: its commands and its code run as written, in a folder with a run and a picture."""

import re
import shlex
from pathlib import Path

import pytest

from convsmith.cli.main import run
from tests.explain.explain_digits import draw_digit, train_digits

pytestmark = pytest.mark.slow

TEXT = (Path(__file__).parents[2] / "docs" / "explain.md").read_text(encoding="utf-8")
LINES = [line.split("#")[0] for line in TEXT.splitlines() if line.startswith("convsmith ")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    train_digits(folder)
    draw_digit(folder / "zero.png")
    return folder


@pytest.fixture(autouse=True)
def here(folder, monkeypatch, tmp_path):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("CONVSMITH_CACHE", str(tmp_path))


@pytest.mark.parametrize("line", LINES)
def test_a_command_line_runs(line, capsys):
    words = shlex.split(line)[1:]
    assert run(words) == 0
    assert capsys.readouterr().out
    if "--out" in words:
        assert Path("seen", f"{words[0]}.html").is_file()


def test_the_python_runs():
    blocks = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    assert len(blocks) == 3
    exec(compile("\n".join(blocks), "docs/explain.md", "exec"), {})
