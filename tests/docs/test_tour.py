"""The tour runs: every block of the page, in order, in one namespace."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "tour.md"


def test_the_tour_runs_as_written():
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 6
    exec(compile("\n".join(blocks), str(PAGE), "exec"), {})
