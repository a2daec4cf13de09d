"""Do the 95 % intervals of a search's finals hold the truth in 95 % of cases?

Three networks of known accuracy are judged on the same images with a few seeds each, as the finals of a search are.
What makes an image hard is shared by all, seeds differ by a normal effect, and the rest is chance. `pooled` is what the
report says (`judge`: how far seeds lie apart is taken from all three), `alone` what `compare` says of two networks by
themselves, `one` an accuracy alone, `unequal` the pooled figure where one network's seeds differ by three times as much
as the others', `chosen` the accuracy that is reported of the chosen one. `width` is the median width over that which
the true spread of the differences asks for.

    python benchmarks/intervals.py [--repeats 400]
"""

from __future__ import annotations

import argparse
import itertools
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import harness
import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from convsmith.search.candidate import Candidate, Outcome, Training, Work
from convsmith.search.statistics import compare, estimate, judge, spread_by_seed

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.search.world import make_candidate

TRUTHS: Final = (0.92, 0.91, 0.90)
SEEDS: Final = (2, 3, 5)
CASES: Final = ((360, 0.0), (360, 0.005), (2_000, 0.003), (2_000, 0.006), (10_000, 0.002), (10_000, 0.006))
"""Test images, and standard deviation of an accuracy from seed to seed beyond what the images explain."""
OWN: Final = 0.4
"""Share of what makes an answer right or wrong that is neither the image's nor the seed's."""


def finals(
    candidate: Candidate,
    truth: float,
    seeds: int,
    hardness: NDArray[np.float64],
    spread: float,
    rng: np.random.Generator,
) -> list[Training]:
    """Trainings of a network that is right on ``truth`` of all images in the mean of all seeds."""
    level, images = norm.ppf(truth), len(hardness)
    steep = spread / norm.pdf(level)
    shift = steep * rng.standard_normal((seeds, 1))
    score = math.sqrt(1 - OWN) * hardness + math.sqrt(OWN) * rng.standard_normal((seeds, images))
    right = score < level * math.sqrt(1 + steep**2) + shift
    return [
        Training(
            Work(candidate, 1_000, number, True),
            Outcome(float(row.mean()), 0.1, 1.0, 1_000, np.packbits(row).tobytes(), images),
        )
        for number, row in enumerate(right, start=1)
    ]


def covers(estimate: Any, truth: float) -> bool:
    """Whether an interval holds the truth."""
    return estimate.low <= truth <= estimate.high


def case(seeds: int, images: int, spread: float, repeats: int) -> dict[str, Any]:
    """One row of the table."""
    rng = np.random.default_rng([seeds, images, round(1e4 * spread)])
    networks = [make_candidate(number, f"draw:{number}", "depth") for number in range(len(TRUTHS))]
    held: dict[str, list[bool]] = {name: [] for name in ("pooled", "alone", "one", "unequal", "chosen")}
    widths, differences = list[float](), list[float]()
    for repeat in range(repeats):
        hardness = rng.standard_normal(images)

        def of(spreads: Sequence[float], hardness: NDArray[np.float64] = hardness) -> list[list[Training]]:
            each = zip(networks, TRUTHS, spreads, strict=True)
            return [finals(network, truth, seeds, hardness, own, rng) for network, truth, own in each]

        trainings = of([spread] * 3)
        pooled = spread_by_seed([*itertools.chain(*trainings)])
        made = compare(trainings[0], trainings[1], seed=repeat, by_seed=pooled)
        truth = TRUTHS[0] - TRUTHS[1]
        held["pooled"].append(covers(made, truth))
        held["alone"].append(covers(compare(trainings[0], trainings[1], seed=repeat), truth))
        rows = np.stack([np.unpackbits(np.frombuffer(one.outcome.correct or b"", np.uint8))[:images]
                         for one in trainings[0]]).astype(np.float64)  # fmt: skip
        held["one"].append(covers(estimate(rows, seed=repeat), TRUTHS[0]))
        judgement = judge([*itertools.chain(*trainings)], seed=repeat)
        held["chosen"].append(covers(judgement.accuracy, TRUTHS[networks.index(judgement.chosen.candidate)]))
        widths.append(made.high - made.low)
        differences.append(made.difference)
        unequal = of([2 * spread, 2 * spread / 3, 2 * spread / 3])
        made = compare(unequal[0], unequal[1], seed=repeat, by_seed=spread_by_seed([*itertools.chain(*unequal)]))
        held["unequal"].append(covers(made, truth))
    needed = 2 * norm.ppf(0.975) * float(np.std(differences))
    row = {name: float(np.mean(values)) for name, values in held.items()}
    return {"seeds": seeds, "images": images, "spread": spread, **row, "width": float(np.median(widths)) / needed}


def main() -> None:
    """Make the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=400)
    repeats = parser.parse_args().repeats
    rows = [case(seeds, images, spread, repeats) for seeds in SEEDS for images, spread in CASES]
    harness.write("intervals", {"repeats": repeats, "truths": TRUTHS, "own": OWN, "rows": rows})


if __name__ == "__main__":
    main()
