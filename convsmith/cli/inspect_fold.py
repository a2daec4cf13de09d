"""Repeated blocks as one row, whatever the network calls them: ``layer1.1 to layer1.2 (2 x)``.

Blocks are compared by what their layers are, never by their names. Names only divide: a module whose parts are counted,
as in ``layer1.0``, is a list of blocks, and of all divisions from coarse to fine the first is taken in which something
is repeated. A network without such names is compared layer by layer.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, takewhile
from typing import Final

from convsmith.analysis import LayerCost
from convsmith.ir import Graph, Node

_COUNTED: Final = re.compile(r".*\d+[a-z]?")
_LEAST_SAVED: Final = 4
"""Where layers are compared one by one, a fold that hides fewer of them may be a chance."""

Path = tuple[str, ...]
Span = tuple[int, int]
"""Number of the first layer, and after the last."""


@dataclass(frozen=True)
class Part:
    """Consecutive layers as one row.

    Attributes:
        label: What the network calls them, without the name of the section.
        times: How often the same pattern comes in them.
    """

    label: str
    layers: tuple[LayerCost, ...]
    times: int = 1


@dataclass(frozen=True)
class _Repeat:
    """A pattern of ``period`` items, ``count`` times from ``start`` on, or from up to ``slack`` items later."""

    start: int
    period: int
    count: int
    slack: int = 0

    @property
    def stop(self) -> int:
        return self.start + self.period * self.count

    @property
    def saved(self) -> int:
        return self.period * (self.count - 1)


def fold(graph: Graph, layers: Sequence[LayerCost], section: str) -> list[Part]:
    """The layers of a section in parts; a single one if nothing is repeated and names show no division."""
    nodes = [graph.node(layer.name) for layer in layers]
    kinds = [(node.op, bool(node.shares), layer.inputs) for node, layer in zip(nodes, layers, strict=True)]
    own = f"{section}."
    strip = all(node.name.startswith(own) for node in nodes)
    paths = [tuple((node.name.removeprefix(own) if strip else node.name).split(".")) for node in nodes]
    divisions = list(_divisions(paths))
    for spans in divisions or [[(at, at + 1) for at in range(len(nodes))]]:
        if repeats := _repeats(nodes, kinds, spans, 1 if divisions else _LEAST_SAVED):
            break
    else:
        spans, repeats = divisions[0] if divisions else [(0, len(nodes))], []
    parts, done = list[Part](), 0
    for repeat in [*repeats, _Repeat(len(spans), 0, 0)]:
        between = spans[done : repeat.start]
        if between and not divisions:
            between = [(between[0][0], between[-1][1])]
        parts += [Part(_label(paths, span, span), tuple(layers[slice(*span)])) for span in between]
        if repeat.count:
            first, last = (_whole(spans, at, repeat.period) for at in (repeat.start, repeat.stop - repeat.period))
            label = f"{_label(paths, first, last)} ({repeat.count} x)"
            parts.append(Part(label, tuple(layers[first[0] : last[1]]), repeat.count))
        done = repeat.stop
    return parts


def _divisions(paths: Sequence[Path]) -> Iterator[list[Span]]:
    """Ways to divide layers by their names, from coarse to fine; none if names show no more than one module."""
    depth = len(_shared(paths))
    spans = list(_modules(paths, (0, len(paths)), depth))
    if len(spans) == 1 or (depth and not _is_list(paths, depth)):
        return
    finer = list[Span]()
    while finer != spans:
        spans, depth = finer or spans, depth + 1
        yield spans
        finer = [
            part for span in spans for part in (_modules(paths, span, depth) if _opens(paths, span, depth) else [span])
        ]


def _opens(paths: Sequence[Path], span: Span, depth: int) -> bool:
    """Whether a module is a list of blocks, or has modules only and such a list among them."""
    inside = paths[slice(*span)]
    if _is_list(inside, depth):
        return True
    parts = (paths[slice(*part)] for part in _modules(paths, span, depth))
    return all(len(path) > depth + 1 for path in inside) and any(_is_list(part, depth + 1) for part in parts)


def _is_list(paths: Sequence[Path], depth: int) -> bool:
    """Whether the modules or layers at ``depth`` are counted, as are the blocks of a stage."""
    return all(len(path) > depth and _COUNTED.fullmatch(path[depth]) for path in paths)


def _modules(paths: Sequence[Path], span: Span, depth: int) -> Iterator[Span]:
    """The modules that layers of one module are in; neighbours that are in none stay together."""
    at = span[0]
    for _, run in groupby(paths[slice(*span)], lambda path: path[depth] if len(path) > depth + 1 else ""):
        length = len(list(run))
        yield at, at + length
        at += length


def _repeats(nodes: Sequence[Node], kinds: Sequence[Hashable], spans: Sequence[Span], least: int) -> list[_Repeat]:
    """The repetition that saves most, then those left and right of it, in running order."""
    wholes = [tuple(kinds[slice(*span)]) for span in spans]
    numbers = {whole: number for number, whole in enumerate(dict.fromkeys(wholes))}
    coded = [numbers[whole] for whole in wholes]
    found, left = list[_Repeat](), [(0, len(spans))]
    while left:
        start, stop = left.pop()
        best = max(_candidates(coded, start, stop), key=lambda one: (one.saved, -one.period), default=None)
        if best is not None and best.saved >= least:
            starts = range(best.start, best.start + best.slack + 1)
            _, begin = min((_ways_in(nodes, _whole(spans, at, best.period)), -at) for at in starts)
            found.append(_Repeat(-begin, best.period, best.count))
            left += [(start, found[-1].start), (found[-1].stop, stop)]
    return sorted(found, key=lambda one: one.start)


def _candidates(coded: Sequence[int], start: int, stop: int) -> Iterator[_Repeat]:
    """The longest repetitions of every period."""
    for period in range(1, (stop - start) // 2 + 1):
        at = start
        for same, run in groupby(coded[here] == coded[here + period] for here in range(start, stop - period)):
            length = len(list(run))
            if same and length >= period:
                yield _Repeat(at, period, length // period + 1, length % period)
            at += length


def _ways_in(nodes: Sequence[Node], span: Span) -> int:
    """How many values layers read from outside: a residual block reads one, cut at any other place two."""
    inside = nodes[slice(*span)]
    return len({value for node in inside for value in node.inputs} - {node.name for node in inside})


def _whole(spans: Sequence[Span], start: int, period: int) -> Span:
    return spans[start][0], spans[start + period - 1][1]


def _label(paths: Sequence[Path], first: Span, last: Span) -> str:
    """The modules of the first and of the last pattern, else the very first and the very last layer."""
    ends = [_module(paths, span) for span in (first, last)]
    if (first != last and ends[0] == ends[1]) or not all(ends):
        ends = [paths[first[0]], paths[last[1] - 1]]
    return " to ".join(dict.fromkeys(map(".".join, ends)))


def _module(paths: Sequence[Path], span: Span) -> Path:
    """The largest module that has these layers and no others; empty if there is none."""
    inside, outside = paths[slice(*span)], [*paths[: span[0]], *paths[span[1] :]]
    shared = _shared(inside)
    depths = (depth for depth in range(1, len(shared) + 1) if shared[:depth] not in {path[:depth] for path in outside})
    return shared[: next(depths, 0)]


def _shared(paths: Sequence[Path]) -> Path:
    """The names that all paths begin with."""
    levels = zip(*paths, strict=False)
    return tuple(names[0] for names in takewhile(lambda names: len(set(names)) == 1, levels))
