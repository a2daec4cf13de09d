"""The page of what is measured says what the committed results say, and the README only what the page says."""

import importlib.util
import json
import re
import statistics
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "measured.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def measured():
    """The script that writes the page, which stands among the benchmarks."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        spec = importlib.util.spec_from_file_location("measured", ROOT / "benchmarks" / "measured.py")
        module = importlib.util.module_from_spec(spec)
        sys.modules["measured"] = module
        spec.loader.exec_module(module)
    finally:
        sys.path.pop(0)
    return module


def test_the_page_is_what_the_results_give(measured):
    assert measured.page() == PAGE


def test_a_goal_that_is_not_reached_is_called_missed(measured):
    figures = measured.figures
    assert "**missed**" in figures.at_least("", 1.998, 2, figures.times).cells()[2]
    assert "**missed**" in figures.at_most("", 0.5001, 0.5, figures.percent).cells()[2]
    assert figures.at_least("", 2, 2, figures.times).cells() == ("", "2 times", "at least 2 times: met")


def test_every_result_has_its_section(measured):
    shown = {section.result for section in measured.SECTIONS}
    for path in (ROOT / "benchmarks" / "results").glob("*.json"):
        if not path.stem.endswith("_networks"):  # those are what a benchmark begins with
            assert path.stem in shown, f"{path.name} is on no page"


def test_the_readme_quotes_the_page():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    table = text.partition("## Measured\n")[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")]
    quoted = [line for line in rows[1:] if "---" not in line]
    assert len(quoted) >= 5
    for line in quoted:
        found = line.split("|")[2].strip()
        assert f"| {found} |" in PAGE, line


def test_what_the_readme_says_of_splits_is_what_was_trained():
    results = ROOT / "benchmarks" / "results"
    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    found = dict[int, dict[str, list[float]]]()
    for line in (results / "fit_photographs_6M_table.ndjson").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        network, images = row["arm"].split(" | ")
        found.setdefault(int(images), {}).setdefault(network, []).append(100 * row["accuracy"])
    spreads = {images: _spread(map(statistics.fmean, of.values())) for images, of in found.items() if len(of) == 36}
    assert len(spreads) == 4
    [behind] = re.findall(r"Some splits are (\d+) points behind the best, however long", text)
    assert int(behind) <= min(spreads.values()) < int(behind) + 2
    [apart] = re.findall(r"after 64 passes those that were looked at are within ([\d.]+) points", text)
    assert apart == f"{_spread(map(statistics.fmean, found[540_000].values())):.1f}"


def _spread(values: Iterable[float]) -> float:
    ordered = sorted(values)
    return ordered[-1] - ordered[0]
