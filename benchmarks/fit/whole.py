"""The main job on real photographs: what `fit` reaches, beside every named rule at the same budget and recipe.

Figures go into ``results/fit-NAME.json``; the picture, with the map of shares, into ``NAME.png`` beside this file.

python benchmarks/fit/whole.py FOLDER --macs 8000000 --minutes 30 --name cifar10-20k
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import harness

from convsmith.jobs.fit import fit

KEPT = (
    "sentence", "budget", "chosen", "accuracy", "delivered", "ties", "rules", "candidates", "plan", "notes", "recipe",
    "seconds",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images")
    parser.add_argument("--macs", type=int, required=True)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    out = arguments.out or Path(tempfile.mkdtemp()) / "run"
    found = fit(
        arguments.images, macs=arguments.macs, minutes=arguments.minutes, out=out, seed=arguments.seed, tell=print
    )
    report = found.report
    data = {key: report["data"][key] for key in ("images", "train", "select", "test", "side", "channels")}
    harness.write(f"fit-{arguments.name}", {**{key: report[key] for key in KEPT}, "data": data, "seed": arguments.seed})
    shutil.copy(out / "results.png", Path(__file__).with_name(f"{arguments.name}.png"))
    if arguments.out is None:
        shutil.rmtree(out.parent)


if __name__ == "__main__":
    main()
