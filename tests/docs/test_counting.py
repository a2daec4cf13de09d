"""The page on counting: its code runs, and every number of its table is recomputed."""

import re
from pathlib import Path

import pytest

from convsmith.design import lower, zoo
from convsmith.interop.conventions import CONVENTIONS, matching, quoted, totals
from convsmith.ir import Terms

PAGE = Path(__file__).parents[2] / "docs" / "counting.md"
TEXT = PAGE.read_text(encoding="utf-8")
ROWS = [
    (int(number.replace(",", "")), name, said)
    for number, name, said in re.findall(r"^\| ([\d,]+) \| `([^`]+)` \| (.*) \|$", TEXT, re.MULTILINE)
]


def test_the_page_runs_as_written():
    blocks = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    assert len(blocks) == 5
    exec(compile("\n".join(blocks), str(PAGE), "exec"), {})


@pytest.mark.parametrize(("number", "name", "said"), ROWS)
def test_a_number_of_the_table_is_that_of_its_convention(number, name, said):
    graph = lower(zoo.load("resnet50"))
    assert (totals(graph) | quoted(graph))[name] == number
    assert name in matching(graph, number)


def test_the_table_holds_every_convention():
    assert {name for _, name, _ in ROWS} >= set(CONVENTIONS)


def test_the_ledger_of_the_page_is_the_ledger():
    _, _, rows = TEXT.partition("| term | what it counts |\n|---|---|\n")
    assert re.findall(r"^\| (\w+) \|", rows.partition("\n\n")[0], re.MULTILINE) == list(Terms().to_dict())


def test_what_the_table_adds_up_adds_up():
    """Sums of the page's own numbers, as its sentences say."""
    macs, bias, norm, activation, pools = 4_089_184_256, 1_000, 11_113_984, 9_608_704, 802_816 + 100_352
    found = {name: number for number, name, _ in ROWS}
    assert found["fvcore"] == macs + 2 * norm + 100_352
    assert found["thop 0.0.31"] == macs + 2 * norm + 50 * 2_048
    assert found["thop"] == macs + 4 * norm + 50 * 2_048
    assert found["ptflops 0.7"] == macs + bias + 2 * norm + activation + pools
    assert found["ptflops"] == macs + bias + 2 * norm + 2 * (activation + pools)
    assert found["calflops"] == 2 * macs + 2 * norm + activation + pools
    assert found["torchinfo"] == macs + 53_120 + bias
    assert found["macs of convolutions"] == macs - 2_048_000
