"""The command that goes on with a run, as its log tells it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from convsmith.jobs.replay import Session


def resume_command(run: Path, session: Session) -> str:
    """What to type where the run was started; a recipe, a space or another file given then has to be given again."""
    begin = session.begin
    source, folder = begin["data"]["source"], str(run)
    budget: Mapping[str, Any] = begin.get("budget", {})
    if session.kind == "run":
        words = ["train", str(run / "design.toml"), source]
        options = [*_given("minutes", begin["minutes"]), *_given("epochs", begin["plan"].get("epochs"))]
    elif session.kind == "curves":
        base = begin["networks"][begin["base"]]
        words = ["scale", _file_name(base["name"]), "--measure", source]
        options = [part for key in ("macs", "minutes", "seeds", "epochs") for part in _given(key, budget.get(key))]
    else:
        words = ["fit", source]
        names = ("macs", "params", "minutes", "threads")
        options = [part for key in names for part in _given(key, budget.get(key))]
        options += _measured(budget)
        options += [
            part
            for key in ("study", "executor", "address", "processes")
            for part in _given(key, begin.get(key) or None)
        ]
    seed = ["--seed", str(begin["seed"])] if begin.get("seed") else []
    return shlex.join(["convsmith", *words, *options, *seed, "--out", folder, "--resume"])


def _file_name(name: str) -> str:
    return f"{name}.toml"


def _given(key: str, value: float | str | None) -> list[str]:
    return [] if value is None else [f"--{key}", _written(value) if isinstance(value, float) else str(value)]


def _written(value: float) -> str:
    """All digits that a person gave: a run that goes on is held against them."""
    return f"{value:.12g}"


def _measured(budget: Mapping[str, Any]) -> Iterator[str]:
    if budget.get("latency_ms") is not None:
        yield from ("--latency", f"{_written(budget['latency_ms'])}ms")
    for key, option in (("memory_bytes", "--memory"), ("file_bytes", "--file-size")):
        if budget.get(key) is not None:
            yield from (option, str(budget[key]))
