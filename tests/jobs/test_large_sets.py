"""A set larger than the memory that a training may have: read from tar shards, trained on, judged and exported.

The kernel refuses the process more memory than the limit; pages of files, such as a memory map's, do not count.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convsmith.data import open_images, split_images
from convsmith.design import lower, parse_design
from convsmith.interop.torch_module import build
from convsmith.jobs.lab import Lab
from convsmith.training.events import EventLog
from convsmith.training.initialise import initialise
from convsmith.training.recipe import Recipe

LIMIT = 1 << 30
SHARDS, PER_SHARD, FILE_BYTES, SIDE = 4, 2000, 190_000, 224

PROGRAM = """
import json, resource, sys
resource.setrlimit(resource.RLIMIT_DATA, (int(sys.argv[3]), int(sys.argv[3])))
from pathlib import Path
from convsmith.data import open_images
from convsmith.jobs.train import train
from convsmith.training.recipe import Recipe
folder, side = Path(sys.argv[1]), int(sys.argv[2])
run = train(folder / "net.toml", folder / "shards", out=folder / "run", epochs=0.03, recipe=Recipe(batch=32))
images = open_images(folder / "shards", side=side)
small = images.at(side // 4)
print(json.dumps({"images": len(images), "bytes": images.pixels.nbytes, "steps": run.report["plan"]["steps"],
                  "small": [type(small).__name__, *small.shape]}))
"""

DESIGN = f"""
name = "tiny"
input = [3, {SIDE}, {SIDE}]
[stem]
block = "conv"
width = 4
kernel = 3
stride = 4
[[stage]]
block = "plain"
depth = 1
width = 8
stride = 4
[head]
task = "classify"
classes = 2
"""


def test_a_search_reads_other_resolutions_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    for number in range(20):
        path = tmp_path / "images" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(path)
    monkeypatch.setenv("CONVSMITH_CACHE", str(tmp_path / "cache"))
    images = open_images(tmp_path / "images")
    split = split_images(images, seed=0)
    design = parse_design(DESIGN.replace(str(SIDE), "24"))
    with EventLog(tmp_path / "events.ndjson") as events:
        lab = Lab(images, split, lambda *_: Recipe(), tmp_path / "weights", events, lambda _: None)
        module = initialise(build(lower(design)), 0)
        before = lab.scores(module, design, split.test)
        assert images.folder is not None
        assert not list(images.folder.glob("resampled*"))
        monkeypatch.setattr("convsmith.data.memory.free_memory", lambda: 100)
        lab = Lab(images, split, lambda *_: Recipe(), tmp_path / "weights", events, lambda _: None)
        np.testing.assert_array_equal(lab.scores(module, design, split.test), before)
        assert [path.name for path in images.folder.glob("resampled*")] == ["resampled-24.npy"]


def write_shards(folder: Path) -> int:
    """Shards of small JPEG files, each made large, and different from all others, by comments within it."""
    random = np.random.default_rng(0)
    pictures: list[bytes] = []
    for _ in range(8):
        stream = io.BytesIO()
        colours = Image.fromarray(random.integers(0, 256, (4, 4, 3), dtype=np.uint8))
        colours.resize((96, 96), Image.Resampling.BICUBIC).save(stream, "JPEG")
        pictures.append(stream.getvalue())
    filling = random.integers(1, 255, 60_000, dtype=np.uint8).tobytes()
    folder.mkdir()
    for shard in range(SHARDS):
        with tarfile.open(folder / f"{shard}.tar", "w") as tar:
            for number in range(PER_SHARD):
                picture = pictures[(number + shard) % len(pictures)]
                comments = [b"%06d" % (shard * PER_SHARD + number) + filling] * (FILE_BYTES // len(filling))
                middle = b"".join(b"\xff\xfe" + (len(text) + 2).to_bytes(2, "big") + text for text in comments)
                add(tar, f"{number:06}.jpg", picture[:2] + middle + picture[2:])
                add(tar, f"{number:06}.cls", b"even" if number % 2 == 0 else b"odd")
    return sum(path.stat().st_size for path in folder.iterdir())


def add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A folder that is emptied at once: three gigabytes are not kept as other tests' files are."""
    yield tmp_path
    shutil.rmtree(tmp_path)


@pytest.mark.slow
def test_a_training_on_a_large_set_stays_small(disk: Path) -> None:
    assert write_shards(disk / "shards") > 1.4e9
    (disk / "net.toml").write_text(DESIGN)
    environment = {**os.environ, "CONVSMITH_CACHE": str(disk / "cache"), "OMP_WAIT_POLICY": "PASSIVE"}
    command = [sys.executable, "-c", PROGRAM, str(disk), str(SIDE), str(LIMIT)]
    process = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    done = json.loads(process.stdout.splitlines()[-1])
    assert done["images"] == SHARDS * PER_SHARD
    assert done["bytes"] > LIMIT
    assert done["steps"] > 3
    assert done["small"] == ["memmap", SHARDS * PER_SHARD, SIDE // 4, SIDE // 4, 3]
