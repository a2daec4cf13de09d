"""The page on curves runs as shown, and names options that exist and constants as they are."""

from __future__ import annotations

import re
from pathlib import Path

from convsmith.cli.main import run
from convsmith.jobs import curves_plan
from convsmith.jobs.curves import GROWTH
from convsmith.jobs.curves_plan import DEFAULT_SEEDS, Wish, plan_curves
from convsmith.scaling.solve import FILL
from convsmith.search.policy import Load

TEXT = (Path(__file__).parents[2] / "docs" / "curves.md").read_text(encoding="utf-8")


def test_the_python_runs():
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    exec(compile(code, "curves.md", "exec"), {})


def test_every_option_named_is_one(capsys):
    assert run(["scale", "--help"]) == 0
    known = capsys.readouterr().out
    for option in set(re.findall(r"--[a-z]+", TEXT)):
        assert option in known


def test_the_numbers_are_those_of_the_code():
    assert GROWTH == 8
    assert "eight times the base" in TEXT
    assert DEFAULT_SEEDS == 3
    assert f"over {100 * FILL:.0f} % of it" in TEXT
    load = Load(train=10_000, select=1, test=1)
    steps = [["a"], ["b"], ["c"], ["d"]]
    plans = [
        plan_curves(Wish(steps, DEFAULT_SEEDS), seconds, dict.fromkeys("abcd", 1e-3), load)
        for seconds in (1e6, 630, 430, 330, 130, 45)
    ]
    shapes = [(plan.images / load.train, plan.seeds, len(plan.keys)) for plan in plans]
    assert shapes[0] == (20, 3, 4)
    assert shapes[1] == (5, 3, 4)
    assert shapes[2] == (5, 2, 4)
    assert shapes[3] == (5, 2, 3)
    assert shapes[4][0] < 5
    assert shapes[-1] == (2, 1, 2)
    assert curves_plan.MOST_SEEDS > 3
