from __future__ import annotations

import dataclasses
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convsmith.errors import TrainingError
from convsmith.training.recipe import Recipe
from convsmith.training.schedule import learning_rate

SHARES = st.floats(0, 1)
RECIPES = st.builds(Recipe, schedule=st.sampled_from(["one-cycle", "cosine"]), warmup=st.floats(0, 0.99))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("optimizer", "sdg"),
        ("schedule", "linear"),
        ("learning_rate", 0.0),
        ("learning_rate", math.inf),
        ("learning_rate", "0.1"),
        ("momentum", 1.0),
        ("weight_decay", -0.1),
        ("label_smoothing", 1.0),
        ("warmup", 1.0),
        ("batch", 1),
        ("batch", 16.0),
        ("batch", True),
        ("ema", 0.6),
        ("clip_norm", math.nan),
        ("policy", "flip"),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_key_and_value(key: str, value: object) -> None:
    with pytest.raises(TrainingError) as caught:
        Recipe(**{key: value})  # type: ignore[arg-type]
    assert f"recipe.{key}" in str(caught.value)
    assert repr(value) in str(caught.value)


def test_equal_recipes_share_a_digest_and_any_change_alters_it() -> None:
    assert Recipe().digest == Recipe().digest
    changed = [Recipe(batch=32), Recipe(ema=0.0), Recipe(policy=None), dataclasses.replace(Recipe(), optimizer="adamw")]
    assert len({Recipe().digest, *(recipe.digest for recipe in changed)}) == 5


def test_a_recipe_survives_json() -> None:
    values = json.loads(json.dumps(Recipe().to_dict()))
    assert values["learning_rate"] == Recipe().learning_rate
    assert values["policy"]["flip"] is False


@given(SHARES, RECIPES)
def test_the_rate_stays_between_nothing_and_the_peak(progress: float, recipe: Recipe) -> None:
    assert 0.0 <= learning_rate(progress, recipe) <= 1.0


@given(RECIPES)
def test_the_rate_peaks_after_the_warmup_and_ends_at_zero(recipe: Recipe) -> None:
    assert learning_rate(recipe.warmup, recipe) == pytest.approx(1.0)
    assert learning_rate(1.0, recipe) == 0.0


@given(SHARES, SHARES, RECIPES)
def test_the_rate_rises_before_the_peak_and_falls_after_it(first: float, second: float, recipe: Recipe) -> None:
    early, late = sorted((first, second))
    rates = learning_rate(early, recipe), learning_rate(late, recipe)
    if late < recipe.warmup:
        assert rates[0] <= rates[1]
    elif early >= recipe.warmup:
        assert rates[0] >= rates[1]
