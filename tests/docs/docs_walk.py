"""Pages that are walked: their blocks are run in order, and what comes out is put where the page has its output.

A page is right if walking it leaves it as it is. To renew the pages after a change: ``python -m tests.docs.docs_walk``.

* ```` ```toml net.toml ```` writes that file.
* ```` ```console ```` has lines of ``$ convsmith ...``; under each stands what it prints, and its error where it fails.
  ``| head -9``, ``| tail -9`` and ``| grep word`` keep a part of it.
* ```` ```python ```` is a session of ``>>>``; all sessions of a page share their names.
* ```` ```sh ```` is only shown: what takes long, or depends on the machine.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import os
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convsmith.cli.main import run

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial"
PICTURES = TUTORIAL / "pictures"
_BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NUMBER = re.compile(r"(?<![A-Za-z0-9_.\-])\d[\d,]*(?:\.\d+)?")
_YEAR = re.compile(r"(?<=[,，(（ ])(?:19|20)\d\d(?=[)）;,])")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the file it names, and its text."""

    language: str
    file: str
    text: str


def blocks(page: str) -> list[Block]:
    return [Block(language, file, text) for language, file, text in _BLOCK.findall(page)]


def commands(page: str) -> list[str]:
    """The commands that a page runs or shows, without ``$``."""
    lines = [line.removeprefix("$ ") for block in blocks(page) if block.language in ("console", "sh")
             for line in block.text.splitlines() if line.startswith("$ ") or block.language == "sh"]  # fmt: skip
    return [line for line in lines if line.startswith("convsmith ")]


def prose(page: str) -> str:
    """What is neither a block nor code within a line, without links, years of publications and numbers of lists."""
    text = re.sub(r"`[^`]*`", " ", _BLOCK.sub(" ", page))
    text = re.sub(r"\]\([^)]*\)", "]", text)
    return _YEAR.sub(" ", re.sub(r"\[\d+\]|^\d+\. ", " ", text, flags=re.MULTILINE))


def numbers(text: str) -> set[str]:
    """Numbers as they are written, but for the commas of thousands; those within names are left out."""
    return {number.rstrip(",").replace(",", "") for number in _NUMBER.findall(text)}


def known_numbers(page: str) -> set[str]:
    """The numbers in all blocks of a page, those glued to letters too."""
    return {n.rstrip(",").replace(",", "") for b in blocks(page) for n in re.findall(r"\d[\d,]*(?:\.\d+)?", b.text)}


def walk(page: str, folder: Path) -> str:
    """The page as it would be if its blocks were run in ``folder`` now."""
    names: dict[str, Any] = {}

    def renewed(match: re.Match[str]) -> str:
        language, file, text = match.groups()
        if language == "toml" and file:
            (folder / file).write_text(text, encoding="utf-8")
        elif language == "console":
            text = "\n".join(_asked(line) for line in text.splitlines() if line.startswith("$ "))
        elif language == "python":
            text = "".join(_told(example.source, names) for example in doctest.DocTestParser().get_examples(text))
        return f"```{language}{f' {file}' if file else ''}\n{text}```"

    with contextlib.chdir(folder):
        return _BLOCK.sub(renewed, page)


def _asked(line: str) -> str:
    """A command with what it prints."""
    command, *filters = line.removeprefix("$ ").split(" | ")
    program, *words = shlex.split(command)
    assert program == "convsmith", line
    out, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        code = run(words)
    shown = (out.getvalue() + (errors.getvalue() if code else "")).splitlines()
    for name, wanted in map(shlex.split, filters):
        if name == "grep":
            shown = [one for one in shown if wanted in one]
        else:
            count = int(wanted.removeprefix("-"))
            shown = {"head": shown[:count], "tail": shown[-count:]}[name]
    return "".join(f"{one}\n" for one in (line, *shown))


def _told(source: str, names: dict[str, Any]) -> str:
    """A statement of a session with what it prints."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(source, "page", "single"), names)
    first, *rest = source.splitlines()
    return "".join(f"{line}\n" for line in (f">>> {first}", *(f"... {line}" for line in rest))) + out.getvalue()


@contextlib.contextmanager
def workplace(folder: Path) -> Iterator[Path]:
    """A folder with the files that the pages of the tutorial use, and a cache of its own."""
    for file in TUTORIAL.iterdir():
        if file.is_file() and file.suffix != ".md":
            shutil.copy(file, folder)
    (folder / PICTURES.name).mkdir()
    before = os.environ.get("CONVSMITH_CACHE")
    os.environ["CONVSMITH_CACHE"] = str(folder / "cache")
    try:
        yield folder
    finally:
        if before is None:
            del os.environ["CONVSMITH_CACHE"]
        else:
            os.environ["CONVSMITH_CACHE"] = before


def renew(*names: str) -> None:
    """Walk the English pages and write them, their pictures, and their blocks into the Chinese ones."""
    for page in sorted((TUTORIAL / "en").glob("*.md")):
        if names and page.stem not in names:
            continue
        with tempfile.TemporaryDirectory() as place, workplace(Path(place)) as folder:
            text = walk(page.read_text(encoding="utf-8"), folder)
            page.write_text(text, encoding="utf-8")
            for picture in pictures(text):
                (PICTURES / picture).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(folder / PICTURES.name / picture, PICTURES / picture)
        other = TUTORIAL / "zh" / page.name
        if other.exists():
            fresh = iter(match.group() for match in _BLOCK.finditer(text))
            chinese = _BLOCK.sub(lambda _, fresh=fresh: next(fresh), other.read_text(encoding="utf-8"))
            other.write_text(chinese, encoding="utf-8")


def pictures(page: str) -> list[str]:
    """The pictures that a page shows, by their paths in the folder of pictures."""
    return re.findall(rf"!\[[^\]]*\]\(\.\./{PICTURES.name}/([^)]+)\)", page)


if __name__ == "__main__":
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command has it; before torch is loaded
    renew(*sys.argv[1:])
