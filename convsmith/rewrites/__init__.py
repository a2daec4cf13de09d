"""Rewrites: rules that say a network otherwise, keeping its numbers or only its shapes."""

from __future__ import annotations

from functools import partial
from typing import Final

from convsmith.errors import ModelError, did_you_mean
from convsmith.rewrites.fold_norm import fold_norm, without_norm
from convsmith.rewrites.full_convolution import full_convolution
from convsmith.rewrites.ghost import ghost_modules, with_ghosts
from convsmith.rewrites.kernels import two_small_kernels, with_small_kernels, zero_insertion
from convsmith.rewrites.pooling import (
    global_pooling,
    pooling,
    strided_convolution,
    with_downsampling,
    with_global_pooling,
)
from convsmith.rewrites.rule import Rewritten as Rewritten
from convsmith.rewrites.rule import Rule as Rule
from convsmith.rewrites.rule import apply as apply

RULES: Final[tuple[Rule, ...]] = (
    Rule(
        "full-convolution",
        "Fully connected layers as convolutions over the whole map, so that larger images give a map of scores.",
        "numbers",
        "a flattened map followed by fully connected layers",
        "Sermanet et al., 2014; Long et al., 2015",
        full_convolution,
    ),
    Rule(
        "global-pooling",
        "The mean of each map in place of a flattened map and hidden fully connected layers.",
        "shapes",
        "a flattened map of more than one pixel, or several fully connected layers one after the other",
        "Lin et al., 2014",
        global_pooling,
        with_global_pooling,
    ),
    Rule(
        "strided-convolution",
        "A convolution of the same windows in place of pooling; average pooling keeps its numbers.",
        "shapes",
        "a pooling with a stride above one",
        "Springenberg et al., 2015",
        strided_convolution,
    ),
    Rule(
        "pooling",
        "Average pooling, then the convolution at stride one, in place of a strided convolution.",
        "shapes",
        "a convolution with a stride above one",
        "He et al., 2019",
        pooling,
        partial(with_downsampling, "avg_pool"),
    ),
    Rule(
        "fold-norm",
        "Batch normalisation folded into the layer before it.",
        "numbers",
        "a batch normalisation directly behind a convolution or a fully connected layer",
        "Jacob et al., 2018, section 3.2",
        fold_norm,
        without_norm,
    ),
    Rule(
        "two-3x3",
        "Two 3x3 convolutions in place of one 5x5: the same receptive field, fewer weights.",
        "shapes",
        "a 5x5 convolution",
        "Szegedy et al., 2016",
        two_small_kernels,
        with_small_kernels,
    ),
    Rule(
        "zero-insertion",
        "A transposed convolution as blanks between pixels and a convolution at stride one.",
        "numbers",
        "a transposed convolution, as a stride of 1/2 makes",
        "Dumoulin and Visin, 2016",
        zero_insertion,
    ),
    Rule(
        "ghost",
        "Ghost blocks of the same depth, width and stride in place of a design's blocks; elsewhere ghost modules.",
        "shapes",
        "a stage of a design whose blocks are no ghosts, and in other networks a convolution over all channels",
        "Han et al., 2020",
        ghost_modules,
        with_ghosts,
        blocks=True,
    ),
)


def find_rule(name: str) -> Rule:
    """The rule called ``name``.

    Raises:
        ModelError: If there is none; names the nearest.
    """
    known = {rule.name: rule for rule in RULES}
    if name not in known:
        remedy = did_you_mean(name, known, f"use one of {', '.join(known)}")
        raise ModelError("no such rule", received=name, remedy=remedy)
    return known[name]
