"""Where the map changes size: a network as a sequence of levels of constant jump, or as lanes side by side.

A level begins where everything alive has passed a down-sampling step. Only maps count from which windows lead on to
the last map: a squeeze-and-excitation branch or an auxiliary output cuts nothing. Within a level, blocks may fork and
join as they like. The border is put where a single map was last alive, or at the start of the module whose first step
shrinks the map, as far as names tell. A stretch in which maps of three sizes or more are alive (HRNet, FPN, U-Net)
has no sequence: it is a level of its own, made of lanes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

from convsmith.analysis.facts import ELEMENTWISE, asked, facts, reads
from convsmith.analysis.receptive import Rational, ReceptiveField, json_number, last_map
from convsmith.ir import Graph, Node, Window

Jump = tuple[Rational, Rational]


@dataclass(frozen=True)
class Level:
    """A run of nodes of one jump.

    Attributes:
        start: Number of its first node.
        stop: One past the number of its last node.
        last: The last map of the level: what a feature extractor takes.
        jump: Input pixels between neighbouring units of that map, along (height, width).
        lanes: Whether maps of several jumps are alive in it.
    """

    start: int
    stop: int
    last: str
    jump: Jump
    lanes: bool = False


@dataclass(frozen=True)
class Lane:
    """All maps of one jump in a network of several resolutions.

    Attributes:
        first: The first map with this jump.
        last: The last one.
        layers: Number of layers with learned multiply-adds that give such a map.
    """

    jump: Jump
    first: str
    last: str
    layers: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**vars(self), "jump": [json_number(jump) for jump in self.jump]}


class Step(NamedTuple):
    """A node of the trunk: its map leads on to the last map.

    Attributes:
        number: Of the node, in the graph.
        name: Of the node.
        inputs: The maps it reads.
        single: Whether its map alone is alive once it has run.
        even: Whether all maps alive then have its jump.
    """

    number: int
    name: str
    jump: Jump
    inputs: tuple[str, ...]
    single: bool
    even: bool


def levels(graph: Graph, fields: Mapping[str, ReceptiveField]) -> tuple[Level, ...]:
    """The levels of ``graph`` from its first node to its last map, in running order; none where it has no maps."""
    return split(graph, trunk(graph, fields))


def lanes(graph: Graph, fields: Mapping[str, ReceptiveField]) -> tuple[Lane, ...]:
    """The lanes of a network of several resolutions, by jump; none where one sequence of levels describes it."""
    steps = trunk(graph, fields)
    jumps, found = list[Jump](), list[Lane]()
    if any(level.lanes for level in split(graph, steps)):
        for jump in sorted({step.jump for step in steps}):
            if not jumps or not alike(jumps[-1], jump):
                jumps.append(jump)
    for jump in jumps:
        inside = [step for step in steps if alike(jump, step.jump)]
        layers = sum(has_taps(graph, graph.nodes[step.number]) for step in inside)
        found.append(Lane(jump, inside[0].name, inside[-1].name, layers))
    return tuple(found)


def alike(first: Jump, second: Jump) -> bool:
    """Whether two jumps are of one level: less than 3 to 2 apart, as where 7 pixels were pooled to 3 and back."""
    return first == second or all(2 * max(pair) < 3 * min(pair) for pair in zip(first, second, strict=True))


def has_taps(graph: Graph, node: Node) -> bool:
    """Whether a node multiplies with learned weights."""
    answers = facts(*asked(graph, node))
    return answers.terms.taps > 0 and answers.params > 0


def trunk(graph: Graph, fields: Mapping[str, ReceptiveField]) -> tuple[Step, ...]:
    """The nodes from whose maps windows lead to the last map, or to an output that is a map, in running order."""
    maps = {name for name, field in fields.items() if field.local}
    local = [number for number, node in enumerate(graph.nodes) if node.name in maps]
    wanted = {graph.nodes[local[-1]].name, *maps.intersection(graph.outputs)} if local else set[str]()
    found = list[tuple[int, tuple[str, ...]]]()
    for number in reversed(local):
        node = graph.nodes[number]
        if node.name in wanted:
            inputs = _maps_read(graph, node, maps, fields)
            wanted.update(inputs)
            found.append((number, inputs))
    return _with_life(graph, fields, found[::-1])


def _maps_read(graph: Graph, node: Node, maps: set[str], fields: Mapping[str, ReceptiveField]) -> tuple[str, ...]:
    read = reads(*asked(graph, node))
    if read is ELEMENTWISE or all([isinstance(axis, Window) for axis in read]):
        return tuple([value for value in node.inputs if value in maps])
    return (last_map(graph, node, fields),)  # a map again, after positions were moved about


def _with_life(
    graph: Graph, fields: Mapping[str, ReceptiveField], found: Sequence[tuple[int, tuple[str, ...]]]
) -> tuple[Step, ...]:
    """The steps of the nodes that were found, each with what is alive after it."""
    last_read = {value: number for number, inputs in found for value in inputs}
    alive: dict[str, Jump] = {name: (1, 1) for name, _ in graph.inputs if name in last_read}
    count, steps = Counter(alive.values()), list[Step]()
    for number, inputs in found:
        name = graph.nodes[number].name
        jump = fields[name].jump
        if name in last_read:
            alive[name] = jump
            count[jump] += 1
        for value in inputs:
            if last_read[value] == number and value in alive:
                count[alive.pop(value)] -= 1
        even = count[jump] == len(alive)
        steps.append(Step(number, name, jump, inputs, even and len(alive) <= 1, even))
    return tuple(steps)


@dataclass(frozen=True)
class _Border:
    """Where a level ends.

    Attributes:
        at: Number of the first node after it.
        change: Number of the first node of the trunk whose map has another jump.
        jump: The jump of the level that ends.
        stop: Where the lanes end that follow, if lanes follow.
    """

    at: int
    change: int
    jump: Jump
    stop: int | None


def split(graph: Graph, steps: Sequence[Step]) -> tuple[Level, ...]:
    """The levels of a trunk."""
    borders, start, found = _borders(steps), 0, list[Level]()
    for border in borders:
        at = border.at if border.stop else _module_start(graph, steps, borders, border, start)
        found += _level(steps, start, at, border.jump)
        if border.stop:
            found += _level(steps, at, border.stop, None)
        start = border.stop or at
    return (*found, *_level(steps, start, steps[-1].number + 1, steps[-1].jump)) if steps else ()


def _level(steps: Sequence[Step], start: int, stop: int, jump: Jump | None) -> tuple[Level, ...]:
    """The level of the nodes from ``start`` to ``stop``, one of lanes without ``jump``; nothing if it has no map."""
    inside = [step for step in steps if start <= step.number < stop and (jump is None or alike(step.jump, jump))]
    return (Level(start, stop, inside[-1].name, inside[-1].jump, lanes=jump is None),) if inside else ()


def _borders(steps: Sequence[Step]) -> list[_Border]:
    """Every border, put after the last step of its level that left a single map alive, if there was one."""
    found, passed = list[_Border](), list[Step]()
    jump, single, last = (1, 1), 0, 0
    for step in steps:
        passed.append(step)
        if not step.even and step is not steps[-1]:
            continue
        others = [other for other in passed if not alike(other.jump, jump)]
        several = any(not alike(other.jump, others[0].jump) for other in others) or (others != [] and not step.even)
        if several or not alike(step.jump, jump):
            stop = step.number + 1 if several else None
            found.append(_Border(last if single is None else single, others[0].number, jump, stop))
            jump, single = step.jump, None
        last = step.number + 1
        single = last if step.single else single
        passed = []
    return found


def _module_start(graph: Graph, steps: Sequence[Step], borders: Sequence[_Border], border: _Border, start: int) -> int:
    """Where the module begins that shrinks the map, if that is earlier than the border.

    MobileNetV2's blocks widen before they shrink, DenseNet's transitions normalise first. The module is the smallest
    of several layers, or the largest if none has several. It shrinks the map once, leaves layers before it, and joins
    no branches before the border: where a stage ends with the step that shrinks, its blocks are no part of the next.
    """
    found = border.at
    for first, last in modules(graph, border.change):
        once = sum(first <= other.change <= last for other in borders) == 1
        if not once or not any(has_taps(graph, node) for node in graph.nodes[start:first]):
            continue
        if first >= border.at or not any(first <= step.number < border.at and len(step.inputs) > 1 for step in steps):
            layers = (node for node in graph.nodes[first : last + 1] if _counts(graph, node))
            several = len(list(islice(layers, 2))) > 1
            found = first if several or found == border.at else found
    return min(found, border.at)


def _counts(graph: Graph, node: Node) -> bool:
    """Whether a node is a layer of its own: with weights or a pooling window."""
    return has_taps(graph, node) or facts(*asked(graph, node)).terms.pool > 0


def modules(graph: Graph, number: int) -> Iterator[tuple[int, int]]:
    """The runs of nodes that share a module's name with node ``number``, first and last, from the largest inwards."""
    names = [node.name for node in graph.nodes]
    for border in re.finditer(r"[./]", names[number]):
        module = names[number][: border.end()]
        first = last = number
        while first > 0 and names[first - 1].startswith(module):
            first -= 1
        while last + 1 < len(names) and names[last + 1].startswith(module):
            last += 1
        yield first, last
