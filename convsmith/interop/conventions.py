"""How the field counts: what each tool and each habit adds up, so that every published number can be named.

The ledger (``convsmith.ir.Terms``) keeps every kind of work apart. A convention is a table of weights on it, and of
what a tool sees at all: some tools hook torch.nn modules and miss functions, one hooks both and counts some work
twice. ``docs/counting.md`` tells the differences on one network.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from convsmith.interop import counters
from convsmith.interop.counters import FLOPS, MACS, NOTHING, Call, Rules, ledger
from convsmith.ir import Graph, Op
from convsmith.ops import MaxPool2d, ScaledDotProductAttention


@dataclass(frozen=True)
class Convention:
    """What a tool, or a habit of the field, adds up.

    Attributes:
        name: As it is quoted.
        description: One sentence.
        rules: What each operator counts.
        hooks: The torch.nn classes that the tool knows; None if it sees whatever runs.
        others: What each operator counts where none of ``hooks`` ran it.
    """

    name: str
    description: str
    rules: Rules
    hooks: frozenset[str] | None = None
    others: Rules = field(default_factory=lambda: {Op: NOTHING})

    def count(self, call: Call) -> int:
        """What it counts for one use of an operator."""
        known = self.hooks is None or call.by is None or call.by in self.hooks
        rules = self.rules if known else self.others
        return rules.get(type(call.op), rules[Op])(call)


def _by_name(*conventions: Convention) -> Mapping[str, Convention]:
    return MappingProxyType({convention.name: convention for convention in conventions})


CONVENTIONS: Final = _by_name(
    Convention(
        "macs",
        "Multiply-adds of convolutions, linear layers and products of activations, zeros of the padding included.",
        {Op: MACS},
    ),
    Convention("flops", "Twice the macs: a multiplication and an addition each, as torch counts.", {Op: FLOPS}),
    Convention("torchvision", "The macs, which torchvision's pages print under the title GFLOPS.", {Op: MACS}),
    Convention(
        "pycls",
        "The macs and an addition for each output element of a layer with a bias.",
        {Op: ledger(taps=1, attention=1, bias=1)},
    ),
    Convention(
        "fvcore",
        "fvcore 0.1.5: macs, 2 per element of a batch norm, 5 of another norm, 1 per input of adaptive mean pooling.",
        counters.FVCORE,
    ),
    Convention(
        "thop",
        "thop 0.1.1: macs, 4 per element of a norm, mean pooling; torch.nn modules only, functions are missed.",
        counters.THOP,
        hooks=counters.THOP_MODULES,
    ),
    Convention(
        "ptflops",
        "ptflops 0.7.5, default backend: macs, bias, 2 per element of a batch norm, twice most pools and activations.",
        counters.PTFLOPS,
        hooks=counters.PTFLOPS_MODULES,
        others=counters.PTFLOPS_FUNCTIONS,
    ),
)
"""The conventions in which a total can be asked for, by name."""

QUOTED: Final = _by_name(
    Convention("flops with bias", "The flops and an addition per bias.", {Op: ledger(taps=2, attention=2, bias=1)}),
    Convention("twice pycls", "Two for each of the macs and each bias.", {Op: ledger(taps=2, attention=2, bias=2)}),
    Convention("macs with norm", "The macs and 1 per normalised element.", {Op: ledger(taps=1, attention=1, norm=1)}),
    Convention("macs with 2 norm", "The macs and 2 per normalised element.", {Op: ledger(taps=1, attention=1, norm=2)}),
    Convention(
        "macs of convolutions",
        "The macs without those of linear layers and of products of activations.",
        {Op: NOTHING, **dict.fromkeys(counters.CONVS, MACS)},
    ),
    Convention(
        "flops of convolutions",
        "Twice the macs of convolutions.",
        {Op: NOTHING, **dict.fromkeys(counters.CONVS, FLOPS)},
    ),
    Convention("ledger", "Every term of the ledger once.", {Op: counters.every_term}),
    Convention(
        "ledger in flops",
        "Every term of the ledger once, the macs twice.",
        {Op: counters.together(counters.every_term, MACS)},
    ),
    Convention(
        "thop 0.0.31",
        "thop up to 0.0.31: macs, bias of convolutions, 2 per element of a batch norm, mean pooling; modules only.",
        counters.THOP_OLD,
        hooks=counters.THOP_MODULES,
    ),
    Convention(
        "ptflops 0.7",
        "ptflops up to 0.7: as 0.7.5, but torch.nn modules only and nothing twice.",
        counters.PTFLOPS_OLD,
        hooks=counters.PTFLOPS_MODULES,
    ),
    Convention(
        "ptflops aten",
        "ptflops 0.7.5, backend aten: macs and bias, attention in one piece left out.",
        {Op: ledger(taps=1, attention=1, bias=1), ScaledDotProductAttention: NOTHING},
    ),
    Convention(
        "torchinfo",
        "torchinfo 1.8.0: the parameters of a convolution for each output pixel, those of any other layer once.",
        counters.TORCHINFO,
    ),
    Convention(
        "calflops",
        "calflops 0.3.2, its FLOPs: 2 macs, bias of convolutions, norms, pools and most activations.",
        counters.CALFLOPS,
    ),
    Convention("activations", "Output elements of layers with weights.", {Op: counters.written_by_taps}),
    Convention(
        "activations of pycls",
        "Output elements of layers with weights and of max pooling.",
        {Op: counters.written_by_taps, MaxPool2d: counters.written},
    ),
)
"""What else is quoted for networks, by name; ``matching`` looks here too."""


def totals(graph: Graph, called: Mapping[str, str] | None = None) -> dict[str, int]:
    """The total of a network in every one of ``CONVENTIONS``, by name.

    Args:
        graph: The network, as it was read.
        called: What ran each node of a torch module, as in ``Reading.called``: tools that hook modules miss
            functions. Left out, every operator is run by its usual torch.nn module.

    Raises:
        OpError: If the network does not fit its input types.
    """
    return _sums(CONVENTIONS, graph, called)


def quoted(graph: Graph, called: Mapping[str, str] | None = None) -> dict[str, int]:
    """The same for ``QUOTED``, with ``params`` and ``params without norm``: those that folding norms away leaves.

    Raises:
        OpError: If the network does not fit its input types.
    """
    norms = {node.name for node in graph.nodes if node.op.terms(*graph.input_types(node)).norm}
    params = {name: math.prod(shape) for name, shape in graph.param_shapes.items()}
    left = sum(count for name, count in params.items() if name.rpartition(".")[0] not in norms)
    return _sums(QUOTED, graph, called) | {"params": sum(params.values()), "params without norm": left}


def matching(graph: Graph, number: int, called: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Names of the ``totals`` of a network, and of what else is ``quoted`` for it, that are exactly ``number``.

    A total that takes every operator to be run by its torch.nn module, where ``called`` says otherwise, says so.

    Raises:
        OpError: If the network does not fit its input types.
    """
    found = [name for name, total in (totals(graph, called) | quoted(graph, called)).items() if total == number]
    if called is not None:
        found += [f"{name}, if run by torch.nn modules" for name in matching(graph, number) if name not in found]
    return tuple(found)


def _sums(conventions: Mapping[str, Convention], graph: Graph, called: Mapping[str, str] | None) -> dict[str, int]:
    types = graph.types
    calls = Counter(
        Call(node.op, graph.input_types(node), types[node.name], None if called is None else called.get(node.name, ""))
        for node in graph.nodes
    )
    return {
        name: sum(times * convention.count(call) for call, times in calls.items())
        for name, convention in conventions.items()
    }
