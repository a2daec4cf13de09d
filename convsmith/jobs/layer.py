"""One layer on one map, explained: everything is asked of its operator, so it is what the networks are counted by."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Any

from convsmith.analysis import ReceptiveField, connections, cost, receptive_fields
from convsmith.analysis.facts import asked, real_taps
from convsmith.analysis.weight_matrix import MOST_ENTRIES, WeightMatrix, weight_matrix
from convsmith.errors import GraphError, OpError
from convsmith.ir import Builder, Graph, Node, Op, Spread, TensorType, Terms, Window
from convsmith.jobs.layer_options import remedied
from convsmith.ops import Conv2d, ConvTranspose2d, Linear
from convsmith.ops.zero_insert import zero_inserted
from convsmith.report.formulas import size_formula

if TYPE_CHECKING:
    from convsmith.jobs.layer_check import Check

NAME = "layer"
"""Name of the layer in its graph of one node."""


@dataclass(frozen=True)
class Overlap:
    """How often each output of a transposed convolution is written along one axis.

    Attributes:
        counts: For every output position.
        period: The same over one stride, far from the edges: uneven numbers are the checkerboard (Odena et al.,
            "Deconvolution and Checkerboard Artifacts", 2016).
    """

    counts: tuple[int, ...]
    period: tuple[int, ...]

    @property
    def even(self) -> bool:
        """Whether every output far from the edges is written equally often."""
        return len(set(self.period)) == 1


@dataclass(frozen=True)
class Dense:
    """The fully connected layer from the same input to the same output."""

    params: int
    connections: int


@dataclass(frozen=True, eq=False)
class Layer:
    """What one layer does to one map; each fact is worked out when it is first asked for.

    Attributes:
        command: The command that explains it: ``conv`` or ``pool``.
        op: The operator.
        input: Type of the map, of a batch of one.
        shows_matrix: Whether ``to_dict`` holds the matrix.

    Raises:
        OpError: If the operator cannot take the map.
    """

    command: str
    op: Op
    input: TensorType
    shows_matrix: bool = False

    def __post_init__(self) -> None:
        try:
            self.op.infer(self.input)
        except OpError as error:
            raise remedied(error, self.command) from error

    @cached_property
    def graph(self) -> Graph:
        """The layer as a network."""
        net = Builder(self.command)
        return net.graph(net.add(self.op, net.input(self.input), name=NAME))

    @property
    def node(self) -> Node:
        """The layer in its graph."""
        return self.graph.node(NAME)

    @property
    def output(self) -> TensorType:
        """Type of the output, of a batch of one."""
        return self.graph.types[NAME]

    @cached_property
    def windows(self) -> tuple[Window, Window]:
        """What one output reads along height and width; a global pool has one window as large as the map."""
        high, wide = (
            Window(size) if isinstance(read, Spread) else read
            for read, size in zip(self.op.window(self.input), self.input.shape[2:], strict=True)
        )
        return high, wide

    @property
    def formulas(self) -> tuple[str, str]:
        """How the height and the width of the output come about, with the numbers."""
        high, wide = (
            size_formula(window, size) for window, size in zip(self.windows, self.input.shape[2:], strict=True)
        )
        return high, wide

    @property
    def formula(self) -> str:
        """The same as one line, both axes where they differ."""
        high, wide = self.formulas
        return high if high == wide else f"height {high}; width {wide}"

    @cached_property
    def dropped(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Rows and columns of the input that no window reads, counted from 0."""
        rows, columns = (
            _zeros(window.covered(size), size) for window, size in zip(self.windows, self.input.shape[2:], strict=True)
        )
        return rows, columns

    @cached_property
    def field(self) -> ReceptiveField:
        """What one output sees of the map."""
        return receptive_fields(self.graph)[NAME]

    @property
    def unreached(self) -> tuple[int, int]:
        """Rows and columns of the padding after the map that no window reaches."""
        high, wide = (
            min(window.remainder(size), max(0, window.after))
            for window, size in zip(self.windows, self.input.shape[2:], strict=True)
        )
        return high, wide

    @property
    def params(self) -> int:
        """Numbers that are learned."""
        return cost(self.graph).params

    @property
    def terms(self) -> Terms:
        """The work, by kind."""
        return self.op.terms(self.input)

    @property
    def real_macs(self) -> int:
        """Multiply-adds with pixels, those with zeros of the padding left out."""
        return real_taps(*asked(self.graph, self.node))

    @property
    def blank_macs(self) -> int | None:
        """Multiply-adds of the zero insertion that does the same, zeros included; None for what inserts none."""
        lowered = self.zero_insertion
        return None if lowered is None else cost(lowered).macs

    @property
    def connections(self) -> int:
        """Pairs of an output and an input that it reads."""
        return connections(self.graph, self.node)

    @property
    def dense(self) -> Dense:
        """What it would take without sharing and locality."""
        pixels, values = self.input.numel, self.output.numel
        full, flat = Linear(pixels, values, getattr(self.op, "bias", False)), TensorType((1, pixels))
        net = Builder("dense")
        counted = cost(net.graph(net.add(full, net.input(flat), name=NAME)))
        return Dense(counted.params, counted.macs)

    @cached_property
    def overlap(self) -> tuple[Overlap, Overlap] | None:
        """How often the outputs of a transposed convolution are written, along height and width."""
        if not isinstance(self.op, ConvTranspose2d):
            return None
        high, wide = (_overlap(window, size) for window, size in zip(self.windows, self.input.shape[2:], strict=True))
        return high, wide

    @property
    def matching(self) -> Layer | None:
        """The convolution whose matrix is the transpose of this one's; None where there is none.

        A transposed convolution has one: the same kernel, from this one's output to its input.
        """
        op = self.op
        if not isinstance(op, ConvTranspose2d):
            return None
        down, right = op.padding
        channels = (op.out_channels, op.in_channels, op.kernel_size, op.stride)
        conv = Conv2d(*channels, ((down, down), (right, right)), op.dilation, op.groups, bias=False)
        return Layer(self.command, conv, self.output)

    @property
    def zero_insertion(self) -> Graph | None:
        """A transposed convolution as blanks between the pixels, a margin, and a convolution of stride one."""
        if not isinstance(self.op, ConvTranspose2d):
            return None
        net = Builder("zero_insertion")
        blanks, margin, conv = zero_inserted(self.op)
        x = net.add(margin, net.add(blanks, net.input(self.input), name="blanks"), name="margin")
        return net.graph(net.add(conv, x, name=NAME))

    @cached_property
    def matrix(self) -> WeightMatrix:
        """C of Y = CX, with the number of a weight in each entry.

        Raises:
            OpError: If the layer is not linear, or the matrix would have too many entries.
        """
        if self.connections > MOST_ENTRIES:
            rule = f"the matrix must have at most {MOST_ENTRIES:,} entries"
            remedy = "take a smaller map or fewer channels: its rows repeat from pixel to pixel"
            raise OpError(rule, received=self.connections, where=self.command, remedy=remedy)
        try:
            return weight_matrix(self.graph, self.node)
        except GraphError as error:
            remedy = "leave the matrix out, or take average pooling"
            raise OpError(error.rule, received=error.received, where=self.command, remedy=remedy) from error

    def check(self, seed: int = 0) -> Check:
        """The layer computed by a plain loop, by C and by torch, in float64, on random numbers.

        Raises:
            OpError: If there is too much to do for a plain loop.
        """
        from convsmith.jobs.layer_check import check  # noqa: PLC0415  # torch, which only this needs

        return check(self, seed)

    def to_dict(self) -> dict[str, Any]:
        """The ``--json`` contract; sizes are (height, width), rows and columns are counted from 0."""
        rows, columns = self.dropped
        settings = {name: _plain(value) for name, value in vars(self.op).items()}
        facts: dict[str, Any] = {
            "op": type(self.op).__name__,
            "settings": settings,
            "input": list(self.input.shape[1:]),
            "output": list(self.output.shape[2:]),
            "output_shape": list(self.output.shape[1:]),
            "formula": self.formula,
            "dropped": {"rows": list(rows), "columns": list(columns)},
            "params": self.params,
            "macs": self.terms.macs,
            "macs_without_padding": self.real_macs if self.terms.macs else 0,
            "terms": self.terms.to_dict(),
            "connections": self.connections,
            "dense": dict(vars(self.dense)),
            "receptive_field": self.field.to_dict(),
        }
        if self.overlap is not None:
            high, wide = self.overlap
            facts["macs_with_blanks"] = self.blank_macs
            facts["overlap"] = {
                "rows": list(high.counts),
                "columns": list(wide.counts),
                "even": high.even and wide.even,
            }
        if self.shows_matrix:
            facts["matrix"] = self.matrix.to_dict()
        return facts


def _zeros(mask: int, size: int) -> tuple[int, ...]:
    """The places below ``size`` where a bit mask has no one."""
    return tuple(place for place, bit in enumerate(f"{mask:0{size}b}"[::-1]) if bit == "0")


def _overlap(window: Window, size: int) -> Overlap:
    blanks = window.stride.denominator
    inner = Window(window.kernel, Fraction(1, blanks), dilation=window.dilation)
    enough = (inner.extent + 2 * blanks) // blanks + 1  # so many pixels that a whole period has no edge in sight
    return Overlap(window.output_uses(size), inner.output_uses(enough)[:blanks])


def _plain(value: Any) -> Any:
    return [_plain(one) for one in value] if isinstance(value, tuple) else value  # pyright: ignore[reportUnknownVariableType]
