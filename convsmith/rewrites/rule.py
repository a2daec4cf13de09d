"""What a rule is, and what comes of applying one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from convsmith.design import Design, lower
from convsmith.errors import ModelError
from convsmith.ir import Graph
from convsmith.rewrites.same import renamed, renaming
from convsmith.rewrites.work import Array, Work

Kept = Literal["numbers", "shapes"]


@dataclass(frozen=True)
class Rule:
    """A way of saying a network, or a part of one, otherwise.

    Attributes:
        name: By which a user asks for it.
        summary: What it does, in one line.
        keeps: Whether the network gives the same numbers after it, or only values of the same shapes.
        applies: Where it finds something to do.
        source: Who described it.
        on_graph: Rewrites a network.
        on_design: The same on a design, where its keys can say it; None where they never can.
        blocks: Whether it exchanges the blocks of a design as a whole, and layers only where there is no design.
    """

    name: str
    summary: str
    keeps: Kept
    applies: str
    source: str
    on_graph: Callable[[Work], None]
    on_design: Callable[[Design], Design | None] | None = None
    blocks: bool = False


@dataclass(frozen=True, eq=False)
class Rewritten:
    """A network after a rule.

    Attributes:
        graph: The network.
        weights: Its weights; those of new layers are missing.
        design: The design that lowers to exactly this network, where there is one.
        changed: Names of the places where something was done, as they were called before.
        left: Places where it might have been, with the reason why not.
        keeps: What was kept in this network.
    """

    graph: Graph
    weights: Mapping[str, Array]
    design: Design | None
    changed: tuple[str, ...]
    left: Mapping[str, str]
    keeps: Kept


def apply(rule: Rule, graph: Graph, weights: Mapping[str, Array], design: Design | None = None) -> Rewritten:
    """Rewrite a network by a rule.

    A design is rewritten as a design where its keys can say the result: where what they say lowers to the same nodes.

    Args:
        rule: The rule.
        graph: The network.
        weights: All that it stores.
        design: The design that lowers to ``graph``, if there is one.

    Raises:
        ModelError: If the rule finds nothing to do.
    """
    if rule.blocks and design is not None:
        return _as_design(rule, graph, weights, design)
    work = Work(graph, weights)
    rule.on_graph(work)
    if not work.changed:
        raise nothing_to_do(rule, graph.name, work.left)
    after, kept = work.finished()
    keeps: Kept = "numbers" if work.numbers else "shapes"
    if design is not None and rule.on_design is not None and (said := rule.on_design(design)) is not None:
        lowered = lower(said)
        names = renaming(after, lowered)
        if names is not None:
            return Rewritten(lowered, renamed(kept, names), said, tuple(work.changed), work.left, keeps)
    return Rewritten(after, kept, None, tuple(work.changed), work.left, keeps)


def nothing_to_do(rule: Rule, where: str, left: Mapping[str, str]) -> ModelError:
    """The error for a network in which a rule has no place."""
    stays = [f"{name}: {reason}" for name, reason in [*left.items()][:3]]
    more = f" and {len(left) - 3} more places" if len(left) > 3 else ""
    looked = f" ({'; '.join(stays)}{more})" if stays else ""
    remedy = f"it applies to {rule.applies}; `convsmith rewrite --list` shows the other rules"
    return ModelError(f"rule {rule.name} finds nothing to do{looked}", where=where, remedy=remedy)


def _as_design(rule: Rule, graph: Graph, weights: Mapping[str, Array], design: Design) -> Rewritten:
    """Rewrite by a rule that exchanges whole blocks; layers that keep name and shapes keep their weights."""
    assert rule.on_design is not None
    said = rule.on_design(design)
    if said is None:
        raise nothing_to_do(rule, graph.name, {})
    lowered = lower(said)
    stored = lowered.stored_shapes
    kept = {name: array for name, array in weights.items() if stored.get(name) == array.shape}
    pairs = enumerate(zip(design.stage, said.stage, strict=True), start=1)
    changed = tuple(f"stage{number}" for number, (before, after) in pairs if before != after)
    return Rewritten(lowered, kept, said, changed, {}, rule.keeps)
