"""What each kind of block is worth: equal multiply-adds, and equal time as measured here, five seeds each.

The networks are those of ``networks.py``; each sees 20,000 photographs by the recipe that ``fit`` uses. A difference
is the mean over seeds of a family's accuracy less that of the residual network with the same budget, on the same seed:
the same order and the same draws.

python benchmarks/blocks/families.py cifar10-20k    # goes on where it was stopped; --so-far writes what is done
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import harness
import trainings
from accuracy import load
from networks import ARMS, FAMILIES, REFERENCE, design_of, kept
from recipe import MUON, Case, judged

SEEDS = range(5)
IMAGES = 20_000


def one(folder: Path, arm: str, seed: int) -> trainings.Row:
    return judged(Case(design_of(arm), images=IMAGES), MUON, *load(folder), seed)


def prepare(folder: Path) -> None:
    load(folder)
    kept()


def main() -> None:
    jobs = [(arm, seed) for seed in SEEDS for arm in ARMS]
    found = trainings.gather("blocks", __doc__, jobs, one, prepare)
    networks = kept()

    def row(family: str, equal: str) -> dict[str, Any]:
        arm, base = f"{family} | {equal}", f"{REFERENCE} | {equal}"
        return {
            **{key: value for key, value in networks[arm].items() if key != "design"},
            "accuracy": trainings.over_seeds(found, arm, SEEDS),
            f"above {REFERENCE}": trainings.over_seeds(found, arm, SEEDS, above=base),
        }

    harness.write(
        "blocks",
        {
            "trainings": {"done": len(found), "planned": len(jobs)},
            "images seen": IMAGES,
            "recipe": MUON.to_dict(),
            **{f"equal {equal}": {family: row(family, equal) for family in FAMILIES} for equal in ("macs", "latency")},
        },
    )


if __name__ == "__main__":
    main()
