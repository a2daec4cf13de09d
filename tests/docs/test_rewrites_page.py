"""The page on rewrites: its code runs, and its table is the list of the rules."""

import re
from pathlib import Path

import pytest

from convsmith.rewrites import RULES

PAGE = Path(__file__).parents[2] / "docs" / "rewrites.md"
TEXT = PAGE.read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_page_runs_as_written():
    blocks = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    assert len(blocks) == 8
    exec(compile("\n".join(blocks), str(PAGE), "exec"), {})


def test_the_table_is_the_list_of_the_rules():
    rows = re.findall(r"^\| `([\w-]+)` \| (\w+) \|", TEXT, re.MULTILINE)
    assert rows == [(rule.name, rule.keeps) for rule in RULES]
