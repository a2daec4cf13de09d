"""``convsmith inspect``."""

from __future__ import annotations

from typing import Annotated

import typer

from convsmith.analysis import LayerCost
from convsmith.cli.app import Count, Json, Shape, make_command, print_json, print_table, print_text
from convsmith.jobs.inspect import Inspection, inspect
from convsmith.quantities import format_bytes, format_count, format_shape


def _command(
    model: Annotated[str, typer.Argument(help="file.toml, zoo:NAME or a run folder.")],
    input: Annotated[tuple | None, Shape(help="Size of the image, in place of the design's own.")] = None,
    layers: Annotated[bool, typer.Option("--layers", help="Show every layer, not only stem, stages and head.")] = False,
    max_macs: Annotated[int | None, Count(help="Exit with 1 if the network costs more.")] = None,
    max_params: Annotated[int | None, Count(help="Exit with 1 if the network has more.")] = None,
    json: Annotated[bool, Json()] = False,
) -> None:
    """Show the exact table of a network: shapes, parameters, multiply-adds, bytes."""
    inspection = inspect(model, input=input)
    if json:
        print_json(inspection.to_dict())
    else:
        _print(inspection, layers)
    inspection.check(max_macs=max_macs, max_params=max_params)


def _print(inspection: Inspection, layers: bool) -> None:
    totals = inspection.cost.totals()
    print_text(f"{inspection.graph.name}, input {format_shape(inspection.graph.inputs[0][1].shape[1:])}")
    if layers:
        header = ("layer", "op", "output", "params", "macs")
        print_table(header, [_row(layer) for layer in inspection.cost.layers], left=2)
    else:
        outputs = {layer.name: layer.output for layer in inspection.cost.layers}
        rows = [
            (part.name, format_shape(outputs[part.last][1:]), f"{part.params:,}", f"{part.macs:,}")
            for part in inspection.sections
        ]
        print_table(("section", "output", "params", "macs"), rows)
    print_text("")
    print_text(f"parameters   {totals['params']:,} ({format_bytes(totals['weight_bytes'])} as float32)")
    print_text(f"macs         {totals['macs']:,} ({format_count(totals['macs'])})")
    print_text(f"activations  {totals['activations']:,} outputs of convolutions and linear layers")
    print_text(f"peak memory  {format_bytes(totals['peak_activation_bytes'])} of values alive at once, batch 1")
    print_text("")
    print_text("One mac is one multiply-add of a convolution or linear layer, padding included, bias not.")


def _row(layer: LayerCost) -> tuple[str, ...]:
    return layer.name, layer.op, format_shape(layer.output[1:]), f"{layer.params:,}", f"{layer.macs:,}"


command = make_command(_command, "inspect")
