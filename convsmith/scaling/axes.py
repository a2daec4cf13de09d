"""Scaling a design along depth, width and resolution."""

from __future__ import annotations

import math
from dataclasses import dataclass

from convsmith.design import Design
from convsmith.design.layers import round_width as round_width
from convsmith.errors import DesignError


@dataclass(frozen=True)
class Factors:
    """What depth, width and resolution are multiplied by; the work grows as ``depth * width**2 * resolution**2``."""

    depth: float = 1.0
    width: float = 1.0
    resolution: float = 1.0

    def shares(self) -> tuple[float, float, float]:
        """Shares of depth, width and resolution in the logarithm of the work; they add up to one, or are all zero."""
        logs = (math.log(self.depth), 2 * math.log(self.width), 2 * math.log(self.resolution))
        total = sum(logs)
        return (logs[0] / total, logs[1] / total, logs[2] / total) if abs(total) > 1e-9 else (0.0, 0.0, 0.0)


def scale(design: Design, factors: Factors, *, quantum: int = 0) -> Design:
    """Multiply depth, width and resolution, rounded as EfficientNet rounds (Tan and Le, 2019).

    Depths round up. Widths of the stem, the stages and the head's convolution go to the nearest multiple of
    ``quantum``, but never lose more than a tenth to it; zero takes the largest of 8, 4, 2, 1 that divides them all.

    Raises:
        DesignError: If a factor is not above zero.
    """
    for name, factor in vars(factors).items():
        if not factor > 0:
            raise DesignError(f"factor of {name} must be above zero", received=factor, where=design.name)
    step = quantum or width_quantum(design)
    _, height, width = design.input
    resized = with_resolution(design, round(height * factors.resolution), round(width * factors.resolution))
    deeper = with_depths(resized, tuple(math.ceil(stage.depth * factors.depth - 1e-9) for stage in design.stage))
    return with_widths(deeper, tuple(round_width(w * factors.width, step) for w in widths_of(design)))


def width_quantum(design: Design) -> int:
    """Largest of 8, 4, 2, 1 that divides every width of ``design``."""
    return math.gcd(8, *widths_of(design))


def widths_of(design: Design) -> tuple[int, ...]:
    """Widths that scaling changes: the stem's, each stage's, and the head's convolution where it has one."""
    head = design.head.options.get("conv_width", 0)
    return (design.stem.width, *(stage.width for stage in design.stage), *([head] if head else []))


def with_widths(design: Design, widths: tuple[int, ...]) -> Design:
    """The design with other widths, in the order of ``widths_of``."""
    stages = tuple(s.model_copy(update={"width": w}) for s, w in zip(design.stage, widths[1:], strict=False))
    head = design.head.model_copy(update={"conv_width": widths[-1]}) if len(widths) > 1 + len(stages) else design.head
    stem = design.stem.model_copy(update={"width": widths[0]})
    return design.model_copy(update={"stem": stem, "stage": stages, "head": head})


def with_depths(design: Design, depths: tuple[int, ...]) -> Design:
    """The design with other depths."""
    stages = tuple(s.model_copy(update={"depth": depth}) for s, depth in zip(design.stage, depths, strict=True))
    return design.model_copy(update={"stage": stages})


def total_depth(design: Design) -> int:
    """Number of blocks in all stages."""
    return sum(stage.depth for stage in design.stage)


def with_total_depth(design: Design, total: int) -> Design:
    """The design with ``total`` blocks, in the proportions it has, at least one in each stage."""
    exact = [stage.depth * total / total_depth(design) for stage in design.stage]
    depths = [max(1, math.floor(depth)) for depth in exact]
    while sum(depths) < total:
        short = max(range(len(depths)), key=lambda number: exact[number] - depths[number])
        depths[short] += 1
    while sum(depths) > max(total, len(depths)):
        long = max(range(len(depths)), key=lambda number: (depths[number] > 1, depths[number] - exact[number]))
        depths[long] -= 1
    return with_depths(design, tuple(depths))


def with_resolution(design: Design, height: int, width: int) -> Design:
    """The design for another size of image."""
    return design.model_copy(update={"input": (design.input[0], height, width)})


def factors_between(before: Design, after: Design) -> Factors:
    """What depth, width and resolution were multiplied by, all rounding included; widths by their geometric mean."""
    ratios = [math.log(b / a) for a, b in zip(widths_of(before), widths_of(after), strict=True)]
    pixels = after.input[1] * after.input[2] / (before.input[1] * before.input[2])
    return Factors(total_depth(after) / total_depth(before), math.exp(sum(ratios) / len(ratios)), math.sqrt(pixels))
