"""Names of models, as a person writes them on the command line."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from convsmith.design import Design, read_design, zoo
from convsmith.errors import ModelError, did_you_mean

DESIGNS: Final = "a design file (file.toml), zoo:NAME or a run folder"
READABLE: Final = "file.toml, zoo:NAME, a run folder, file.onnx, timm:NAME, torchvision:NAME or package.module:factory"

_PICKLES: Final = frozenset({".pt", ".pth", ".pkl", ".pickle", ".bin", ".ckpt"})


def is_onnx(model: str | Path) -> bool:
    """Whether a reference names an ONNX file."""
    return str(model).lower().endswith(".onnx")


def is_python(model: str | Path) -> bool:
    """Whether a reference names a torch module: ``timm:NAME``, ``torchvision:NAME``, ``package.module:factory``."""
    door, colon, name = str(model).partition(":")
    return bool(colon and name) and door != "zoo" and all(part.isidentifier() for part in door.split("."))


def read_reference(model: str | Path) -> Design:
    """The design that ``model`` names: ``file.toml``, ``zoo:NAME`` or a run folder.

    Raises:
        ModelError: If it is none of these; a pickle is refused without being opened.
        DesignError: If the design file breaks the format.
    """
    text = str(model)
    if text.startswith("zoo:"):
        return zoo.load(text.removeprefix("zoo:"))
    path = Path(text)
    if path.suffix.lower() in _PICKLES:
        rule = "a pickle can run any code when it is opened and is never read"
        raise ModelError(rule, received=text, remedy=f"give {READABLE}")
    if os.path.isdir(path):  # unlike Path.is_dir, says no to a name that is too long
        if not (path / "design.toml").is_file():
            raise ModelError("a run folder holds a design.toml", received=text, remedy=f"give {READABLE}")
        return read_design(path / "design.toml")
    if path.suffix.lower() == ".toml":
        return read_design(path)
    if is_onnx(text) or is_python(text):
        rule = "only a design can be built, trained or scaled, not a network read from elsewhere"
        raise ModelError(rule, received=text, remedy=f"give {DESIGNS}")
    remedy = did_you_mean(text.lower(), zoo.names(), f"give {READABLE}", shown="zoo:{}")
    raise ModelError("no such model", received=text, remedy=remedy)
