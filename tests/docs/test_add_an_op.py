"""The page on adding an operator is run as it stands."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

from convsmith.ops import ALL_OPS
from convsmith.testing import CHECKS, check_op

PAGE = (Path(__file__).parents[2] / "docs" / "add_an_op.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)


def run(tmp_path: Path, *blocks: str) -> dict[str, object]:
    script = tmp_path / "page.py"
    script.write_text("\n\n".join(blocks), encoding="utf-8")
    return runpy.run_path(str(script))


def test_the_page_runs(tmp_path):
    assert len(BLOCKS) == 3
    run(tmp_path, *BLOCKS)


def test_the_operator_alone_passes_the_harness(tmp_path):
    """One file is enough: nothing of the later blocks is needed."""
    check_op(run(tmp_path, BLOCKS[0])["ChannelShuffle"])


def test_a_mistake_in_the_file_is_caught(tmp_path):
    lied = BLOCKS[0].replace(".swapaxes(1, 2)", "")
    assert lied != BLOCKS[0]
    with pytest.raises(
        AssertionError, match=r"^ChannelShuffle: matrix_is_module: Sample\(op=ChannelShuffle\(groups=2\)"
    ):
        check_op(run(tmp_path, lied)["ChannelShuffle"])


def test_the_page_lists_every_check():
    assert re.findall(r"^\| `(\w+)` \|", PAGE, flags=re.MULTILINE)[-len(CHECKS) :] == [c.__name__ for c in CHECKS]


def test_the_line_goes_between_its_neighbours():
    before, after = re.findall(r"^ {5}(\w+),$", PAGE, flags=re.MULTILINE)[-2:]
    names = [op.__name__ for op in ALL_OPS]
    assert names.index(after) == names.index(before) + 1
    assert before < "ChannelShuffle" < after
