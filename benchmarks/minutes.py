"""Is ``--minutes`` kept? Wall-clock time of whole processes, from start to exit, over the time that was asked for.

``train`` and ``fit`` on the embedded digits and ``train`` on photographs, each as a user starts it; the cache of a
first run is empty, that of the later ones is not.

python benchmarks/minutes.py cifar10-20k
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import harness
from nets import NETS, net

from convsmith.design import Design, write_design

DIGITS = net("residual", depth=1, widths=(8, 16), input=(1, 8, 8))
GOAL = 0.03


def took(command: list[str], minutes: float, cache: str, out: Path) -> dict[str, Any]:
    environment = {**os.environ, "CONVSMITH_CACHE": cache}
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "convsmith", *command, "--minutes", str(minutes), "--out", str(out)],
        check=True,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    seconds = time.perf_counter() - start
    return {"asked": 60 * minutes, "took": seconds, "off by": seconds / (60 * minutes) - 1}


def train(design: Design, images: str, folder: Path) -> list[str]:
    path = folder / "design.toml"
    path.write_text(write_design(design), encoding="utf-8")
    return ["train", str(path), images]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    photographs = str(parser.parse_args().folder)
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder, cache = Path(scratch), f"{scratch}/cache"
        runs = {
            "train digits, first": (train(DIGITS, "digits", folder), 1.0),
            "train digits": (train(DIGITS, "digits", folder), 1.0),
            "fit digits": (["fit", "digits", "--macs", "200k"], 2.0),
        }
        for name, (command, minutes) in runs.items():
            found[name] = took(command, minutes, cache, folder / name)
        command = train(NETS["residual"], photographs, folder)
        for name, minutes in (("train photographs, first", 3.0), ("train photographs", 3.0)):
            found[name] = took(command, minutes, cache, folder / name)
    harness.write("minutes", {"goals": {"off by": GOAL}, "runs": found})


if __name__ == "__main__":
    main()
