"""How threads should wait for each other: training images per second, alone and in company.

Awake, asleep, or awake for a while and then asleep: 300,000 turns by libgomp's default, or fewer. Company is one
process that counts as fast as it can. Each figure is a process of its own, since the policy is read when torch loads;
policies take turns.

    python benchmarks/threads.py
"""

from __future__ import annotations

import os
import subprocess
import sys

import harness

REPEATS = 3
POLICIES = {
    "default": {},
    "awake": {"OMP_WAIT_POLICY": "ACTIVE"},
    "asleep": {"OMP_WAIT_POLICY": "PASSIVE"},
    "awake briefly": {"GOMP_SPINCOUNT": "20000"},
}

PROGRAM = """
import time, torch
from convsmith.design import lower
from convsmith.interop.torch_module import build
from convsmith.scaling import Limits
from convsmith.search.space import Space, make_field
from convsmith.processor import available_threads
torch.set_num_threads(available_threads())
design = make_field(Space(Limits(macs=8_000_000), 3, 32, 10), 1, seed=0).candidates[1].design
module = build(lower(design)).to(memory_format=torch.channels_last)
module.use_kernels(True)
images = torch.rand(64, *design.input).contiguous(memory_format=torch.channels_last)
times = []
for _ in range(12):
    start = time.perf_counter()
    module(images).square().mean().backward()
    times.append(time.perf_counter() - start)
print(64 / sorted(times)[6])
"""


def images_per_second(policy: str) -> float:
    kept = {name: value for name, value in os.environ.items() if name not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    command, environment = [sys.executable, "-c", PROGRAM], {**kept, **POLICIES[policy]}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout)


def measure() -> dict[str, dict[str, float]]:
    rates: dict[str, list[float]] = {policy: [] for policy in POLICIES}
    for _ in range(REPEATS):
        for policy, found in rates.items():
            found.append(images_per_second(policy))
    return {policy: harness.summary(found) for policy, found in rates.items()}


def main() -> None:
    alone = measure()
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        company = measure()
    finally:
        busy.kill()
        busy.wait()
    rates = {"alone": alone, "in company": company}
    ratios = {
        place: {policy: row["median"] / figures["default"]["median"] for policy, row in figures.items()}
        for place, figures in rates.items()
    }
    harness.write("threads", {"unit": "images per second", "rates": rates, "times_default": ratios})


if __name__ == "__main__":
    main()
