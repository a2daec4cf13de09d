"""The tutorial: its pages say what comes out, in both languages; each number and each picture comes from a command."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from convsmith.cli.main import COMMANDS, run
from tests.docs.docs_walk import (
    PICTURES,
    TUTORIAL,
    blocks,
    commands,
    known_numbers,
    numbers,
    pictures,
    prose,
    walk,
    workplace,
)

ROOT = TUTORIAL.parents[1]
LANGUAGES = ("en", "zh")
PAGES = [path.name for path in sorted((TUTORIAL / "en").glob("*.md"))]
WALKED = [pytest.param(name, marks=pytest.mark.slow) if "training" in name else name for name in PAGES]
ROWS = [f"S{number}" for number in (*range(1, 20), 22)]
SOURCED = re.compile(r"\[([+−]?[\d.,]+)(?:\s?%)?\]\((\S+\.json)\s\"([^\"]+)\"\)")


def read(language: str, name: str) -> str:
    return (TUTORIAL / language / name).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def walked(tmp_path_factory):
    """The pages as they would be now, with the pictures that their commands draw."""
    done: dict[str, tuple[str, Path]] = {}

    def of(name: str) -> tuple[str, Path]:
        if name not in done:
            with workplace(tmp_path_factory.mktemp("page")) as folder:
                done[name] = walk(read("en", name), folder), folder / PICTURES.name
        return done[name]

    return of


@pytest.mark.slow
@pytest.mark.parametrize("name", WALKED)
def test_a_page_says_what_comes_out(name, walked):
    assert walked(name)[0] == read("en", name)


@pytest.mark.slow
@pytest.mark.parametrize("name", WALKED)
def test_a_picture_is_what_its_command_draws(name, walked):
    text, drawn = walked(name)
    for picture in pictures(text):
        ours, theirs = PICTURES / picture, drawn / picture
        if picture.endswith(".svg"):
            assert ours.read_text(encoding="utf-8") == theirs.read_text(encoding="utf-8")
            continue
        with Image.open(ours) as one, Image.open(theirs) as other:
            assert one.size == other.size
            difference = np.asarray(one.convert("RGB"), float) - np.asarray(other.convert("RGB"), float)
        assert np.abs(difference).mean() < 1  # of 255: processors round a trained network's numbers differently


def test_every_picture_is_shown_on_a_page():
    shown = {picture for name in PAGES for picture in pictures(read("en", name))}
    assert {str(path.relative_to(PICTURES)) for path in PICTURES.rglob("*.*")} == shown


@pytest.mark.parametrize("name", PAGES)
def test_both_languages_have_the_same_blocks_pictures_and_sources(name):
    english, chinese = (read(language, name) for language in LANGUAGES)
    assert blocks(english) == blocks(chinese)
    assert pictures(english) == pictures(chinese)
    assert SOURCED.findall(english) == SOURCED.findall(chinese)
    assert re.findall(r"^#+ ", english, re.MULTILINE) == re.findall(r"^#+ ", chinese, re.MULTILINE)


def test_both_languages_have_the_same_pages():
    assert [path.name for path in sorted((TUTORIAL / "zh").glob("*.md"))] == PAGES


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", PAGES)
def test_every_number_in_the_prose_comes_out_of_a_block_or_has_its_source(name, language):
    text = read(language, name)
    for shown, file, key in SOURCED.findall(text):
        value = json.loads((TUTORIAL / language / file).read_text(encoding="utf-8"))
        for part in key.split("."):
            value = value[part]
        digits = len(shown.partition(".")[2])
        said = shown.replace("−", "-").removeprefix("+")
        assert said in (f"{value:,.{digits}f}", f"{100 * value:.{digits}f}")
        differs = any(word in key for word in ("above", "distance"))
        assert (shown[0] in "+−") == differs, shown  # a difference has a sign, a share has none
    assert numbers(prose(SOURCED.sub(" ", text))) - known_numbers(text) == set()


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", PAGES)
def test_every_link_leads_somewhere(name, language):
    for target in re.findall(r"\]\(([^)\s#]+)[^)]*\)", read(language, name)):
        assert target.startswith("https://") or (TUTORIAL / language / target).exists(), target


@pytest.mark.parametrize("name", PAGES)
def test_what_is_only_shown_are_commands_with_their_options(name, capsys):
    for block in blocks(read("en", name)):
        if block.language == "sh":
            for line in block.text.splitlines():
                program, command, *words = line.split("#")[0].split()
                assert (program, command in COMMANDS) == ("convsmith", True)
                run([command, "--help"])
                known = capsys.readouterr().out
                assert all(word in known for word in words if word.startswith("--"))


def table(language: str, name: str) -> list[list[str]]:
    """The cells of the tables of a page, without their headers."""
    rows = [line.strip("|").split("|") for line in read(language, name).splitlines() if line.startswith("|")]
    rule = [number for number, row in enumerate(rows) if set("".join(row)) <= set("-: ")]
    return [[cell.strip() for cell in row] for number, row in enumerate(rows) if number not in rule
            and number + 1 not in rule]  # fmt: skip


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_row_of_the_request_has_its_command_page_and_test(language):
    rows = {row[0]: row for row in table(language, "README.md") if re.fullmatch(r"S\d+", row[0])}
    assert list(rows) == ROWS
    for name, (_, _, said, page, tests) in rows.items():
        shown = {line.split()[1] for target in re.findall(r"\(([\w-]+\.md)\)", page)
                 for line in commands(read(language, target))}  # fmt: skip
        named = set(re.findall(r"`convsmith (\w+)", said))
        assert named
        assert named <= shown, name
        files = re.findall(r"`tests/seed/(\w+\.py)`", tests)
        assert {path.name for path in (ROOT / "tests" / "seed").glob(f"test_s{int(name[1:]):02}_*.py")} == set(files)
        assert files


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_words_of_pytorch_and_the_commands_exist(language):
    rows = table(language, "words.md")
    assert len(rows) > 15
    for _, _, _, theirs, command, _ in rows:
        for path in re.findall(r"`torch\.([\w.]+)", theirs):
            place = torch
            for part in path.split("."):
                place = getattr(place, part)
        assert set(re.findall(r"`convsmith (\w+)", command)) <= set(COMMANDS)


def test_the_words_are_the_same_in_both_languages():
    first, second = ([row[1:4] for row in table(language, "words.md")] for language in LANGUAGES)
    assert first == second
