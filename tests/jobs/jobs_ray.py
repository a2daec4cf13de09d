"""A small search on a Ray cluster of two machines, of which one dies in the middle.

    python jobs_ray.py DIARY OUT

What is trained is told in the file DIARY, with the machine; the first machine dies at the start of its second training.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
os.environ |= {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
}  # loopback only, on every system

import ray.cluster_utils
from jobs_small_fit import PLENTY, quick

from convsmith.cli.main import run
from convsmith.jobs import ray_crew


def told(diary):
    """What a machine of the cluster does, telling of it; a nested function, so that machines are sent it whole."""
    original = ray_crew.train_here

    def train_and_tell(order, work):
        import ray

        machine = ray.get_runtime_context().get_node_id()
        name = f"{work['candidate']['key']} {work['images']} {work['seed']} {work['final']}"
        with open(diary, "a+") as stream:
            stream.seek(0)
            before = [line.split()[0] for line in stream]
            stream.write(f"{machine} {name}\n")
        if before and machine == before[0] and before.count(machine) == 1:
            time.sleep(600)  # it is killed meanwhile
        return original(order, work)

    return train_and_tell


def main(diary: str, out: str) -> int:
    quick(pytest.MonkeyPatch())
    alone = {"node_ip_address": "127.0.0.1", "object_store_memory": 80 * 2**20}
    head = {**alone, "num_cpus": 0, "include_dashboard": False}
    cluster = ray.cluster_utils.Cluster(initialize_head=True, head_node_args=head)
    nodes = [cluster.add_node(num_cpus=1, **alone) for _ in range(2)]

    def kill() -> None:
        while not (lines := told_so_far(diary)) or [line[0] for line in lines].count(lines[0][0]) < 2:
            time.sleep(0.2)
        (victim,) = [node for node in nodes if node.node_id == lines[0][0]]
        cluster.remove_node(victim, allow_graceful=False)

    threading.Thread(target=kill, daemon=True).start()
    ray_crew.train_here = told(diary)
    asked = ["fit", "digits", "--macs", "60k", "--minutes", f"{PLENTY:g}min", "--out", out, "--json"]
    code = run([*asked, "--executor", "ray", "--address", cluster.address])
    cluster.shutdown()
    return code


def told_so_far(diary: str) -> list[list[str]]:
    return [line.split(maxsplit=1) for line in Path(diary).read_text().splitlines()] if Path(diary).exists() else []


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
