"""What one start of the studio has open: designs by id, pictures, and where files are saved."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from convsmith.design import parse_design, zoo
from convsmith.files import write_text, writing
from convsmith.jobs.references import read_reference
from convsmith.jobs.run_marks import is_run
from convsmith.studio.bodies import StudioError, Values, whole_of
from convsmith.studio.first_run import first_run
from convsmith.studio.pictures import Pictures

FIRST: Final = "zoo:resnet18"
"""What is open if nothing else is asked for."""

_SHOWN: Final = 240
"""Pictures of what a network sees that are kept; a page has up to about thirty."""
_FILE: Final = re.compile(r"\w[\w .+-]{0,99}\.toml")


@dataclass(frozen=True)
class Opened:
    """A design that was named on the command line.

    Attributes:
        reference: As it was written there.
        text: The design file; empty of a run that has not written one yet.
        path: The file, where saving may go beside it.
        run: The folder, if it is a run.
    """

    reference: str
    text: str
    path: Path | None = None
    run: Path | None = None

    @classmethod
    def read(cls, reference: str) -> Opened:
        """The design of a file, a run folder or the zoo.

        Raises:
            ModelError: If there is none.
            DesignError: If the file breaks the format.
        """
        path = Path(reference)
        if is_run(path):
            return cls(reference, _content(path / "design.toml"), run=path.absolute())
        read_reference(reference)
        if reference.startswith("zoo:"):
            return cls(reference, zoo.text(reference.removeprefix("zoo:")))
        return cls(reference, path.read_text(encoding="utf-8"), path.resolve())


@dataclass(frozen=True)
class Session:
    """A running studio.

    Attributes:
        opened: What the page can choose from, in order.
        folder: Where designs are saved that did not come from a file.
        pictures: Those that the user brought.
        shown: Those that were made of them.
    """

    opened: list[Opened]
    folder: Path
    pictures: Pictures = field(default_factory=Pictures)
    shown: Pictures = field(default_factory=lambda: Pictures(_SHOWN))
    _written: dict[Path, str] = field(default_factory=dict[Path, str])

    @classmethod
    def open(cls, references: Sequence[str]) -> Session:
        """A session on what is named, or on the first network of all.

        Raises:
            ModelError: If one of them is no design.
            DesignError: If a file breaks the format.
        """
        opened = list(map(Opened.read, references))
        more = () if any(one.text for one in opened) else (Opened.read(FIRST),)
        return cls([*opened, *more], Path.cwd())

    def first_run(self) -> dict[str, Any]:
        """Open the first run of all, which is begun if it is not there yet.

        Raises:
            StudioError: If its folder has another use.
            RunError: If nothing can be written here.
        """
        path, command = first_run(self.folder)
        found = [number for number, one in enumerate(self.opened) if one.run == path]
        if not found:
            found = [len(self.opened)]
            self.opened.append(Opened(path.name, "", run=path))
        return {"run": found[0], "command": command}

    def run(self, values: Values) -> Path:
        """The folder of the run that a request names by its number.

        Raises:
            StudioError: If that is none of those that were opened.
        """
        number = whole_of(values, "run")
        found = self.opened[number].run if 0 <= number < len(self.opened) else None
        if found is None:
            raise StudioError("no such run is open", received=number, remedy="start the studio with its folder")
        return found

    def to_dict(self) -> dict[str, Any]:
        """What the page starts with."""
        opened = [
            {"id": number, "reference": one.reference, "text": text, "file": one.path.name if one.path else ""}
            for number, one in enumerate(self.opened)
            if (text := one.text or (_content(one.run / "design.toml") if one.run else ""))
        ]
        runs = [{"id": number, "reference": one.reference} for number, one in enumerate(self.opened) if one.run]
        return {"opened": opened, "runs": runs, "zoo": list(zoo.names())}

    def save(self, number: int, name: str, text: str, *, overwrite: bool) -> dict[str, Any]:
        """Write a design beside the file that it came from, or into the folder that the studio was started in.

        Args:
            number: Which of ``opened`` it came from; -1 for none.
            name: The file's name, without a folder.
            text: The design file.
            overwrite: Whether the user has agreed to replace a file of this name.

        Returns:
            ``saved`` with the path; or ``exists``, and whether that file is no longer what was opened or saved here.

        Raises:
            DesignError: If the text is no design.
            StudioError: If the name is none.
            RunError: If it cannot be written.
        """
        parse_design(text, where=name)
        if not _FILE.fullmatch(name):
            rule = "a file's name must be letters, digits, spaces, points or hyphens, and end in .toml"
            raise StudioError(rule, received=name, remedy="write it like my-net.toml")
        source = self.opened[number] if 0 <= number < len(self.opened) else None
        folder = source.path.parent if source and source.path else self.folder
        path = folder / name
        if not overwrite:
            try:
                with writing(path):
                    path.open("x").close()  # from here on the name is ours: nobody else's file is lost
            except Exception as error:
                if not isinstance(error.__cause__, FileExistsError):
                    raise
                known = self._written.get(path, source.text if source and source.path == path else None)
                return {"exists": True, "changed": known is not None and known != _content(path), "file": name}
        write_text(path, text)
        self._written[path] = text
        return {"saved": str(path)}


def _content(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
