"""``rewrite``: a network said otherwise by a rule, with the proof that its numbers stayed where they do."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from convsmith.design import Design, write_design
from convsmith.errors import ModelError, OpError
from convsmith.files import write_text
from convsmith.interop.reading import Reading
from convsmith.ir import Graph
from convsmith.jobs.inspect import Inspection
from convsmith.jobs.weighted import Weighted, open_weighted
from convsmith.rewrites import Rewritten, Rule, apply, find_rule

if TYPE_CHECKING:
    from convsmith.jobs.rewrite_proof import Proof

_PROOF = "convsmith.jobs.rewrite_proof"


@dataclass(frozen=True, eq=False)
class Rewriting:
    """A network before and after a rule.

    Attributes:
        rule: The rule.
        source: The network before it.
        result: The network after it.
        weights: All weights of the network after it.
        fresh: How many of its layers have new weights, which must be learnt.
        proof: How far both lie apart, where the numbers are kept.
    """

    rule: Rule
    source: Weighted
    result: Rewritten
    weights: Mapping[str, NDArray[Any]]
    fresh: int
    proof: Proof | None

    @property
    def graph(self) -> Graph:
        """The network after the rule."""
        return self.result.graph

    @property
    def design(self) -> Design | None:
        """The same as a design, where the keys of one can say it."""
        return self.result.design

    @cached_property
    def before(self) -> Inspection:
        """The facts of the network before the rule."""
        return Inspection(Reading(self.source.graph))

    @cached_property
    def after(self) -> Inspection:
        """The facts of the network after it."""
        return Inspection(Reading(self.graph))

    def on(self, input: tuple[int, int, int]) -> Graph:
        """The network after the rule for images (channels, height, width) of another size.

        Raises:
            ModelError: If it cannot take them.
        """
        (_, own), *others = self.graph.inputs
        if others:
            raise ModelError(
                "must have one input to take another size", received=1 + len(others), where=self.graph.name
            )
        try:
            graph = self.graph.with_inputs(own.with_shape(own.shape[0], *input))
            assert graph.types
        except OpError as error:
            rule = f"the network cannot take this size: {error}"
            remedy = "rewrite it by full-convolution, and give at least its own size"
            raise ModelError(rule, received=input, where=self.graph.name, remedy=remedy) from error
        return graph

    def write(self, path: str | Path, *, input: tuple[int, int, int] | None = None) -> Path:
        """Write the network after the rule.

        Args:
            path: ``file.onnx`` for the network with its weights, ``file.toml`` for its design, a new folder for a run
                with both, where the numbers were kept.
            input: (channels, height, width) of the images that an ONNX file takes, in place of the network's own.

        Raises:
            ModelError: If the kind of file cannot hold it.
            RunError: If it cannot be written.
        """
        path = Path(path)
        if path.suffix.lower() == ".onnx":
            graph = self.graph if input is None else self.on(input)
            return importlib.import_module("convsmith.interop.onnx_file").write_onnx(graph, self.weights, path)
        if input is not None:
            raise ModelError("only an ONNX file is written for another size of image", received=str(path),
                             remedy="give a name that ends in .onnx")  # fmt: skip
        if path.suffix.lower() == ".toml":
            return write_text(path, write_design(self._as_design(path)))
        if path.suffix or self.source.run is None:
            remedy = "give file.onnx or file.toml" + ("" if self.source.run is None else ", or a new folder")
            raise ModelError("a rewritten network is written as .onnx or .toml", received=str(path), remedy=remedy)
        return self._write_run(path)

    def _as_design(self, path: Path) -> Design:
        if self.design is None:
            rule = "the keys of a design cannot say this network"
            raise ModelError(rule, received=str(path), where=self.graph.name, remedy="write it as file.onnx")
        return self.design

    def _write_run(self, path: Path) -> Path:
        if self.result.keeps == "shapes":
            rule = "a run holds a trained network, and this one must be trained again"
            raise ModelError(rule, received=str(path), where=self.graph.name, remedy="write file.toml and train it")
        folders = importlib.import_module("convsmith.jobs.run_folder")
        run, design = self.source.run, self._as_design(path)
        module = importlib.import_module(_PROOF).ready(self.graph, self.weights)
        folder = folders.RunFolder.create(path)
        folder.write_network(folders.TrainedNetwork(design, self.graph, module, run.classes, run.preparation))
        return path

    def to_dict(self) -> dict[str, Any]:
        """The ``--json`` data."""
        return {
            "rule": self.rule.name,
            "keeps": self.result.keeps,
            "changed": list(self.result.changed),
            "left": dict(self.result.left),
            "fresh_layers": self.fresh,
            "difference": None if self.proof is None else self.proof.to_dict(),
            "before": _facts(self.before),
            "after": _facts(self.after),
            "design": None if self.design is None else write_design(self.design),
            "warnings": list(self.source.warnings),
        }


def _facts(inspection: Inspection) -> dict[str, Any]:
    field = inspection.last_field
    return {"totals": inspection.totals, "receptive_field": None if field is None else field.to_dict()}


def rewrite(model: Any, rule: str, *, input: tuple[int, int, int] | None = None, seed: int = 0) -> Rewriting:
    """Say a network otherwise, and prove what that keeps.

    Where the rule keeps the numbers, both networks are run on random input in float64; one without weights gets random
    ones for that. New layers get the weights that a training begins with.

    Args:
        model: A reference (``file.toml``, ``zoo:NAME``, a run folder, ``file.onnx``, ``timm:NAME``,
            ``package.module:factory``), a design, a graph or a ``torch.nn.Module``.
        rule: Name of a rule of ``convsmith.rewrites.RULES``.
        input: (channels, height, width) in place of the model's own.
        seed: Of the random numbers.

    Raises:
        ModelError: If the model cannot be read, there is no such rule, or it finds nothing to do.
        GateError: If numbers that the rule keeps have changed.
    """
    asked = find_rule(rule)
    source = open_weighted(model, input)
    proving = importlib.import_module(_PROOF)
    weights = proving.drawn_weights(source.graph, seed) if source.weights is None else source.weights
    result = apply(asked, source.graph, weights, source.design)
    complete = proving.first_weights(result.graph, result.weights, seed)
    fresh = {name.rpartition(".")[0] for name in complete.keys() - result.weights.keys()}
    done = Rewriting(asked, source, result, complete, len(fresh), None)
    return replace(done, proof=_proof(done, weights, seed))


def _proof(done: Rewriting, weights: Mapping[str, NDArray[Any]], seed: int) -> Proof | None:
    """How far both networks lie apart; with other weights, too, where the model's own give the same everywhere.

    Raises:
        GateError: If they differ.
    """
    if done.result.keeps != "numbers":
        return None
    proving, before = importlib.import_module(_PROOF), done.source.graph
    own = done.source.weights is not None
    proof, telling = proving.prove(before, weights, done.graph, done.weights, seed, drawn=not own)
    proof.require(before.name)
    if telling or not own:
        return proof
    drawn = proving.drawn_weights(before, seed)
    other = apply(done.rule, before, drawn, done.source.design)
    proof, _ = proving.prove(before, drawn, other.graph, other.weights, seed, drawn=True)
    proof.require(before.name)
    return proof
