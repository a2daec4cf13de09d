"""A training whose disk is full for a while; run as a script that prints what happened as JSON."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

from training_toy import logged, told

from convsmith.training import keeper
from convsmith.training.budget import Budget
from convsmith.training.checkpoint import load_latest
from convsmith.training.progress import Progress

ARGUMENTS: dict[str, Any] = {"budget": Budget(images=40 * 16)}


def main(folder: Path, tmpfs: bool) -> None:
    if tmpfs:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], check=True)
    filler, found = folder / "filler", {"lines": []}
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    keeper._WAITS = (0.0,)

    def follow(progress: Progress) -> None:
        if progress.images == 11 * 16:  # the checkpoint of step 10 was the last
            if tmpfs:
                fill(filler)
            else:
                resource.setrlimit(resource.RLIMIT_FSIZE, (64, most))
        if progress.images == 20 * 16:
            saved = load_latest(folder / "checkpoints")
            names = sorted(int(path.name[5:14]) for path in (folder / "checkpoints").iterdir())
            found["while_full"] = [names, saved and saved.checkpoint.state.steps]
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
            filler.unlink(missing_ok=True)

    trained = logged(folder, progress=follow, tell=found["lines"].append, checkpoint_seconds=0.0, **ARGUMENTS)
    found["loss"] = trained.loss
    found["at_end"] = sorted(int(path.name[5:14]) for path in (folder / "checkpoints").iterdir())
    found["told"] = told(folder)
    sys.stdout.write(json.dumps(found))


def fill(path: Path) -> None:
    """Leave no byte of the disk."""
    handle = os.open(path, os.O_CREAT | os.O_WRONLY)
    try:
        while os.write(handle, bytes(4096)):
            pass
    except OSError:
        os.close(handle)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:] == ["tmpfs"])
