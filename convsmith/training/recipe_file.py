"""Recipe files: TOML in and out, with errors that name the file, the key, the value and what is allowed.

A file gives what differs from the default recipe; the table ``[policy]`` holds the augmentation.
"""

from __future__ import annotations

import dataclasses
import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from convsmith.data.augment import Policy
from convsmith.errors import DataError, TrainingError, did_you_mean
from convsmith.training.recipe import Recipe

_KEYS = tuple(field.name for field in dataclasses.fields(Recipe))
_POLICY_KEYS = tuple(field.name for field in dataclasses.fields(Policy))


def read_recipe(path: str | Path, base: Recipe) -> Recipe:
    """Read a recipe file.

    Args:
        path: The file.
        base: Holds for every key that the file leaves out, those of ``[policy]`` too.

    Raises:
        TrainingError: If the file is missing, is not TOML, or has a key or a value that cannot be.
    """
    return read_changes(path)(base)


def read_changes(path: str | Path) -> Callable[[Recipe], Recipe]:
    """Read a recipe file once, for several recipes that it is to change.

    Raises:
        TrainingError: If the file is missing or is not TOML; what is returned raises one for a key or a value that
            cannot be.
    """
    where = str(path)
    try:
        values = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise TrainingError(f"a recipe must be a readable text file: {error}", where=where) from error
    except tomllib.TOMLDecodeError as error:
        raise TrainingError(f"a recipe must be TOML: {error}", where=where) from error

    def change(base: Recipe) -> Recipe:
        try:
            return _recipe(values, base)
        except (TrainingError, DataError) as error:
            place = f"{where}, {error.where}"
            raise TrainingError(error.rule, received=error.received, where=place, remedy=error.remedy) from error

    return change


def write_recipe(recipe: Recipe) -> str:
    """A recipe as TOML text; ``read_recipe`` reads it back unchanged, whatever its base."""
    values = recipe.to_dict()
    policy = values.pop("policy")
    lines = [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    table = ["policy = false"] if policy is None else ["", "[policy]"]
    rows = [f"{key} = {json.dumps(value)}" for key, value in (policy or {}).items()]
    return "\n".join([*lines, *table, *rows]) + "\n"


def _recipe(values: dict[str, Any], base: Recipe) -> Recipe:
    _check_keys(values, _KEYS, "recipe")
    policy = _policy(values["policy"], base) if "policy" in values else base.policy
    return dataclasses.replace(base, **{**values, "policy": policy})


def _policy(value: Any, base: Recipe) -> Policy | None:
    if value is False:
        return None
    if not isinstance(value, dict):
        remedy = "give a table [policy], or policy = false for no augmentation"
        raise TrainingError("policy must be a table or false", received=value, where="recipe", remedy=remedy)
    _check_keys(value, _POLICY_KEYS, "[policy]")
    return dataclasses.replace(base.policy or Policy(), **value)


def _check_keys(values: dict[str, Any], known: tuple[str, ...], where: str) -> None:
    for key, value in values.items():
        if key not in known:
            remedy = did_you_mean(key, known, f"allowed: {', '.join(known)}", shown="{!r}")
            raise TrainingError(f"key {key!r} is not known here", received=value, where=where, remedy=remedy)
