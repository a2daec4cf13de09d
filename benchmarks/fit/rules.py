"""What every named rule makes of the budget of a whole ``fit``, trained as long as what that ``fit`` handed over.

A rule costs no search, so all of the time could go into its one training. Where a training may be no longer, as after
100 passes, it has nothing to spend the rest on: this is then the rule in equal time. The network that was handed over
is trained again beside them, all alike on one thread. Differences are paired by image; of seeds there is one.

python benchmarks/fit/rules.py FOLDER --name cifar10-20k [--so-far]    # goes on where it was stopped
"""

from __future__ import annotations

import argparse
import functools
import json
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).parents[1]))

import harness
import numpy as np
import trainings
from table import bits, trained

from convsmith.data import open_images, split_images
from convsmith.design import parse_design

CHOSEN: Final = "chosen"


def one(designs: Mapping[str, str], split_seed: int, folder: Path, arm: str, seed: int) -> trainings.Row:
    key, length = arm.split(" | ")
    images = open_images(folder)
    split = split_images(images, seed=split_seed)
    return trained(parse_design(designs[key]), images, split, split.test, int(length), seed)


def compared(row: trainings.Row, chosen: trainings.Row, count: int) -> dict[str, Any]:
    """Accuracy, and by how much that of the network handed over is above, with the interval of the test images."""
    ours, theirs = (bits(one, count).astype(np.float64) for one in (chosen, row))
    above = ours - theirs
    half = 1.96 * float(above.std()) / math.sqrt(count)
    mean = float(above.mean())
    return {"accuracy": float(theirs.mean()), "chosen above": {"mean": mean, "low": mean - half, "high": mean + half}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--name", required=True)
    parser.add_argument("--so-far", action="store_true")
    given = parser.parse_args()
    found = json.loads((harness.RESULTS / f"fit-{given.name}.json").read_text(encoding="utf-8"))
    name, seed, test = f"fit-{given.name}-rules", found["delivered"]["seed"], found["data"]["test"]
    rules = sorted(found["rules"].items(), key=lambda item: -item[1]["accuracy"])  # those that stand best first
    networks = {CHOSEN: found["chosen"], **{rule: row for rule, row in rules if not row["failure"]}}
    arms = {rule: f"{network['key']} | {found['delivered']['images']}" for rule, network in networks.items()}
    done = trainings.done(name)
    if not given.so_far:
        designs = {network["key"]: network["design"] for network in networks.values()}
        jobs = [(arm, seed) for arm in dict.fromkeys(arms.values())]
        done = trainings.run(name, jobs, functools.partial(one, designs, found["seed"], given.folder))
    rows = {rule: done[arm, seed] for rule, arm in arms.items() if "right" in done.get((arm, seed), {})}
    if CHOSEN not in rows:
        sys.exit("the network that was handed over is to be trained first")
    table = {rule: compared(row, rows[CHOSEN], test) for rule, row in rows.items()}
    progress = {"done": len(rows), "planned": len(arms)}
    harness.write(name, {"images": found["delivered"]["images"], "trainings": progress, "networks": table})


if __name__ == "__main__":
    main()
