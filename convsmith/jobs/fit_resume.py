"""What a search that goes on must share with the one that was stopped, whose record answers no other question."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from convsmith.errors import RunError
from convsmith.jobs.replay import begun
from convsmith.jobs.run_folder import RunFolder
from convsmith.search.space_file import Declaration


def identity(about: Mapping[str, Any], recipe: str, space: Declaration, start: str) -> dict[str, Any]:
    """What a search is of, as JSON values by the names that a user knows; minutes may change.

    Args:
        about: The parts of the report about images and budget.
        recipe: Digest of the recipe.
        space: Which networks are drawn.
        start: Identity of the weights that one network starts from, or nothing.
    """
    budget = {key: value for key, value in about["budget"].items() if key != "minutes"}
    return {
        "images": about["data"]["digest"],
        "seed": about["seed"],
        "split": about["data"]["split"],
        "recipe": recipe,
        "budget": budget,
        "space": hashlib.sha256(space.model_dump_json().encode()).hexdigest()[:24],
        "given weights": start,
    }


def check_same(folder: RunFolder, asked: Mapping[str, Any]) -> None:
    """Refuse to go on in ``folder`` with what it was not begun with.

    Args:
        folder: Where a search may have been stopped.
        asked: What is asked for now, from ``identity``.

    Raises:
        RunError: Naming the first thing that is another, or that the folder is of another command.
    """
    begin = begun(folder.events, "fit")
    if begin is None:
        return
    remedy = "give the same, or choose another --out"
    before = begin.get("identity", {})
    check_identity(before, asked, rule="a resumed search must keep its {}", where=str(folder.path), remedy=remedy)


def check_identity(before: Mapping[str, Any], asked: Mapping[str, Any], *, rule: str, where: str, remedy: str) -> None:
    """Refuse a search that is not of what another one is of.

    Args:
        before: What that is of, from ``identity``.
        asked: What this is of.
        rule: What must hold, with a place for the name of what differs.
        where: Where the record is.
        remedy: What to do.

    Raises:
        RunError: Naming the first thing that is another.
    """
    for name, value in asked.items():
        if name in before and before[name] != value:
            raise RunError(rule.format(name), received=_shown(name, before, value), where=where, remedy=remedy)


def _shown(name: str, before: Mapping[str, Any], value: Any) -> str:
    """The two values for a person, where they say anything to one."""
    if name in ("seed", "machine"):
        return f"{value}, begun with {before[name]}"
    if name == "budget":
        changed = (key for key in value if value[key] != before[name].get(key))
        return ", ".join(f"{key} {value[key]}, begun with {before[name].get(key)}" for key in changed)
    return "another than it was begun with"
