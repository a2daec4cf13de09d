"""The page of what is measured says what the committed results say, and the README only what the page says."""

import importlib.util
import sys
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
