"""The page on recipes names every key with its default, and its example is a recipe."""

import dataclasses
import json
import re
from pathlib import Path

from convsmith.data.augment import Policy
from convsmith.training.recipe import Recipe
from convsmith.training.recipe_file import read_recipe

TEXT = (Path(__file__).parents[2] / "docs" / "recipe.md").read_text(encoding="utf-8")


def test_the_table_holds_every_key_with_its_default():
    shown = dict(re.findall(r"^\| `(\w+)` \| `(.+?)` \|", TEXT, re.MULTILINE))
    fields = {field.name: getattr(Recipe(), field.name) for field in dataclasses.fields(Recipe)}
    fields.pop("policy")
    assert {key: json.loads(value) for key, value in shown.items()} == fields


def test_every_key_of_the_augmentation_is_named():
    table = TEXT.split("| key | what |")[1]
    named = {key for row in re.findall(r"^\| (`.+?`) \|", table, re.MULTILINE) for key in re.findall(r"`(\w+)`", row)}
    assert named == {field.name for field in dataclasses.fields(Policy)}


def test_the_example_is_a_recipe(tmp_path):
    (example,) = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
    (tmp_path / "recipe.toml").write_text(example)
    recipe = read_recipe(tmp_path / "recipe.toml", Recipe(policy=Policy(flip=True)))
    assert (recipe.learning_rate, recipe.batch) == (0.05, 128)
    assert recipe.policy == Policy(flip=True, cutout=8)
