"""Networks and runs show themselves in a notebook: figures that the ledger gives, no script, plain text as well."""

from __future__ import annotations

import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from convsmith.analysis import cost
from convsmith.design import lower, parse_design, zoo
from convsmith.jobs.fit import Fit
from convsmith.jobs.inspect import inspect
from convsmith.jobs.train import TrainRun
from convsmith.quantities import format_count

REPORT = {
    "sentence": "net <b>is</b> right on 91.1 % of 359 test images.",
    "accuracy": {"test": 0.911, "ci95": [0.877, 0.936]},
    "chosen": {"macs": 392_448, "params": 13_194, "latency_ms": 0.25},
    "seconds": {"total": 75.0},
    "notes": ["time was <short>"],
}


class Tables(HTMLParser):
    """The cells of every table, row by row, and all tags."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.rows: list[list[str]] = []
        self.open = 0
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.open += 1
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        self.open -= 1

    def handle_data(self, data):
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data


@pytest.mark.parametrize("name", ["resnet18", "mobilenet-v2"])
def test_a_network_shows_what_its_layers_cost_whichever_way_it_is_held(name):
    design = zoo.load(name)
    shown = [one._repr_html_() for one in (design, lower(design), inspect(design))]
    assert shown[0] == shown[1] == shown[2]
    page, ledger = Tables(shown[0]), cost(lower(design))
    assert page.open == 0
    assert not page.tags & {"script", "style", "img", "iframe"}
    assert f"{format_count(ledger.macs)} MACs" in shown[0]
    for layer in [one for one in ledger.layers if one.macs]:
        row = next(row for row in page.rows if row and row[0] == layer.name)
        assert row[3:5] == [format_count(layer.macs), format_count(layer.params)]
    assert repr(design)


def test_a_design_that_does_not_fit_says_why():
    text = zoo.text("resnet18").replace("224, 224", "2, 2").replace("stride = 2", "stride = 16")
    shown = parse_design(text, where="net")._repr_html_()
    assert "below 1x1" in shown
    assert "Traceback" not in shown


@pytest.mark.parametrize("kind", [Fit, TrainRun])
def test_a_run_shows_its_outcome_and_nothing_in_it_is_markup(kind):
    shown = kind(Path("runs/one"), REPORT)._repr_html_()
    page = Tables(shown)
    assert page.open == 0
    assert ["right on test images", "91.1 %, 95 % interval 87.7 % to 93.6 %"] in page.rows
    assert "runs/one/report.html" in shown
    assert "net &lt;b&gt;is&lt;/b&gt;" in shown
    assert "time was &lt;short&gt;" in shown


@pytest.mark.slow
def test_a_design_starts_without_what_only_a_notebook_needs():
    code = "import sys, convsmith.design; print([name for name in sys.modules if name.startswith('convsmith.')])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "convsmith.design" in loaded
    assert "convsmith.report" not in loaded
    assert "convsmith.jobs" not in loaded
