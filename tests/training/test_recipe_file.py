"""A recipe file gives what differs from the default; what cannot be is refused in one line."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convsmith.data.augment import Policy
from convsmith.errors import TrainingError
from convsmith.training.recipe import OPTIMIZERS, Recipe
from convsmith.training.recipe_file import read_recipe, write_recipe

BASE = Recipe(policy=Policy(flip=True, translate=4))
POLICIES = st.none() | st.builds(
    Policy,
    flip=st.booleans(),
    translate=st.integers(0, 8),
    rotate=st.floats(0, 180),
    operations=st.lists(st.sampled_from(["rotate", "solarize"]), max_size=2).map(tuple),
)
RECIPES = st.builds(
    Recipe,
    optimizer=st.sampled_from(OPTIMIZERS),
    learning_rate=st.floats(1e-6, 10),
    batch=st.integers(2, 4096),
    whiten=st.booleans(),
    policy=POLICIES,
)


def write(folder: Path, text: str) -> Path:
    path = folder / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_what_a_file_leaves_out_is_as_it_was(tmp_path: Path) -> None:
    text = 'optimizer = "adamw"\nlearning_rate = 0.002\n\n[policy]\ncutout = 8\n'
    assert read_recipe(write(tmp_path, text), BASE) == dataclasses.replace(
        BASE, optimizer="adamw", learning_rate=0.002, policy=Policy(flip=True, translate=4, cutout=8)
    )


def test_augmentation_can_be_switched_off(tmp_path: Path) -> None:
    assert read_recipe(write(tmp_path, "policy = false\n"), BASE).policy is None


@pytest.mark.slow
@given(recipe=RECIPES, base=RECIPES)
def test_what_is_written_is_read_back_whatever_the_base(
    tmp_path_factory: pytest.TempPathFactory, recipe: Recipe, base: Recipe
) -> None:
    path = write(tmp_path_factory.mktemp("recipe"), write_recipe(recipe))
    assert read_recipe(path, base) == recipe


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("learning_rat = 0.1", ["'learning_rat'", "did you mean 'learning_rate'?"]),
        ("learning_rate = -1", ["learning_rate must be above 0", "-1"]),
        ("learning_rate = 'fast'", ["learning_rate must be above 0", "'fast'"]),
        ("whiten = 1", ["whiten must be true or false", "1"]),
        ("optimizer = 'lion'", ["optimizer must be one of sgd, adamw, muon", "'lion'"]),
        ("[policy]\nflipp = true", ["[policy]", "'flipp'", "did you mean 'flip'?"]),
        ("[policy]\nrotate = 400", ["rotate must be from 0 to 180 degrees", "400"]),
        ("[policy]\noperations = ['posterise']", ["there is no such operation", "did you mean 'posterize'?"]),
        ("policy = true", ["policy must be a table or false", "True"]),
        ("batch = ", ["a recipe must be TOML"]),
    ],
)
def test_what_cannot_be_is_refused_with_file_key_value_and_remedy(tmp_path: Path, text: str, parts: list[str]) -> None:
    path = write(tmp_path, text)
    with pytest.raises(TrainingError) as caught:
        read_recipe(path, BASE)
    assert str(path) in str(caught.value)
    for part in parts:
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"nowhere\.toml: a recipe must be a readable text file"):
        read_recipe(tmp_path / "nowhere.toml", BASE)
