"""Files stay small, and every path that the documents name exists."""

import re
import statistics
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "convsmith").rglob("*.py"))
DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
PATH = re.compile(r"`((?:convsmith|tests|docs|benchmarks)/[\w./-]+)`")
INVENTED = {"convsmith/ops/shuffle.py"}  # the toy operator of docs/add_an_op.md


def lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def test_no_file_is_longer_than_600_lines_and_the_mean_is_under_200():
    assert [path.name for path in FILES if lines(path) > 600] == []
    assert statistics.mean(map(lines, FILES)) < 200


def test_every_path_named_in_the_documents_exists():
    texts = {document.name: document.read_text(encoding="utf-8") for document in DOCUMENTS}
    named = {(name, path) for name, text in texts.items() for path in PATH.findall(text) if path not in INVENTED}
    assert named
    assert [pair for pair in sorted(named) if not (ROOT / pair[1]).exists()] == []
