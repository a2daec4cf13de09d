"""``convsmith inspect``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Annotated

import typer

from convsmith.analysis import LayerCost, section_of
from convsmith.cli.app import Count, Json, Shape, make_command, one_line, print_json, print_table, print_text
from convsmith.jobs.compare import Comparison, compare
from convsmith.jobs.inspect import Inspection, inspect
from convsmith.quantities import format_bytes, format_count, format_percent, format_shape

_FIELD = "sees: pixels of the image that one unit sees, by height and width; + where it sees the whole map besides."
_CONVENTION = "One mac is one multiply-add of a convolution or linear layer, padding included, bias not; batch 1."


def _command(
    model: Annotated[str, typer.Argument(help="file.toml, zoo:NAME or a run folder.")],
    other: Annotated[str | None, typer.Argument(help="A second model, to show beside the first.")] = None,
    input: Annotated[tuple | None, Shape(help="Size of the image, in place of the design's own.")] = None,
    layers: Annotated[bool, typer.Option("--layers", help="Show every layer, not only stem, stages and head.")] = False,
    max_macs: Annotated[int | None, Count(help="Exit with 1 if a network costs more.")] = None,
    max_params: Annotated[int | None, Count(help="Exit with 1 if a network has more.")] = None,
    json: Annotated[bool, Json()] = False,
) -> None:
    """Show the exact table of a network, or of two side by side."""
    inspection = inspect(model, input=input)
    if other is None:
        if json:
            print_json(inspection.to_dict())
        else:
            _print(inspection, layers)
        inspection.check(max_macs=max_macs, max_params=max_params)
        return
    comparison = compare(inspection, inspect(other, input=input))
    if json:
        print_json(comparison.to_dict())
    else:
        _print_comparison(comparison)
    for one in (comparison.before, comparison.after):
        one.check(max_macs=max_macs, max_params=max_params)


def _print(inspection: Inspection, layers: bool) -> None:
    totals = inspection.cost.totals()
    print_text(f"{one_line(inspection.graph.name)}, input {format_shape(inspection.graph.inputs[0][1].shape[1:])}")
    print_text("")
    if layers:
        rows = [(one.name, one.op, *_figures(inspection, [one])) for one in inspection.cost.layers]
        print_table(("layer", "op", "output", "sees", "params", "macs", "of all"), rows, left=2)
    else:
        rows = [(section, part, *_figures(inspection, run)) for section, part, run in _folded(inspection.cost.layers)]
        print_table(("section", "part", "output", "sees", "params", "macs", "of all"), rows, left=2)
    print_text("")
    print_text(f"parameters   {totals['params']:,} ({format_bytes(totals['weight_bytes'])} as float32)")
    print_text(f"macs         {totals['macs']:,} ({format_count(totals['macs'])})")
    print_text(f"activations  {totals['activations']:,} outputs of convolutions and linear layers")
    print_text(f"peak memory  {format_bytes(totals['peak_activation_bytes'])} of values alive at once")
    print_text("")
    print_text(_CONVENTION)
    print_text(_FIELD)


def _figures(inspection: Inspection, layers: Sequence[LayerCost]) -> tuple[str, ...]:
    params, macs, total = sum(one.params for one in layers), sum(one.macs for one in layers), inspection.cost.macs
    share = format_percent(macs / total if total else 0)
    return format_shape(layers[-1].output[1:]), _field(inspection, layers[-1]), f"{params:,}", f"{macs:,}", share


def _field(inspection: Inspection, layer: LayerCost) -> str:
    """Pixels of the image that a unit sees, a plus where it also sees the whole map through pooling."""
    field = inspection.fields[layer.name]
    sizes = (field.height.size, field.width.size)
    size = str(sizes[0]) if sizes[0] == sizes[1] else format_shape(sizes)
    return f"{size}+" if field.height.whole or field.width.whole else size


def _folded(layers: Sequence[LayerCost]) -> Iterator[tuple[str, str, list[LayerCost]]]:
    """Section, part and layers of each part, with runs of equal blocks as one part: ``block2 to block4 (3 x)``."""
    for section, members in groupby(layers, section_of):
        blocks = [(name, list(run)) for name, run in groupby(members, _block)]
        first = section
        for _, run in groupby(blocks, lambda block: _pattern(*block)):
            equal = list(run)
            start, end = equal[0][0], equal[-1][0]
            part = start if len(equal) == 1 else f"{start} to {end} ({len(equal)} x)"
            yield first, part, [layer for _, block in equal for layer in block]
            first = ""


def _block(layer: LayerCost) -> str:
    """``block2`` of ``stage1.block2.conv``; nothing for a layer that is in no block."""
    parts = layer.name.split(".")
    return parts[1] if len(parts) > 2 and parts[1].startswith("block") else ""


def _pattern(name: str, layers: Sequence[LayerCost]) -> tuple[object, ...]:
    """What two blocks have in common if they are the same."""
    return (
        tuple((one.name.split(".")[2:], one.op, one.inputs, one.output, one.params) for one in layers) if name else ()
    )


def _print_comparison(comparison: Comparison) -> None:
    names = [one_line(one.graph.name) for one in (comparison.before, comparison.after)]
    sizes = [format_shape(one.graph.inputs[0][1].shape[1:]) for one in (comparison.before, comparison.after)]
    print_text(f"{names[0]}, input {sizes[0]}, and {names[1]}, input {sizes[1]}")
    print_text("")
    rows = [(name, *map(_count, (*params, *macs))) for name, params, macs in comparison.sections]
    print_table(("section", "params", "params'", "macs", "macs'"), rows)
    print_text("")
    rows = [(name.replace("_", " "), *map(_count, pair), _ratio(*pair)) for name, pair in comparison.totals.items()]
    print_table(("total", *names, "ratio"), rows)
    print_text("")
    print_text(_CONVENTION)


def _count(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _ratio(before: int | None, after: int | None) -> str:
    return f"{after / before:.3f}" if before and after else "-"


command = make_command(_command, "inspect")
