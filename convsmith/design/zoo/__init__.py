"""Published networks as design files, one each; ``names()`` lists them."""

from __future__ import annotations

from importlib.resources import files

from convsmith.design.model import Design
from convsmith.design.toml_file import parse_design
from convsmith.errors import ModelError, did_you_mean


def names() -> tuple[str, ...]:
    """Every network of the zoo, in alphabetical order."""
    return tuple(
        sorted(file.name.removesuffix(".toml") for file in files(__name__).iterdir() if file.name.endswith(".toml"))
    )


def text(name: str) -> str:
    """The design file of a zoo network; case, ``-``, ``_`` and ``.`` do not matter.

    Raises:
        ModelError: If there is no such network; names the nearest.
    """
    plain = {_plain(known): known for known in names()}
    if _plain(name) not in plain:
        remedy = did_you_mean(name.lower(), plain.values(), "`convsmith zoo` lists them", shown="zoo:{}")
        raise ModelError("the zoo has no such network", received=name, remedy=remedy)
    return files(__name__).joinpath(f"{plain[_plain(name)]}.toml").read_text(encoding="utf-8")


def load(name: str) -> Design:
    """The design of a zoo network.

    Raises:
        ModelError: If there is no such network.
    """
    return parse_design(text(name), where=f"zoo:{name}")


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter not in "-_.")
