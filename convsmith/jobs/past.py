"""What the user's earlier runs trained under the conditions of this one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convsmith.data import Images, Split
from convsmith.quantities import format_seconds
from convsmith.search.results import Results
from convsmith.training.conditions import conditions
from convsmith.training.recipe import Recipe
from convsmith.training.setup import Setup


def results_for(images: Images, split: Split, recipe: Recipe, setup: Setup, executor: str | None = None) -> Results:
    """The results of all runs on the same images, split in the same way, by the same recipe, setup and machine.

    Those done elsewhere, by an ``executor``, are kept apart: they are not this machine's.
    """
    here = json.dumps(conditions(setup), sort_keys=True).encode()
    context = {
        "data": images.digest,
        "split": " ".join(map(_digest, (split.train, split.select, split.test))),
        "recipe": recipe.digest,
        "conditions": hashlib.sha256(here).hexdigest(),
    }
    return Results({**context, "executor": executor} if executor else context)


def reuse_report(trainings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What of the ``training`` events came from earlier runs: how many, the seconds they took, first and last date."""
    taken = [event for event in trainings if event.get("recorded") is not None]
    dates = sorted(event["recorded"] for event in taken)
    return {
        "trainings": len(taken),
        "of": len(trainings),
        "seconds": sum(event["outcome"]["seconds"] for event in taken),
        "first": _date(dates[0]) if dates else None,
        "last": _date(dates[-1]) if dates else None,
    }


def reuse_note(reused: dict[str, Any]) -> list[str]:
    """The same as a sentence, if there is anything to say."""
    if not reused["trainings"]:
        return []
    first, last = reused["first"], reused["last"]
    dates = first if first == last else f"{first} to {last}"
    return [
        f"{reused['trainings']:,} of {reused['of']:,} trainings were taken from earlier runs ({dates}), which took "
        f"{format_seconds(reused['seconds'])}; --fresh would do them again."
    ]


def past_note(past: Mapping[str, Any] | None) -> list[str]:
    """What a ``past`` event says, as a sentence, if there was one."""
    if past is None:
        return []
    return [
        f"{past['trainings']:,} trainings of {past['networks']:,} other networks by earlier runs say which of the "
        "drawn networks to try; --fresh would not ask them."
    ]


def told_time(training: Mapping[str, Any]) -> str:
    """What a ``training`` event took, or where it was taken from."""
    if training.get("recorded") is not None:
        return "from an earlier run"
    return "on record" if training["reused"] else format_seconds(training["outcome"]["seconds"])


def _digest(indices: NDArray[np.int64]) -> str:
    return hashlib.sha256(indices.astype("<i8").tobytes()).hexdigest()[:24]


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")
