"""The space file: its defaults, what it takes, and what mistakes in it are told."""

import re
import tomllib
from pathlib import Path

import pytest

from convsmith.design.blocks import BLOCKS
from convsmith.search.space_file import SpaceError, default_space, default_text, parse_space, read_space


def test_the_default_file_gives_the_default_space_and_explains_every_key():
    assert parse_space(default_text()) == default_space()
    lines = default_text().splitlines()
    for place, line in enumerate(lines):
        if "=" in line and not line.startswith("#"):
            head = place
            while lines[head - 1] and not lines[head - 1].startswith("#") and head > 0:
                head -= 1
            assert "#" in line or lines[head - 1].startswith("#"), line


def test_what_a_file_leaves_out_is_as_in_the_default():
    changed = parse_space('families = ["bottleneck"]\n[width]\ngrowth = [2, 2]\n')
    assert changed.families == ("bottleneck",)
    assert changed.width.growth == (2, 2)
    assert changed.width.multiple == default_space().width.multiple
    assert changed.depth == default_space().depth
    assert parse_space("") == default_space()


def test_the_example_of_the_page_is_a_space():
    page = (Path(__file__).parents[2] / "docs" / "budgets.md").read_text()
    (example,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    space = parse_space(example)
    assert (space.family_changes, space.depth.blocks) == (1, (3, 12))
    assert space.depth.bulge == default_space().depth.bulge


def test_families_are_blocks():
    for family in tomllib.loads(default_text())["families"]:
        assert family in BLOCKS


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("growth = [1, 2]", "key 'growth' is not known (received [1, 2]); did you mean 'width.growth'?"),
        ("[width]\ngrwth = [1, 2]", "did you mean 'width.growth'?"),
        ("familys = []", "did you mean 'families'?"),
        ("[widht]\ngrowth = [1, 2]", "did you mean 'width'?"),
        ('families = ["residul"]', "did you mean 'residual'?"),
        ("families = []", "'families'"),
        ("family_changes = 2", "'family_changes'"),
        ("[width]\ngrowth = [3, 2]", "must be [least, most] with 1 <= least <= most <= 8 (received [3, 2])"),
        ("[width]\ngrowth = 2", "'width.growth': must be a list (received 2)"),
        ("[width]\nmultiple = 3", "must be one of 0, 1, 2, 4, 8, 16 (received 3)"),
        ("width = 2", "'width': must be a table"),
        ("[depth]\nblocks = [1.5, 2]", "'depth.blocks[1]'"),
        ("[depth]\nblocks = [0, 2]", "1 <= least"),
        ("[resolution]\nscale = [0.5, 3.0]", "most <= 2"),
        ("[depth\n", "must be TOML"),
    ],
)
def test_a_mistake_is_named_with_key_value_and_remedy(text, expected):
    with pytest.raises(SpaceError) as caught:
        parse_space(text, where="mine.toml")
    assert expected in str(caught.value)
    assert str(caught.value).startswith("mine.toml: ")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_told_how_to_get_one(tmp_path):
    with pytest.raises(SpaceError, match="--write-space"):
        read_space(tmp_path / "space.toml")
