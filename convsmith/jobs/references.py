"""Names of models, as a person writes them on the command line, turned into designs."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import Final

from convsmith.design import Design, read_design, zoo
from convsmith.errors import ModelError

READABLE: Final = "a design file (file.toml), zoo:NAME or a run folder"

_PICKLES: Final = frozenset({".pt", ".pth", ".pkl", ".pickle", ".bin", ".ckpt"})


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
    raise _unknown(text)


def _unknown(text: str) -> ModelError:
    """The refusal, by what the reference looks like."""
    door, colon, _ = text.partition(":")
    if text.lower().endswith(".onnx"):
        rule = "ONNX files are written but cannot be read yet"
    elif door in ("timm", "torchvision"):
        rule = f"{door} models cannot be read yet"
    elif colon and door.isprintable() and "/" not in door:
        rule = "Python modules cannot be read yet"
    else:
        nearest = difflib.get_close_matches(text.lower(), zoo.names(), 1)
        meant = f"did you mean zoo:{nearest[0]}? " if nearest else ""
        return ModelError("no such model", received=text, remedy=f"{meant}give {READABLE}")
    return ModelError(rule, received=text, remedy=f"give {READABLE}")
