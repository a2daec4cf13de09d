"""Prove that a refactor changed nothing: the text and the cost table of every zoo design, now and at another commit.

python benchmarks/replay.py [COMMIT]
"""

from __future__ import annotations

import difflib
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]

PROGRAM = """
import json, sys
from convsmith.analysis import cost
from convsmith.design import lower, zoo
from convsmith.ir.text import write_graph
for name in zoo.names():
    graph = lower(zoo.load(name))
    table = cost(graph)
    sys.stdout.write(write_graph(graph))
    for layer in table.layers:
        sys.stdout.write(json.dumps(layer.to_dict()) + "\\n")
    sys.stdout.write(json.dumps(table.totals()) + "\\n")
"""


def replay(folder: Path) -> list[str]:
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(
        command, cwd=folder, env={"PYTHONPATH": str(folder)}, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


def main() -> None:
    commit = sys.argv[1] if len(sys.argv) > 1 else "HEAD"
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["git", "worktree", "add", "--quiet", "--detach", folder, commit], cwd=ROOT, check=True)
        try:
            before = replay(Path(folder))
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", folder], cwd=ROOT, check=True)
    after = replay(ROOT)
    changes = list(difflib.unified_diff(before, after, commit, "now", lineterm="", n=1))
    print("\n".join(changes[:60]) if changes else f"{len(after):,} lines of the zoo are as they were at {commit}")
    sys.exit(1 if changes else 0)


if __name__ == "__main__":
    main()
