"""A world in which the loss of a network is a power law of its depth, its width and the images it saw."""

from __future__ import annotations

import math

import numpy as np

from convsmith.search.candidate import Candidate, Outcome, Training, Work

FULL = 100_000


def log_loss(candidate: Candidate, images: int, *, slow: float = 0.0) -> float:
    """Power laws of depth and width, a family that is worse, and deep networks that learn more slowly."""
    design = candidate.design
    depth = sum(stage.depth for stage in design.stage)
    width = np.prod([stage.width for stage in design.stage]) ** (1 / len(design.stage))
    end = 0.5 + 1.0 / depth + 4.0 / width + 0.1 * (design.stage[0].block == "inverted_residual")
    return end * (images / FULL) ** -(0.3 + slow * math.log(depth / 8))


def trained(candidate: Candidate, images: int, loss: float) -> Training:
    return Training(Work(candidate, images, 0, False), Outcome(0.5, loss, 1.0, images, None, 1000))
