"""One thing that the checks of a data set found: in words, with the pictures behind it and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal

Severity = Literal["error", "warning", "note"]

TITLES: Final = {
    "unusable": "Not usable yet",
    "leak": "In more than one split",
    "conflict": "One picture, several classes",
    "few": "Small classes",
    "rejected": "Files left out",
    "label": "Likely wrong labels",
    "exact": "Exact copies",
    "near": "Near copies",
    "blank": "Blank images",
    "absent": "Classes absent from a split",
    "imbalance": "Uneven classes",
    "dark": "Dark images",
    "bright": "Overexposed images",
    "flat": "Images without contrast",
    "colour": "Grey among colour",
    "size": "Odd sizes",
    "shape": "Odd shapes",
}
"""What each kind of finding is called, the gravest first."""


@dataclass(frozen=True)
class Picture:
    """A file of the set.

    Attributes:
        path: As the set names it.
        label: Its class, where it has one.
        split: What the source declares, if anything.
        size: Height and width in pixels, where known.
        remark: What is to be seen here.
    """

    path: str
    label: str | None = None
    split: str | None = None
    size: tuple[int, int] | None = None
    remark: str = ""

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        size = list(self.size) if self.size else None
        return {"path": self.path, "class": self.label, "split": self.split, "size": size, "remark": self.remark}


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or worth knowing.

    Attributes:
        kind: One of ``TITLES``.
        severity: An error spoils results, a warning costs some, a note is to be known.
        images: How many images are concerned.
        summary: What was found, in a sentence.
        action: What to do, in a sentence.
        groups: The pictures behind it; those that belong together are in one group.
    """

    kind: str
    severity: Severity
    images: int
    summary: str
    action: str
    groups: tuple[tuple[Picture, ...], ...] = ()

    @property
    def title(self) -> str:
        """What this kind of finding is called."""
        return TITLES[self.kind]

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "kind": self.kind,
            "title": self.title,
            "severity": self.severity,
            "images": self.images,
            "summary": self.summary,
            "action": self.action,
            "groups": [[picture.to_dict() for picture in group] for group in self.groups],
        }


def gravest_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Findings by kind as ``TITLES`` has them, and so by severity too."""
    kinds = list(TITLES)
    return tuple(sorted(findings, key=lambda one: kinds.index(one.kind)))
