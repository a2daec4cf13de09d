"""The page on counting: its code runs, and every number of its table is recomputed."""

import json
import re
from pathlib import Path

import pytest

from convsmith.design import lower, zoo
from convsmith.interop.conventions import CONVENTIONS, matching, quoted, totals
from convsmith.ir import Terms

PAGE = Path(__file__).parents[2] / "docs" / "counting.md"
TEXT = PAGE.read_text(encoding="utf-8")
ROWS = {
    name: int(number.replace(",", ""))
    for number, name in re.findall(r"^\| ([\d,]+) \| `([^`]+)` \|", TEXT, re.MULTILINE)
}
MEASURED = json.loads((PAGE.parents[1] / "benchmarks" / "results" / "peers.json").read_text())["networks"]


def test_the_page_runs_as_written():
    blocks = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    assert len(blocks) == 5
    exec(compile("\n".join(blocks), str(PAGE), "exec"), {})


@pytest.mark.parametrize(("name", "number"), ROWS.items())
def test_a_number_of_the_table_is_that_of_its_convention(name, number):
    graph = lower(zoo.load("resnet50"))
    assert (totals(graph) | quoted(graph))[name] == number
    assert name in matching(graph, number)


def test_the_table_holds_every_convention():
    assert ROWS.keys() >= CONVENTIONS.keys()


def test_what_the_tools_themselves_gave_is_on_the_page():
    assert MEASURED["torchvision:resnet50"].items() <= ROWS.items()
    convnext = MEASURED["torchvision:convnext_tiny"]
    assert f"{convnext['torchinfo'] / 1e9:.1f} instead of {convnext['flops'] / 2e9:.1f} billion" in TEXT


def test_the_ledger_of_the_page_is_the_ledger():
    _, _, rows = TEXT.partition("| term | what it counts |\n|---|---|\n")
    assert re.findall(r"^\| (\w+) \|", rows.partition("\n\n")[0], re.MULTILINE) == list(Terms().to_dict())


def test_what_the_table_adds_up_adds_up():
    """Sums of the page's own numbers, as its sentences say."""
    macs, bias, norm, activation, pools = 4_089_184_256, 1_000, 11_113_984, 9_608_704, 802_816 + 100_352
    assert ROWS["fvcore"] == macs + 2 * norm + 100_352
    assert ROWS["thop 0.0.31"] == macs + 2 * norm + 50 * 2_048
    assert ROWS["thop"] == macs + 4 * norm + 50 * 2_048
    assert ROWS["ptflops 0.7"] == macs + bias + 2 * norm + activation + pools
    assert ROWS["ptflops"] == macs + bias + 2 * norm + 2 * (activation + pools)
    assert ROWS["calflops"] == 2 * macs + 2 * norm + activation + pools
    assert ROWS["torchinfo"] == macs + 53_120 + bias
    assert ROWS["macs of convolutions"] == macs - 2_048_000
