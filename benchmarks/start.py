"""How fast the command line answers: `--help`, `inspect zoo:resnet50` as a process and as a call.

python benchmarks/start.py
"""

from __future__ import annotations

import subprocess
import sys
from functools import partial

import harness

import convsmith

REPEATS = 15


def process(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "convsmith", *arguments], check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    convsmith.inspect("zoo:resnet50")
    processes = {
        "python": lambda: subprocess.run([sys.executable, "-c", "pass"], check=True),
        "help": partial(process, "--help"),
        "inspect_resnet50": partial(process, "inspect", "zoo:resnet50"),
    }
    calls = {
        f"inspect_{name}": partial(convsmith.inspect, f"zoo:{name}")
        for name in ("resnet50", "resnet152", "efficientnet-b0")
    }
    harness.write(
        "start",
        {
            "unit": "seconds",
            "goals": {"help": 0.3, "inspect_resnet50": 0.5, "call of inspect_resnet50": 0.005},
            "processes": harness.interleaved(processes, REPEATS),
            "calls": harness.interleaved(calls, 10 * REPEATS),
        },
    )


if __name__ == "__main__":
    main()
