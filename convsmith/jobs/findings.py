"""From what each check of a data set measured to what is worth telling."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from convsmith.data import Images, Rejected
from convsmith.data.checks.balance import Balance
from convsmith.data.checks.copies import Cluster
from convsmith.data.checks.headers import Headers
from convsmith.data.checks.shapes import ODD_ELONGATION, ODD_SCALE, odd_shapes, odd_sizes
from convsmith.data.checks.suspects import LabelCheck
from convsmith.data.checks.tone import Tone
from convsmith.data.decode import GREY_MODES
from convsmith.jobs.finding import Finding, Picture, Severity
from convsmith.quantities import count_of, format_percent, format_shape

FEWEST: Final = 3
"""Images of a class without which no split can be made."""
FEW: Final = 20
"""Images of a class below which little can be learnt or judged."""
UNEVEN: Final = 3.0
VERY_UNEVEN: Final = 10.0

_NAMED: Final = 3


def of_files(rejected: Sequence[Rejected]) -> Iterator[Finding]:
    """Files that are no image that can be used."""
    if rejected:
        told = _listed(
            f"{reason} ({count:,})" for reason, count in Counter(one.reason for one in rejected).most_common()
        )
        yield Finding(
            "rejected",
            "warning",
            len(rejected),
            f"Not usable: {count_of(len(rejected), 'file')}, because of: {told}.",
            "Repair the files that were left out, or remove them; every command goes on without them.",
            tuple((Picture(one.path, remark=one.reason),) for one in rejected),
        )


def of_classes(balance: Balance) -> Iterator[Finding]:
    """Classes that are too small, absent from a split, or uneven."""
    totals = sorted(zip(balance.totals.tolist(), balance.classes, strict=True))
    small = [(count, name) for count, name in totals if count < FEW]
    if small:
        lacking = small[0][0] < FEWEST
        need = f"fit and train need {FEWEST} of each, and " if lacking else ""
        yield Finding(
            "few",
            "error" if lacking else "warning",
            sum(count for count, _ in small),
            f"Under {FEW} images: {count_of(len(small), 'class', 'classes')}, "
            f"{_listed(f'{name} ({count})' for count, name in small)}.",
            f"Collect more images of the small classes: {need}figures from so few mean little.",
        )
    if balance.missing:
        yield Finding(
            "absent",
            "warning",
            0,
            f"Without an image: {_listed(f'{name} in {split}' for name, split in balance.missing)}.",
            "Put images of every class into every split: what is not there cannot be learnt, or cannot be judged.",
        )
    if balance.ratio >= UNEVEN:
        (few, smallest), (most, largest) = next(pair for pair in totals if pair[0]), totals[-1]
        yield Finding(
            "imbalance",
            "warning" if balance.ratio >= VERY_UNEVEN else "note",
            0,
            f"The largest class, {largest} ({most:,}), has {balance.ratio:.1f} times the images of the smallest, "
            f"{smallest} ({few:,}); always answering {largest} would be right in {format_percent(balance.majority)} "
            "of the cases.",
            "Judge by the recall of each class, not by accuracy alone, and collect more of the small ones; where all "
            "classes matter alike, train with balance = 0.5 to 1 in a --recipe file.",
        )


@dataclass(frozen=True, eq=False)
class Readable:
    """The images of a set that could be read, as the findings look at them."""

    images: Images
    headers: Headers

    @cached_property
    def splits(self) -> NDArray[np.str_]:
        """The split of each image; where any is declared, the others are there to train."""
        declared = self.images.declared
        other = "train" if any(declared) else ""
        return np.array([split or other for split in declared])

    def picture(self, index: int, remark: str = "") -> Picture:
        """An image by its index."""
        images, (height, width) = self.images, self._size(index)
        label = images.classes[images.labels[index]]
        size = (height, width) if height and width else None
        return Picture(images.names[index], label, images.declared[index], size, remark)

    def of_copies(self, clusters: Sequence[Cluster]) -> Iterator[Finding]:
        """Copies: between splits, between classes, and the rest."""
        members = [list(one.members) for one in clusters]
        leaks = [len(set(self.splits[one].tolist())) > 1 for one in members]
        conflicts = [len(set(self.images.labels[one].tolist())) > 1 for one in members]
        if any(leaks):
            yield self._leak([one for one, leak in zip(clusters, leaks, strict=True) if leak])
        if any(conflicts):
            chosen = [one for one, conflict in zip(clusters, conflicts, strict=True) if conflict]
            yield Finding(
                "conflict",
                "error",
                sum(len(one.members) for one in chosen),
                f"Copies of one picture under different classes: {self._extent(chosen)}.",
                "Decide which class is right where copies of a picture have several, and remove the others.",
                self._groups(chosen),
            )
        rest = [one for one, *bad in zip(clusters, leaks, conflicts, strict=True) if not any(bad)]
        exact, near = ([one for one in rest if one.exact == same] for same in (True, False))
        for kind, chosen, what, action in (
            (
                "exact",
                exact,
                "The same pixels more than once",
                "Keep one of each group of exact copies; the others only weigh more. Where fit and train draw a split, "
                "they keep exact copies on one side of it.",
            ),
            (
                "near",
                near,
                "A picture that was saved again, or changed a little",
                "Keep one of each group of near copies: a split that fit or train draws may part them, and accuracy "
                "then flatters.",
            ),
        ):
            if chosen:
                spare = sum(len(one.members) - 1 for one in chosen)
                yield Finding(kind, "warning", spare, f"{what}: {self._extent(chosen)}.", action, self._groups(chosen))

    def _leak(self, leaks: Sequence[Cluster]) -> Finding:
        copied = np.unique(np.concatenate([one.members for one in leaks]))
        told: list[str] = []
        for split in ("val", "test"):
            here = self.splits == split
            count = int(here[copied].sum())
            if count:
                same = int(np.isin(self.images.groups[here], self.images.groups[~here]).sum())
                exactly = f" ({same:,} with the same pixels)" if same else ""
                told.append(f"{count:,} of {here.sum():,} {split} images{exactly}")
        return Finding(
            "leak",
            "error",
            len(copied),
            f"Standing in another split as well: {' and '.join(told)}.",
            "Remove copies of test and val images from the images that train; until then accuracy flatters.",
            self._groups(leaks),
        )

    def _extent(self, clusters: Sequence[Cluster]) -> str:
        images = sum(len(one.members) for one in clusters)
        return f"{count_of(images, 'image')} in {count_of(len(clusters), 'group')}"

    def _groups(self, clusters: Sequence[Cluster]) -> tuple[tuple[Picture, ...], ...]:
        return tuple(tuple(self._members(one)) for one in clusters)

    def _members(self, cluster: Cluster) -> Iterator[Picture]:
        first, *others = cluster.members
        yield self.picture(first)
        for index in others:
            same = self.images.groups[index] == self.images.groups[first]
            yield self.picture(index, "same pixels" if same else "near copy")

    def of_tone(self, tone: Tone) -> Iterator[Finding]:
        """Images without a picture."""
        yield from self._each(
            "blank", "warning", tone.blank, "One colour all over",
            "Remove blank images: they teach a class nothing that is true.",
        )  # fmt: skip
        for kind, mask, what, name in (
            ("dark", tone.dark, "Hardly a pixel brighter than a quarter of the scale", "dark"),
            ("bright", tone.bright, "Hardly a pixel darker than three quarters of the scale", "overexposed"),
            ("flat", tone.flat, "All within a tenth of the scale of brightness", "flat"),
        ):
            action = f"See whether the {name} images show anything; if not, remove them."
            yield from self._each(kind, "note", mask, what, action)

    def of_headers(self) -> Iterator[Finding]:
        """Images of another size, shape or kind than the others."""
        height, width, images = self.headers.height, self.headers.width, self.images
        what = f"Over {ODD_SCALE:g} times smaller or larger than the median"
        action = f"See whether the odd sizes belong there; images enlarged to {images.side} pixels show little."
        yield from self._each("size", "note", odd_sizes(height, width), what, action)
        what = f"Over {ODD_ELONGATION:g} times longer for their width than the median, or less than half as long"
        fate = "squashed to a square" if images.fit == "squash" else "filled up to a square with grey"
        action = f"Crop the odd shapes, or remove them: they are {fate}."
        yield from self._each("shape", "note", odd_shapes(height, width), what, action)
        grey = np.array([mode in GREY_MODES for mode in self.headers.modes], np.bool_)
        if grey.any() and not grey.all():
            most, count = Counter(images.labels[grey].tolist()).most_common(1)[0]
            what = f"Grey among colour images, {count:,} of them in class {images.classes[most]}"
            action = "See that colour does not give the class away where grey and colour images are mixed."
            yield from self._each("colour", "note", grey, what, action)

    def _each(
        self, kind: str, severity: Severity, mask: NDArray[np.bool_], what: str, action: str
    ) -> Iterator[Finding]:
        """A finding about images one by one."""
        found = np.flatnonzero(mask).tolist()
        if found:
            summary = f"{what}: {len(found):,} of {count_of(len(mask), 'image')}."
            groups = tuple((self.picture(index, format_shape(self._size(index), " × ")),) for index in found)
            yield Finding(kind, severity, len(found), summary, action, groups)

    def _size(self, index: int) -> tuple[int, int]:
        return int(self.headers.height[index]), int(self.headers.width[index])

    def of_labels(self, check: LabelCheck) -> Iterator[Finding]:
        """Labels that a classifier does not believe."""
        if not check.suspects:
            return
        classes = self.images.classes
        groups = tuple(
            (
                self.picture(
                    one.image,
                    f"taken for {classes[one.suggested]}, {one.suggested_confidence:.2f} against {one.confidence:.2f}",
                ),
            )
            for one in check.suspects
        )
        share = format_percent(check.trial.precision, 0)
        yield Finding(
            "label",
            "warning",
            len(check.suspects),
            f"Unlike the others of their class: {count_of(len(check.suspects), 'image')}, of which up to about {share} "
            "may be labelled wrong.",
            "Look at the likely wrong labels, the first ones first, and correct those that are wrong; never in bulk.",
            groups,
        )


def how_sure(check: LabelCheck) -> str:
    """How far the check of labels can be believed."""
    trial = check.trial
    agreed = (
        f"A quick classifier, asked about {check.judged:,} images that it had not learnt from, agrees with "
        f"{format_percent(check.accuracy)} of the labels (always naming the largest class: "
        f"{format_percent(check.chance)})."
    )
    tried = (
        f"Of {trial.swapped:,} labels swapped at random, it believes each less than one that was not in "
        f"{format_percent(trial.skill, 0)} of the cases"
    )
    if not trial.listed:
        return f"{agreed} {tried}; that is too few to judge labels by it."
    return (
        f"{agreed} {tried}. By that measure at most about {format_percent(trial.wrong)} of the labels given are wrong; "
        "the list of suspects ends where at least a third of its labels is right, and holds about "
        f"{format_percent(trial.coverage, 0)} of the wrong ones. Real mistakes, mostly between classes that look "
        "alike, are harder to find, and what is labelled wrong throughout is not found at all."
    )


def _listed(names: Iterable[str]) -> str:
    known = list(names)
    more = f" and {len(known) - _NAMED:,} more" if len(known) > _NAMED else ""
    return ", ".join(known[:_NAMED]) + more
