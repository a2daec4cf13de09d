"""Folders of class folders: what lies where, by name alone; ``decode`` decides what an image is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from convsmith.data.listing import SPLIT_NAMES, Listing, Rejected, build_listing, shown
from convsmith.errors import DataError

EXTENSIONS: Final = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"})

_REMEDY: Final = "put the images of each class in a folder of its own"


def list_folder(root: Path) -> Listing:
    """List a folder of class folders, or of ``train``/``val``/``test`` folders that hold class folders.

    Subfolders of a class folder are walked, through links too, each real folder once. Hidden files are
    ignored; any other file that is not named like an image is rejected with a reason.

    Raises:
        DataError: If the folder is laid out in neither way, or a class is empty.
    """
    base = str(root)
    class_folders = _class_folders(base)
    parents = dict.fromkeys((base, *(os.path.dirname(folder) for folder, _ in class_folders)))
    fixed = {_identity(folder) for folder in (*parents, *(folder for folder, _ in class_folders))}
    rejected = [
        Rejected(os.path.relpath(entry.path, base), "not in a class folder")
        for parent in parents
        for entry in scan(parent)[1]
        if _extension(entry) in EXTENSIONS
    ]
    rows: list[tuple[str, str, str | None]] = []
    for folder, split in class_folders:
        for entry in _walk(folder, fixed):
            reason = _reason_against(entry)
            path = entry.path[len(base.rstrip(os.sep)) + 1 :]
            if reason:
                rejected.append(Rejected(path, reason))
            else:
                rows.append((path, os.path.basename(folder), split))
    names = {os.path.basename(folder) for folder, _ in class_folders}
    return build_listing(base, rows, rejected, names, _REMEDY)


def _class_folders(root: str) -> list[tuple[str, str | None]]:
    """The class folders with the split that each one declares.

    Folders named like splits are splits only when they hold folders: ``train`` is also a kind of vehicle.
    """
    folders = scan(root)[0]
    splits = [folder for folder in folders if folder.name.lower() in SPLIT_NAMES]
    others = [folder for folder in folders if folder.name.lower() not in SPLIT_NAMES]
    classes: list[tuple[str, str | None]] = [
        (inner.path, SPLIT_NAMES[split.name.lower()]) for split in splits for inner in scan(split.path)[0]
    ]
    if classes and others:
        raise DataError(
            "split folders and class folders stand side by side",
            received=[splits[0].name, others[0].name],
            where=shown(root),
            remedy="keep only train, val and test there, with the class folders inside",
        )
    if not (classes or others):
        raise DataError("no class folder found", where=shown(root), remedy=_REMEDY)
    return classes or [(folder.path, None) for folder in folders]


def _walk(folder: str, fixed: set[tuple[int, int]]) -> Iterator[os.DirEntry[str]]:
    """Every visible file below ``folder`` in order, entering no folder twice and none that is ``fixed``."""
    seen = set(fixed)
    waiting = [folder]
    while waiting:
        current = waiting.pop()
        if current != folder and _identity(current) in seen:
            continue
        seen.add(_identity(current))
        folders, files = scan(current)
        yield from files
        waiting.extend(inner.path for inner in reversed(folders))


def scan(folder: str) -> tuple[list[os.DirEntry[str]], list[os.DirEntry[str]]]:
    """The visible folders and the visible other entries of a folder, each sorted by name."""
    try:
        with os.scandir(folder) as entries:
            visible = sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda e: e.name)
    except OSError as error:
        raise DataError(f"cannot read the folder: {error.strerror or error}", where=shown(folder)) from error
    return [entry for entry in visible if _is_folder(entry)], [entry for entry in visible if not _is_folder(entry)]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _reason_against(entry: os.DirEntry[str]) -> str:
    if entry.is_symlink() and not os.path.exists(entry.path):
        return "broken link"
    if not entry.is_file():
        return "not a regular file"
    extension = _extension(entry)
    return "" if extension in EXTENSIONS else f"unknown extension {extension!r}"


def _extension(entry: os.DirEntry[str]) -> str:
    return os.path.splitext(entry.name)[1].lower()


def _identity(folder: str) -> tuple[int, int]:
    status = os.stat(folder)
    return status.st_dev, status.st_ino
