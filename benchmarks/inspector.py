"""How long a network's table takes: ours beside six tools in one process, and ours from 224 to 1024 pixels.

Every tool gets a copy of the same module and is called as its own documentation shows, in turn, five times after a
first call that is reported apart. Ours is `convsmith.inspect(module)` and all its totals. Run by the peers'
environment, with the source tree on PYTHONPATH, which `make bench-peers` does:

    PYTHONPATH=. .venv-peers/bin/python benchmarks/inspector.py
"""

from __future__ import annotations

import copy
import logging
import sys
import time
import warnings
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from typing import Any

import harness
import timm
import tools
import torch
from tools import Shape
from torch import nn

import convsmith
from convsmith.errors import first_line

SIZES = (224, 512, 1024)
REPEATS = 5
GOAL = 10


def ours(module: nn.Module, size: int) -> int:
    return convsmith.inspect(module, input=(3, size, size)).cost.totals()["macs"]


PEERS: dict[str, Callable[[nn.Module, Shape], Any]] = {
    "torchinfo": tools.by_torchinfo,
    "fvcore": tools.by_fvcore,
    "ptflops": tools.by_ptflops,
    "thop": tools.by_thop,
    "FlopCounterMode": tools.by_torch,
    "FlopCounterMode on meta": partial(tools.by_torch, device="meta"),
    "calflops": tools.by_calflops,
}


def measure(name: str) -> dict[str, Any]:
    """Seconds of every tool on one network."""
    module = timm.create_model(name).eval()
    tasks = {"convsmith": partial(ours, module, SIZES[0])}
    for tool, count in PEERS.items():
        own = copy.deepcopy(module)
        tasks[tool] = partial(count, own.to("meta") if tool.endswith("meta") else own, (3, SIZES[0], SIZES[0]))
    first, failed = first_calls(tasks)
    times = harness.interleaved({tool: tools.silence()(tasks[tool]) for tool in first}, REPEATS)
    fastest = min((tool for tool in times if tool in PEERS), key=lambda tool: times[tool]["median"])
    row: dict[str, Any] = {"network": name, "fastest_peer": fastest, "failed": failed, "times": times, "first": first}
    if "convsmith" in times:
        row["times_faster"] = times[fastest]["median"] / times["convsmith"]["median"]
        row["times_faster_at_first"] = min(first[tool] for tool in first if tool in PEERS) / first["convsmith"]
    row["sizes"] = by_size(module)
    print(f"{name}: {row.get('times_faster', 0):.1f} times faster than {fastest}; failed: {failed}", file=sys.stderr)
    return row


def first_calls(tasks: dict[str, Callable[[], Any]]) -> tuple[dict[str, float], dict[str, str]]:
    """Seconds of the first call of each tool, or its error."""
    first: dict[str, float] = {}
    failed: dict[str, str] = {}
    for tool, task in tasks.items():
        start = time.perf_counter()
        try:
            with tools.silence():
                found = task()
        except Exception as error:
            failed[tool] = first_line(error)
            continue
        first[tool] = time.perf_counter() - start
        if found is None:
            failed[tool] = "gave nothing"
            del first[tool]
    return first, failed


def by_size(module: nn.Module) -> dict[str, Any]:
    """Ours at each size of the image."""
    tasks = {str(size): partial(ours, module, size) for size in SIZES}
    first, failed = first_calls(tasks)
    return {**harness.interleaved({size: tasks[size] for size in first}, REPEATS), **failed}


def main() -> None:
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    networks = sys.argv[1:] or tools.NETWORKS
    ours(nn.Conv2d(3, 3, 1), SIZES[0])  # imports
    rows = [measure(name) for name in networks]
    harness.write(
        "inspector",
        {
            "unit": "seconds",
            "tools": {name: version(name) for name in tools.PACKAGES},
            "threads": torch.get_num_threads(),
            "goals": {"times faster than the fastest peer": GOAL},
            "least_times_faster": min(row.get("times_faster", 0) for row in rows),
            "networks": rows,
        },
    )


if __name__ == "__main__":
    main()
