"""The run folder: where everything about a training or a search lies, and how a trained network comes back from it."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from convsmith.design import Design, lower, read_design, write_design
from convsmith.errors import RunError
from convsmith.files import json_line, make_folder, write_text, writing
from convsmith.interop.torch_module import build
from convsmith.interop.weights import load_weights, read_metadata, read_weights, weights_of, write_weights
from convsmith.ir import Graph
from convsmith.jobs.claim import claimed, holder
from convsmith.jobs.preparation import Preparation
from convsmith.jobs.run_marks import LOCK, MARKS


@dataclass(frozen=True)
class TrainedNetwork:
    """A network with its weights and all that is needed to use it."""

    design: Design
    graph: Graph
    module: nn.Module
    classes: tuple[str, ...]
    preparation: Preparation


@dataclass(frozen=True)
class RunFolder:
    """A folder with the files of a run, by name."""

    path: Path

    @property
    def design(self) -> Path:
        """The network as its author writes it; there from the start of a training."""
        return self.path / "design.toml"

    @property
    def weights(self) -> Path:
        """The trained weights."""
        return self.path / "model.safetensors"

    @property
    def report(self) -> Path:
        """Every figure of the run; written last."""
        return self.path / "report.json"

    @property
    def events(self) -> Path:
        """Everything that happened, one JSON line each."""
        return self.path / "events.ndjson"

    @property
    def study(self) -> Path:
        """The record of a search."""
        return self.path / "study.journal"

    @property
    def checkpoints(self) -> Path:
        """Where trainings keep their state."""
        return self.path / "checkpoints"

    @property
    def lock(self) -> Path:
        """What a process holds while it works on the run."""
        return self.path / LOCK

    @property
    def holder(self) -> str:
        """The process that works on the run now, or nothing."""
        return holder(self.lock)

    @property
    def onnx(self) -> Path:
        """The exported network."""
        return self.path / "model.onnx"

    @staticmethod
    def create(path: str | Path, *, resume: bool = False, source: str | Path | None = None) -> RunFolder:
        """Make the folder, or go on with one; see ``check``.

        Raises:
            RunError: If it cannot be used or written.
        """
        RunFolder.check(path, resume=resume, source=source)
        return RunFolder(make_folder(Path(path)))

    @staticmethod
    def check(path: str | Path, *, resume: bool = False, source: str | Path | None = None) -> None:
        """Refuse a folder that a run must not use, before any work is done for it.

        Args:
            path: Where.
            resume: Go on with the run that is there.
            source: The user's images, which are never written to.

        Raises:
            RunError: If it cannot be read; if it holds a run and ``resume`` was not asked for; if it holds
                anything that is not a run; if another process works on it; or if it lies within the images.
        """
        folder = Path(path)
        if source is not None and os.path.isdir(source) and folder.resolve().is_relative_to(Path(source).resolve()):
            rule = "the run folder must not lie in the image folder"
            raise RunError(rule, where=str(folder), remedy="choose another --out")
        with writing(folder):
            content = sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []
        if LOCK in content:
            content.remove(LOCK)
            RunFolder(folder)._check_free()
        is_run = any(name in MARKS for name in content)
        if is_run and not resume:
            remedy = "go on with it by --resume, or choose another --out"
            raise RunError("the folder holds a run already", where=str(folder), remedy=remedy)
        if content and not is_run:
            rule, remedy = "a new run needs an empty folder", "choose another --out"
            raise RunError(rule, where=str(folder), received=content[0], remedy=remedy)

    @contextlib.contextmanager
    def claimed(self) -> Generator[None]:
        """Keep other processes from working on the run, to the end of the block or of this process, however it ends.

        Raises:
            RunError: If another process works on it.
        """
        with claimed(self.lock) as mine:
            if not mine:
                self._check_free()
            yield

    def _check_free(self) -> None:
        process = self.holder
        if process:
            rule, remedy = "another process works on this run", "wait until it is done, or choose another --out"
            raise RunError(rule, received=process, where=str(self.path), remedy=remedy)

    def write_network(self, network: TrainedNetwork) -> None:
        """Write ``design.toml`` and ``model.safetensors``.

        Raises:
            RunError: If they cannot be written.
        """
        write_text(self.design, write_design(network.design))
        about = {"classes": list(network.classes), "preparation": network.preparation.to_dict()}
        write_weights(self.weights, weights_of(network.module), {"convsmith": json_line(about)})

    def read_network(self) -> TrainedNetwork:
        """The trained network, ready to use.

        Raises:
            RunError: If the folder is not a finished run.
            ModelError: If its weights are damaged or do not fit its design.
        """
        self._check_finished()
        classes, preparation = self._read_about()
        design = read_design(self.design)
        graph = lower(design)
        module = build(graph)
        load_weights(module, read_weights(self.weights))
        return TrainedNetwork(design, graph, module.eval(), classes, preparation)

    def read_report(self) -> dict[str, Any] | None:
        """The figures of the run, or None where they were not kept beside the network.

        Raises:
            RunError: If the file is damaged.
        """
        if not self.report.is_file():
            return None
        try:
            return json.loads(self.report.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise RunError(f"the report cannot be read: {error}", where=str(self.report)) from error

    def _check_finished(self) -> None:
        if not os.path.isdir(self.path):  # unlike Path.is_dir, says no to a name that is too long
            rule, remedy = "no such run folder", "give the --out folder of a train or fit"
            raise RunError(rule, where=str(self.path), remedy=remedy)
        if not any((self.path / name).exists() for name in MARKS):
            rule, remedy = "the folder is not a run", "give the --out folder of a train or fit"
            raise RunError(rule, where=str(self.path), remedy=remedy)
        for path in (self.weights, self.design):
            if not path.is_file():
                rule, remedy = f"the run has no {path.name}, so it is not finished", "go on with it by --resume"
                raise RunError(rule, where=str(self.path), remedy=remedy)

    def _read_about(self) -> tuple[tuple[str, ...], Preparation]:
        try:
            about = json.loads(read_metadata(self.weights)["convsmith"])
            return tuple(about["classes"]), Preparation.from_dict(about["preparation"])
        except (KeyError, TypeError, ValueError) as error:
            rule, remedy = "the weights do not say what they were trained on", "train the network again"
            raise RunError(rule, where=str(self.weights), remedy=remedy) from error
