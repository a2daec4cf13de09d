"""Why threads wait asleep: training images per second with OMP_WAIT_POLICY active and passive, alone and in company.

Company is one process that counts as fast as it can. Each figure is a process of its own, since the policy is read when
torch loads; policies take turns.

    python benchmarks/threads.py
"""

from __future__ import annotations

import os
import subprocess
import sys

import harness

REPEATS = 3

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
images = torch.rand(64, *design.input).contiguous(memory_format=torch.channels_last)
times = []
for _ in range(12):
    start = time.perf_counter()
    module(images).square().mean().backward()
    times.append(time.perf_counter() - start)
print(64 / sorted(times)[6])
"""


def images_per_second(policy: str) -> float:
    environment = {**os.environ, "OMP_WAIT_POLICY": policy}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout)


def measure() -> dict[str, dict[str, float]]:
    rates: dict[str, list[float]] = {"ACTIVE": [], "PASSIVE": []}
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
    ratios = {
        name: figures["PASSIVE"]["median"] / figures["ACTIVE"]["median"]
        for name, figures in (("alone", alone), ("in_company", company))
    }
    rates = {"alone": alone, "in_company": company}
    harness.write("threads", {"unit": "images per second", "rates": rates, "passive_over_active": ratios})


if __name__ == "__main__":
    main()
