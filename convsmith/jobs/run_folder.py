"""The run folder: where everything about a training or a search lies, and how a trained network comes back from it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from convsmith.design import Design, lower, read_design, write_design
from convsmith.errors import RunError
from convsmith.files import make_folder, write_text
from convsmith.interop.torch_module import build
from convsmith.interop.weights import load_weights, read_metadata, read_weights, weights_of, write_weights
from convsmith.ir import Graph
from convsmith.jobs.preparation import Preparation

_MARKS = ("events.ndjson", "design.toml", "report.json", "study.journal")


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
    def onnx(self) -> Path:
        """The exported network."""
        return self.path / "model.onnx"

    @staticmethod
    def create(path: str | Path, *, resume: bool = False) -> RunFolder:
        """Make the folder, or go on with one.

        Raises:
            RunError: If it cannot be written; if it holds a run and ``resume`` was not asked for; or if it holds
                anything that is not a run.
        """
        folder = Path(path)
        content = sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []
        is_run = any(name in _MARKS for name in content)
        if is_run and not resume:
            remedy = "go on with it by --resume, or choose another --out"
            raise RunError("the folder holds a run already", where=str(folder), remedy=remedy)
        if content and not is_run:
            raise RunError("a new run needs an empty folder", where=str(folder), received=content[0])
        return RunFolder(make_folder(folder))

    def write_network(self, network: TrainedNetwork) -> None:
        """Write ``design.toml`` and ``model.safetensors``.

        Raises:
            RunError: If they cannot be written.
        """
        write_text(self.path / "design.toml", write_design(network.design))
        about = {"classes": list(network.classes), "preparation": network.preparation.to_dict()}
        text = json.dumps(about, ensure_ascii=False)
        write_weights(self.path / "model.safetensors", weights_of(network.module), {"convsmith": text})

    def read_network(self) -> TrainedNetwork:
        """The trained network, ready to use.

        Raises:
            RunError: If the folder is not a finished run.
            ModelError: If its weights are damaged or do not fit its design.
        """
        design_path, weights_path = self.path / "design.toml", self.path / "model.safetensors"
        if not (design_path.is_file() and weights_path.is_file()):
            rule = "a finished run holds design.toml and model.safetensors"
            raise RunError(rule, where=str(self.path), remedy="give the --out folder of a train or fit that has ended")
        about = self._about(weights_path)
        design = read_design(design_path)
        graph = lower(design)
        module = build(graph)
        load_weights(module, read_weights(weights_path))
        preparation = Preparation.from_dict(about["preparation"])
        return TrainedNetwork(design, graph, module.eval(), tuple(about["classes"]), preparation)

    @staticmethod
    def _about(path: Path) -> dict[str, Any]:
        try:
            return json.loads(read_metadata(path)["convsmith"])
        except (KeyError, ValueError) as error:
            raise RunError("the weights must say what they were trained on", where=str(path)) from error
