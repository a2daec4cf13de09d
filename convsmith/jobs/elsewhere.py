"""What another process, or another machine, needs to know to train the networks of a search."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from convsmith import __version__
from convsmith.data import Images, open_images, split_images
from convsmith.errors import DataError, RunError
from convsmith.interop.weights import Weights
from convsmith.jobs.lab import Lab
from convsmith.jobs.settings import RecipeFor
from convsmith.training.events import Log
from convsmith.training.progress import Progress
from convsmith.training.setup import Setup


@dataclass(frozen=True, eq=False)
class Order:
    """All that is common to the trainings of a search.

    Attributes:
        images: Where the images are, under the same name everywhere.
        digest: What they must be.
        seed: Of the split.
        recipe_for: How all are trained.
        setup: How this is computed.
        starts: Weights that candidates start from.
        version: Of convsmith.
    """

    images: str
    digest: str
    seed: int
    recipe_for: RecipeFor
    setup: Setup
    starts: Mapping[str, Weights]
    version: str = __version__

    @classmethod
    def of(
        cls,
        source: str | Path,
        images: Images,
        seed: int,
        recipe_for: RecipeFor,
        setup: Setup,
        starts: Mapping[str, Weights],
    ) -> Order:
        """The order for images that were opened from a source; a folder is named by its whole name."""
        place = str(Path(source).absolute()) if os.path.exists(source) else str(source)
        return cls(place, images.digest, seed, recipe_for, setup, starts)


def make_lab(
    order: Order, weights: Path, events: Log | None = None, watch: Callable[[Progress], None] = lambda _: None
) -> Lab:
    """The laboratory of this process, for what was ordered by another; finals keep their weights in ``weights``.

    Raises:
        ConvsmithError: If the images or the version are not those of the search.
    """
    if order.version != __version__:
        rule = "all machines must have the same convsmith"
        raise RunError(rule, received=__version__, remedy=f"install {order.version}")
    images = open_images(order.images)
    if images.digest != order.digest:
        rule, remedy = "the images must be the same on all machines", "copy them to the same place"
        raise DataError(rule, where=order.images, remedy=remedy)
    split = split_images(images, seed=order.seed)
    lab = Lab(images, split, order.recipe_for, weights, events, watch, order.starts)
    lab.setup = order.setup
    return lab
