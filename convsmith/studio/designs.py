"""The design view: what a design costs, part by part, and where one that cannot be goes wrong."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from itertools import groupby
from typing import Any, Final

from convsmith.analysis import LayerCost, Section
from convsmith.deploy.calibration import CalibrationError
from convsmith.deploy.roofline import Estimate, latency_of
from convsmith.design import Design, parse_design
from convsmith.design.lower import add_head, add_stage, add_stem
from convsmith.errors import ConvsmithError, DesignError, OpError
from convsmith.ir import Builder, TensorType
from convsmith.jobs.inspect import Inspection, inspect
from convsmith.quantities import (
    format_bytes,
    format_count,
    format_seconds,
    parse_bytes,
    parse_count,
    parse_seconds,
)
from convsmith.report.formulas import formulas
from convsmith.report.inspection_rows import layer_lines, shape_text
from convsmith.studio.bodies import told

WHERE: Final = "design"
"""What errors call the text that is being edited."""

MOST_BLOCKS: Final = 1_000
"""Blocks of a design that is drawn: a slip of the finger must not keep the machine busy for an hour."""

METRICS: Final[Mapping[str, Callable[[float], str]]] = {
    "macs": format_count,
    "params": format_count,
    "activations": format_count,
    "bytes": format_bytes,
    "seconds": format_seconds,
}
_KEY: Final = re.compile(r"(?:key )?'(stem|stage\[(\d+)\]|head)(?:\.[^']*)?'")


@lru_cache(maxsize=8)
def inspected(text: str) -> Inspection:
    """The facts of the network that a design file holds.

    Raises:
        DesignError: If the text is no design, has too many blocks to be drawn, or a layer does not fit.
    """
    design = parse_design(text, where=WHERE)
    blocks = sum(stage.depth for stage in design.stage)
    if blocks > MOST_BLOCKS:
        remedy = "take a smaller depth, or `convsmith inspect`"
        raise DesignError(
            f"the studio draws at most {MOST_BLOCKS:,} blocks", received=blocks, where=WHERE, remedy=remedy
        )
    return inspect(design)


def picture(text: str) -> dict[str, Any]:
    """Everything that the design view draws: totals, sections and their blocks.

    A design that cannot be gives the error, with the section and the layer that it is in.
    """
    try:
        found = inspected(text)
    except ConvsmithError as error:
        return {**told(error), **_place(error, text)}
    estimate = _estimate(found)
    totals = {name: value for name, value in found.totals.items() if name in METRICS}
    totals |= {"bytes": found.memory.bytes_moved} | ({"seconds": estimate.seconds} if estimate else {})
    return {
        "ok": True,
        "name": found.graph.name,
        "input": shape_text(found.graph.inputs[0][1].shape),
        "design": parse_design(text, where=WHERE).model_dump(mode="json"),
        "totals": _figures(totals),
        "memory": {
            "weights": format_bytes(found.memory.weight_bytes),
            "peak": format_bytes(found.memory.peak_activation_bytes),
        },
        "timed": estimate is not None,
        "sections": [_section(section, found, estimate) for section in found.sections],
    }


def operators(text: str, block: str) -> dict[str, Any]:
    """The operators of a block, or of the whole network where none is named, each with its costs."""
    found = inspected(text)
    estimate = _estimate(found)
    return {
        "operators": [
            {
                "name": layer.name,
                "op": layer.op,
                "output": shape_text(layer.output),
                "costs": _costs(layer, found, estimate),
            }
            for layer in found.cost.layers
            if block in ("", _block_of(layer))
        ]
    }


def layer_texts(text: str) -> dict[str, Any]:
    """For each layer by name: what it does, and its counts as formulas with its own numbers."""
    found = inspected(text)
    lines = layer_lines(found.to_dict(), formulas(found.graph, found.fields))
    return {"lines": {name: said for name, *said in lines}}


def read_budgets(budgets: Mapping[str, Any]) -> dict[str, Any]:
    """What a user allows, by metric: the number with its text, or what is wrong with it."""
    read: dict[str, Callable[[str], float]] = {
        "bytes": parse_bytes,
        "seconds": lambda text: parse_seconds(text, "time"),
    }
    found: dict[str, Any] = {}
    for metric in METRICS:
        text = str(budgets.get(metric, "")).strip()
        if text:
            try:
                value = read.get(metric, parse_count)(text)
                found[metric] = {"ok": True, "value": value, "text": METRICS[metric](value)}
            except ConvsmithError as error:
                found[metric] = told(error)
    return found


def schema() -> dict[str, Any]:
    """For each kind of part and block, its keys as JSON schema, from the very models that read a file."""
    models = Design.model_json_schema()["$defs"]
    kinds: dict[str, dict[str, Any]] = {"stem": {}, "stage": {}, "head": {}}
    for name, model in models.items():
        block, _, kind = name.rpartition("_")
        if kind in kinds:
            kinds[kind][block] = {"about": model.get("description", ""), "keys": model["properties"]}
    return kinds


def _estimate(found: Inspection) -> Estimate | None:
    """The time on this machine, where it has been measured."""
    try:
        return latency_of(found.graph)
    except CalibrationError:
        return None


def _costs(layer: LayerCost, found: Inspection, estimate: Estimate | None) -> dict[str, float]:
    costs: dict[str, float] = {
        "macs": layer.macs,
        "params": layer.params,
        "activations": layer.activations,
        "bytes": found.memory.bytes_of[layer.name],
    }
    return costs | ({"seconds": estimate.per_layer[layer.name]} if estimate else {})


def _section(section: Section, found: Inspection, estimate: Estimate | None) -> dict[str, Any]:
    own = set(section.layers)
    layers = [layer for layer in found.cost.layers if layer.name in own]
    blocks = [
        (block, shape_text(inside[-1].output), _sums(_costs(layer, found, estimate) for layer in inside))
        for block, inside in ((block, list(group)) for block, group in groupby(layers, _block_of))
    ]
    return {
        "name": section.name,
        "kind": section.kind,
        "costs": _figures(_sums(costs for _, _, costs in blocks)),
        "output": blocks[-1][1],
        "blocks": [{"name": name, "costs": _figures(costs), "output": output} for name, output, costs in blocks],
    }


def _block_of(layer: LayerCost) -> str:
    """``stage2.block1.conv1.conv`` is in ``stage2.block1``; stem and head are one block each."""
    parts = layer.name.split(".")
    return ".".join(parts[:2]) if parts[0].startswith("stage") else parts[0]


def _sums(costs: Iterable[Mapping[str, float]]) -> dict[str, float]:
    first, *others = costs
    return {metric: sum((cost[metric] for cost in others), value) for metric, value in first.items()}


def _figures(costs: Mapping[str, float]) -> dict[str, dict[str, Any]]:
    """Each number with the text that people read."""
    return {metric: {"value": value, "text": METRICS[metric](value)} for metric, value in costs.items()}


def _place(error: ConvsmithError, text: str) -> dict[str, str]:
    """Section and layer of an error, and what the section reads: by its key, or by lowering the design once more."""
    key = _KEY.match(error.rule)
    if key:
        return {"section": f"stage{key[2]}" if key[2] else key[1], "layer": "", "reads": ""}
    try:
        design = parse_design(text, where=WHERE)
    except ConvsmithError:
        return {"section": "", "layer": "", "reads": ""}
    section, net = "stem", Builder(design.name)
    x = net.input(TensorType((1, *design.input)))
    try:
        x = add_stem(net, x, design.stem)
        for number, stage in enumerate(design.stage, start=1):
            section = f"stage{number}"
            with net.scope(section):
                x = add_stage(net, x, stage)
        section = "head"
        add_head(net, x, design.head)
    except OpError as found:
        layer = found.where if found.where.startswith(f"{section}.") else ""
        return {"section": section, "layer": layer, "reads": shape_text(net.type(x).shape)}
    return {"section": "", "layer": "", "reads": ""}
