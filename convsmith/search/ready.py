"""Ready-made competitors: published networks, their strides fitted to the images and their widths to the budget."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Final

from convsmith.design import Design, zoo
from convsmith.errors import BudgetError, ConvsmithError, OpError
from convsmith.scaling import solve
from convsmith.scaling.axes import total_depth, with_resolution, with_total_depth
from convsmith.search.candidate import READY
from convsmith.search.space import Field, Space, make_candidate, shares

NETWORKS: Final = ("resnet18", "mobilenet-v2", "efficientnet-b0", "shufflenet-v2")
"""Of the zoo: one of each family that people take first."""

_LAST_MAP: Final = 4  # pixels that the last map should have, as in the space
_DEPTHS: Final = (1.0, 2 / 3, 1 / 2, 1 / 3, 0.0)
_SMALL_STEM: Final = 3


def with_ready_made(field: Field, space: Space) -> Field:
    """The field with the networks of ``NETWORKS`` that can meet the budget, behind the rules.

    One that the field has already keeps its place.
    """
    rules = [one for one in field.candidates if one.rule]
    drawn = [one for one in field.candidates if not one.rule]
    known = {one.key for one in field.candidates}
    ready: dict[str, str] = {}
    refused = dict(field.refused)
    entering = []
    for name in NETWORKS:
        try:
            design = fitted(zoo.load(name), space)
        except ConvsmithError as error:
            refused[f"{READY}{name}"] = str(error)
            continue
        split = shares(field.base, design, 1 / space.limits.taken(field.base))
        candidate = make_candidate(design, f"{READY}{name}", split, space.limits)
        ready[name] = candidate.key
        if candidate.key not in known:
            known.add(candidate.key)
            entering.append(candidate)
    return dataclasses.replace(field, candidates=(*rules, *entering, *drawn), ready=ready, refused=refused)


def fitted(published: Design, space: Space) -> Design:
    """A published network for the images and the budget of a space: narrower, and if need be shallower.

    Raises:
        BudgetError: If not even the shallowest one is within budget, or none fills it.
    """
    native = with_resolution(for_images(published, space), space.native, space.native)
    first: BudgetError | None = None
    depths = dict.fromkeys(max(round(part * total_depth(native)), len(native.stage)) for part in _DEPTHS)
    for depth in depths:
        try:
            return solve(with_total_depth(native, depth), space.limits, quantum=space.quantum, pixels=space.pixels)
        except BudgetError as error:
            first = first or error
        except OpError:  # some blocks cannot be one channel wide, which says nothing of the budget
            first = first or BudgetError(f"even its narrowest form costs more than {space.limits}")
    assert first is not None
    raise first


def for_images(published: Design, space: Space) -> Design:
    """A published network with the channels and classes of a space, and its strides taken away from the front.

    Networks of 224 px halve the map five times; of small images that would leave a single pixel.
    """
    head = published.head.model_copy(update={"classes": space.classes})
    shape = {"input": (space.channels, *published.input[1:]), "head": head}
    design = published.model_copy(update=shape)
    for gentler in _gentler(design):
        design = gentler
        if space.native / _strides(design) >= _LAST_MAP:
            break
    return design


def _strides(design: Design) -> float:
    """How many times smaller than the image the last map is."""
    pooled = 2 if design.stem.options.get("pool") == "max" else 1
    return float(design.stem.stride * pooled * math.prod(stage.stride for stage in design.stage))


def _gentler(design: Design) -> Iterator[Design]:
    """The design, and the same with less and less of its strides: the stem's pooling first, then the front."""
    yield design
    if design.stem.options.get("pool") == "max":
        design = design.model_copy(update={"stem": design.stem.model_copy(update={"pool": "none"})})
        yield design
    if design.stem.stride > 1:
        options: dict[str, int] = {"stride": 1}
        if design.stem.options.get("kernel", 0) > _SMALL_STEM:
            options["kernel"] = _SMALL_STEM
        design = design.model_copy(update={"stem": design.stem.model_copy(update=options)})
        yield design
    for number, stage in enumerate(design.stage):
        if stage.stride > 1:
            stages = list(design.stage)
            stages[number] = stage.model_copy(update={"stride": 1})
            design = design.model_copy(update={"stage": tuple(stages)})
            yield design
