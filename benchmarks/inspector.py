"""How long a network's table takes: ours beside six tools in one process, and ours from 224 to 1024 pixels.

Every tool gets a copy of the same module and is called as its own documentation shows, in turn, five times after a
first call that is reported apart. Ours is `convsmith.inspect(module)` and all its totals. Run by the peers'
environment, with the source tree on PYTHONPATH, which `make bench-peers` does:

    PYTHONPATH=. .venv-peers/bin/python benchmarks/inspector.py
"""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import sys
import time
import warnings
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from typing import Any

import calflops
import fvcore.nn
import harness
import ptflops
import thop
import timm
import torch
import torchinfo
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import convsmith

NETWORKS = (
    "resnet50 mobilenetv2_100 efficientnet_b0 convnext_tiny ghostnetv2_100 densenet121 regnety_016 vgg16 "
    "vit_tiny_patch16_224"
).split()
SIZES = (224, 512, 1024)
REPEATS = 5
GOAL = 10
PACKAGES = ("torch", "timm", "fvcore", "thop", "ptflops", "torchinfo", "calflops")


def ours(module: nn.Module, size: int) -> int:
    return convsmith.inspect(module, input=(3, size, size)).cost.totals()["macs"]


def flop_counter(module: nn.Module, size: int, device: str = "cpu") -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(torch.empty(1, 3, size, size, device=device))
    return counter.get_total_flops()


def fvcore_count(module: nn.Module, size: int) -> int:
    analysis = fvcore.nn.FlopCountAnalysis(module, torch.empty(1, 3, size, size))
    return analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).total()


def thop_count(module: nn.Module, size: int) -> int:
    return thop.profile(module, (torch.empty(1, 3, size, size),), verbose=False)[0]


def ptflops_count(module: nn.Module, size: int) -> int:
    shape = (3, size, size)
    return ptflops.get_model_complexity_info(module, shape, as_strings=False, print_per_layer_stat=False)[0]


def torchinfo_count(module: nn.Module, size: int) -> int:
    return torchinfo.summary(module, (1, 3, size, size), verbose=0).total_mult_adds


def calflops_count(module: nn.Module, size: int) -> int:
    quiet = {"output_as_string": False, "print_results": False, "print_detailed": False}
    return calflops.calculate_flops(module, (1, 3, size, size), **quiet)[0]


PEERS: dict[str, Callable[[nn.Module, int], Any]] = {
    "torchinfo": torchinfo_count,
    "fvcore": fvcore_count,
    "ptflops": ptflops_count,
    "thop": thop_count,
    "FlopCounterMode": flop_counter,
    "FlopCounterMode on meta": partial(flop_counter, device="meta"),
    "calflops": calflops_count,
}


def measure(name: str) -> dict[str, Any]:
    """Seconds of every tool on one network."""
    module = timm.create_model(name).eval()
    tasks = {"convsmith": partial(ours, module, SIZES[0])}
    for tool, count in PEERS.items():
        own = copy.deepcopy(module)
        tasks[tool] = partial(count, own.to("meta") if tool.endswith("meta") else own, SIZES[0])
    first, failed = first_calls(tasks)
    times = harness.interleaved({tool: quiet(tasks[tool]) for tool in first}, REPEATS)
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
            found = quiet(task)()
        except Exception as error:
            failed[tool] = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
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


def quiet(task: Callable[[], Any]) -> Callable[[], Any]:
    """The task with what it prints thrown away."""

    def run() -> Any:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            return task()

    return run


def main() -> None:
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    networks = sys.argv[1:] or NETWORKS
    ours(nn.Conv2d(3, 3, 1), SIZES[0])  # imports
    rows = [measure(name) for name in networks]
    harness.write(
        "inspector",
        {
            "unit": "seconds",
            "tools": {name: version(name) for name in PACKAGES},
            "threads": torch.get_num_threads(),
            "goals": {"times faster than the fastest peer": GOAL},
            "least_times_faster": min(row.get("times_faster", 0) for row in rows),
            "networks": rows,
        },
    )


if __name__ == "__main__":
    main()
