"""Where the trainings of a search are done, if not in its own process: ray is loaded only where it is asked for."""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any, Final

from convsmith.data import Images
from convsmith.errors import RunError, did_you_mean
from convsmith.interop.weights import Weights
from convsmith.jobs.settings import RecipeFor
from convsmith.jobs.step import Tell
from convsmith.training.setup import Setup

_EXECUTORS: Final = ("ray",)
_RAY: Final = "convsmith.jobs.ray_crew"


def check_executor(executor: str | None, study: str | None) -> None:
    """Refuse an executor that is not known, or that a shared study has no use for.

    Raises:
        RunError: Saying what there is.
    """
    if executor is None:
        return
    if executor not in _EXECUTORS:
        remedy = did_you_mean(executor, _EXECUTORS, "leave it out to train here")
        raise RunError("an executor must be ray", received=executor, where="--executor", remedy=remedy)
    if study is not None:
        rule = "a search is spread by an executor or by a shared study, not by both"
        raise RunError(rule, where="--executor", remedy="leave one of them out")


@contextlib.contextmanager
def cluster(executor: str | None, address: str, tell: Tell) -> Generator[Any]:
    """The cluster to train on, joined to the end of the block; None where no executor was asked for.

    Raises:
        RunError: If there is no cluster, or ray is not installed.
    """
    if executor is None:
        yield None
        return
    try:
        module = importlib.import_module(_RAY)
    except ImportError as error:
        rule, remedy = "this executor needs ray", "pip install 'convsmith[ray]'"
        raise RunError(rule, received=str(error), where="--executor", remedy=remedy) from error
    with module.joined(address) as machines:
        tell(f"joined the Ray cluster at {address}, processors: {machines.hands}")
        yield machines


def order(
    source: str | Path, images: Images, seed: int, recipe_for: RecipeFor, setup: Setup, starts: Mapping[str, Weights]
) -> Any:
    """What a machine of the cluster needs to know; a folder by its whole name."""
    place = str(Path(source).absolute()) if os.path.exists(source) else str(source)
    return importlib.import_module(_RAY).Order(place, images.digest, seed, recipe_for, setup, starts)
