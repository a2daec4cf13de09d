"""Names of models, as a person writes them on the command line, turned into designs."""

from __future__ import annotations

from pathlib import Path

from convsmith.design import Design, read_design, zoo
from convsmith.errors import ModelError

READABLE = "a design file (file.toml), zoo:NAME or a run folder"
_PICKLES = frozenset({".pt", ".pth", ".pkl", ".bin", ".ckpt"})


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
    if path.is_dir():
        if not (path / "design.toml").is_file():
            raise ModelError("a run folder holds a design.toml", received=text, remedy=f"give {READABLE}")
        return read_design(path / "design.toml")
    if path.suffix == ".toml":
        return read_design(path)
    raise ModelError("this kind of model cannot be read", received=text, remedy=f"give {READABLE}")
