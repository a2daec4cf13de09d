"""Are layers of one stage alike and layers of different stages not? The tutorial's claim, on trained networks.

A residual, an inverted residual and a ghost network of three stages of three blocks, three seeds each, six passes over
photographs; then the mean CKA of pairs of layers inside stages less that of pairs across, and the same among pairs that
are equally many layers apart: neighbours are alike in any network, and what is left there is due to the border. Beside
it the share of the variance of half of a layer's channels that a linear map from the other half restores, the mean of
all layers. An interval is over seeds, so it covers the network; that of ``convsmith similarity`` covers the choice of
the images.

python benchmarks/similarity.py cifar10-20k    # goes on where it was stopped; --so-far writes what is done
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import harness
import trainings
from nets import net

from convsmith.analysis import cost
from convsmith.data import open_images
from convsmith.design import lower
from convsmith.jobs.similarity import similarity
from convsmith.jobs.train import train

SEEDS = range(3)
EPOCHS, IMAGES = 6, 512
NETWORKS = {
    "residual": net("residual", widths=(8, 16, 32)),
    "inverted residual": net("inverted_residual", widths=(8, 16, 32), expansion=4.0),
    "ghost": net("ghost", widths=(8, 16, 32)),
}
FIGURES = ("within", "between", "difference", "at_same_distance")


def one(folder: Path, arm: str, seed: int) -> trainings.Row:
    with tempfile.TemporaryDirectory() as scratch:
        run = train(NETWORKS[arm], folder, epochs=EPOCHS, seed=seed, out=Path(scratch) / "run")
        view = similarity(run.folder, folder / "test", count=IMAGES)
    assert view.contrast is not None
    restored = [part.restored for part in view.ghostable if part.restored is not None]
    return {
        "accuracy": run.report["accuracy"]["test"],
        **{figure: getattr(view.contrast, figure) for figure in FIGURES},
        "interval over images": view.contrast.interval,
        "restored": statistics.fmean(restored),
    }


def figures(found: Mapping[trainings.Job, trainings.Row], arm: str) -> dict[str, Any]:
    rows = [row for (name, _), row in found.items() if name == arm]
    kept = ("accuracy", *FIGURES, "restored")
    return {figure: trainings.interval([row[figure] for row in rows if row[figure] is not None]) for figure in kept}


def main() -> None:
    jobs = [(arm, seed) for seed in SEEDS for arm in NETWORKS]
    found = trainings.gather("similarity", __doc__, jobs, one, lambda folder: open_images(folder, side=32))
    harness.write(
        "similarity",
        {
            "trainings": {"done": len(found), "planned": len(jobs)},
            "macs": {name: cost(lower(design)).macs for name, design in NETWORKS.items()},
            "images compared": IMAGES,
            "networks": {name: figures(found, name) for name in NETWORKS},
        },
    )


if __name__ == "__main__":
    main()
