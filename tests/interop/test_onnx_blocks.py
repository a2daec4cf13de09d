"""Every stem, block and head of a design, written to a file and run by onnxruntime: the numbers of the module."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from convsmith.design import lower, make_design
from convsmith.design.blocks import BLOCKS
from convsmith.design.ends import HEADS, STEMS
from convsmith.interop.onnx_file import write_onnx
from convsmith.interop.weights import weights_of
from tests.interop.helpers import by_runtime, random_inputs, randomised, relative_error

GATED = {"se_ratio": 0.25}
STAGES: dict[str, dict[str, Any]] = {
    **{name: {} for name in BLOCKS},
    "inverted_residual": {**GATED, "se_base": "inner", "se_multiple": 8, "se_gate": "hardsigmoid", "padding": "same"},
    "ghost": {**GATED, "ratio": 3},
    "ghost_v2": GATED,
    "bottleneck": {"shortcut": "avg_pool"},
}
TASKS: dict[str, dict[str, Any]] = {
    "classify": {"classes": 5, "pool_norm": "layer"},
    "detect": {"classes": 5},
    "segment": {"classes": 5},
    "restore": {"channels": 3, "stride": "1/2", "kernel": 4},
}


def check(path: Path, stem: str = "conv", block: str = "conv", task: str = "classify") -> None:
    """The same numbers, and none of them all alike: an odd map, one block that shrinks it and one that does not."""
    stage = {"block": block, "depth": 2, "width": 20, "stride": 2, **STAGES[block]}
    entry = {"block": stem, "width": 12, "stride": 2}
    head = {"task": task, **TASKS[task]}
    values = {"name": block, "input": (3, 37, 34), "stem": entry, "stage": (stage,), "head": head}
    graph = lower(make_design(values))
    module = randomised(graph)
    file = write_onnx(graph, weights_of(module), path / "net.onnx")
    image = random_inputs(graph, 2)[0]
    with torch.no_grad():
        expected = module.double()(torch.from_numpy(image).double()).numpy()
    assert np.std(expected) > 0
    assert relative_error(by_runtime(file, [image])[0], expected) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("block", BLOCKS)
def test_a_block(block: str, tmp_path: Path) -> None:
    check(tmp_path, block=block)


@pytest.mark.parametrize("stem", STEMS)
def test_a_stem(stem: str, tmp_path: Path) -> None:
    check(tmp_path, stem=stem)


@pytest.mark.parametrize("task", HEADS)
def test_a_head(task: str, tmp_path: Path) -> None:
    check(tmp_path, task=task)
