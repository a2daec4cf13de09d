"""The tutorial's figure, measured: depth, width and resolution raised alone and together, from one small base.

The base is a residual network of a block a stage at half the images' side, so that the resolution can be doubled.
Figures go into ``results/fit_saturation.json``, the picture into ``saturation.png`` beside this file.

python benchmarks/fit/saturation.py FOLDER --minutes 60 --out RUN    # goes on where it was stopped
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import harness
from nets import net

from convsmith.jobs.curves import curves

BASE = net("residual", depth=1, widths=(8, 16, 32))
KEPT = ("sentence", "base", "curves", "ladder", "margin", "budget", "plan", "notes", "recipe", "seconds", "seed")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images")
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    found = curves(
        BASE,
        given.images,
        resolution=0.5,
        minutes=given.minutes,
        out=given.out,
        resume=given.out.exists(),
        tell=print,
    )
    harness.write("fit_saturation", {key: found.report[key] for key in KEPT})
    shutil.copy(given.out / "results.png", Path(__file__).with_name("saturation.png"))


if __name__ == "__main__":
    main()
