"""How a training runs: its recipe, its setup and its learning rate, decided once and kept when it is resumed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from torch import nn

from convsmith.data.augment import Policy
from convsmith.design import Design
from convsmith.interop.torch_module import build
from convsmith.ir import Graph
from convsmith.jobs.run_folder import RunFolder
from convsmith.training.batches import TrainingSet
from convsmith.training.device import is_available
from convsmith.training.distributed import Group
from convsmith.training.events import read_events
from convsmith.training.probe import choose_setup
from convsmith.training.rate_finder import RateTest, find_rate
from convsmith.training.recipe import Recipe
from convsmith.training.recipe_file import read_changes
from convsmith.training.setup import Setup

RecipeFor = Callable[[int, int], Recipe]
"""The recipe for images of a side in pixels and a number of channels."""

SETUP_KEYS: Final = tuple(field.name for field in dataclasses.fields(Setup) if field.name != "measured")


def read_settings(given: Recipe | str | Path | None) -> RecipeFor:
    """How images of a size are trained on: as given, or by the default that suits them with what a file changes.

    Raises:
        TrainingError: If the file cannot be read, or holds a key or a value that cannot be.
    """
    if isinstance(given, Recipe):
        return lambda side, channels: given
    change = _unchanged if given is None else read_changes(given)
    change(Recipe())
    return lambda side, channels: change(Recipe(policy=Policy.for_images(side, channels)))


def setup_for(graph: Graph, design: Design, recipe: Recipe, group: Group) -> Setup:
    """The fastest setup here for the part of a batch that a process has; many processes do without the kernels."""
    if group.is_alone:
        return choose_setup(lambda: build(graph), design.input, recipe.batch)
    part = max(2, recipe.batch // group.world)
    return choose_setup(lambda: nn.Sequential(build(graph)), design.input, part)


def setup_of(folder: RunFolder) -> Setup | None:
    """The setup that an interrupted training ran with: only the same one gives the same bits; None without its card."""
    values = _last_training(folder).get("setup", {})
    kept = {key: values[key] for key in SETUP_KEYS if key in values}
    return Setup(**kept) if kept and is_available(kept.get("device", "cpu")) else None


def rate_of(folder: RunFolder) -> float | None:
    """The learning rate that an interrupted training ran with."""
    return _last_training(folder).get("recipe_values", {}).get("learning_rate")


def rate_test(module: nn.Module, data: TrainingSet, recipe: Recipe, seed: int, setup: Setup, group: Group) -> RateTest:
    """A range test, done by the first process for all."""
    found = find_rate(module, data, recipe=recipe, seed=seed, setup=setup).to_dict() if group.is_first else None
    values = group.share(found)
    return RateTest(tuple(values["rates"]), tuple(values["losses"]), values["rate"])


def _unchanged(recipe: Recipe) -> Recipe:
    return recipe


def _last_training(folder: RunFolder) -> dict[str, Any]:
    events = read_events(folder.events) if folder.events.is_file() else []
    return next((event for event in reversed(events) if event["event"] == "train"), {})
