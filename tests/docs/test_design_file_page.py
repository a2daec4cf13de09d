"""The page on design files names all stems, blocks and heads with their keys and defaults; its examples are designs."""

import inspect
import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from convsmith.design import lower, parse_design, zoo
from convsmith.design.blocks import BLOCKS
from convsmith.design.ends import HEADS, STEMS
from convsmith.design.regnet import RegNet, regnet

TEXT = (Path(__file__).parents[2] / "docs" / "design_file.md").read_text(encoding="utf-8")


def options(function):
    """Keyword arguments and their defaults; where there is none, nothing."""
    given = inspect.signature(function).parameters.values()
    return {key.name: key.default for key in given if key.kind is key.KEYWORD_ONLY}


def part(title):
    return TEXT.split(f"\n## {title}\n")[1].split("\n## ")[0]


@pytest.mark.parametrize(("title", "functions"), [("Stems", STEMS), ("Blocks", BLOCKS), ("Heads", HEADS)])
def test_a_table_holds_every_key_with_its_default(title, functions):
    _, *rows = re.findall(r"^\| `(\w+)` \| .+? \| (.+) \|$", part(title), re.MULTILINE)
    assert [name for name, _ in rows] == list(functions)
    for name, keys in rows:
        shown = dict(re.findall(r"`(\w+)(?: = (.+?))?`", keys))
        wanted = options(functions[name])
        if title != "Heads":
            del wanted["width"], wanted["stride"]
        assert list(shown) == list(wanted)
        for key, default in wanted.items():
            has_default = default is not inspect.Parameter.empty and default is not None
            assert shown[key] == (json.dumps(default) if has_default else "")


def test_every_key_is_explained():
    named = {
        key for row in re.findall(r"^\| (`.+?`) \|", part("Keys"), re.MULTILINE) for key in re.findall(r"\w+", row)
    }
    functions = [*STEMS.values(), *BLOCKS.values(), *HEADS.values()]
    assert named == {"depth", *(key for function in functions for key in options(function))}


def test_the_examples_are_designs():
    first, second = (parse_design(text) for text in re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL))
    assert lower(first).types["head.classifier"].shape == (1, 10)
    graph = lower(second)
    assert graph.types[graph.outputs[0]].shape == (1, 3, 16, 16)


def test_the_python_fills_the_network_with_the_weights_of_another(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("generator.toml").write_text(re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)[1], encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    page: dict[str, Any] = {}
    exec(compile(code, "design_file.md", "exec"), page)
    noise = torch.randn(2, 100, 1, 1)
    torch.testing.assert_close(page["network"].eval()(noise), page["theirs"].eval()(noise))


def test_a_regnet_as_the_page_makes_it():
    (call,) = re.findall(r"`convsmith\.design\.regnet\.(regnet\(.+?\))`", TEXT)
    assert eval(call, {"regnet": regnet, "RegNet": RegNet}) == zoo.load("regnety-400mf").model_copy(
        update={"name": "mine"}
    )
