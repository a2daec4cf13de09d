"""Which setup trains a network fastest on this machine, found by racing all of them on real training steps.

Number types, layouts, kernels, threads and parts of a batch make two dozen combinations, which differ by up to ten
times. Successive halving spends little on the slow ones (Jamieson and Talwalkar, "Non-stochastic Best Arm
Identification and Hyperparameter Optimization", 2016): number types, layouts and kernels are tried on half a batch, the
best with fewer threads on whole batches, the best two in parts as well, until the time is over. ``torch.compile`` does
not take part: compiling takes longer than the whole race.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import math
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import torch
from torch import nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from convsmith import kernels
from convsmith.errors import RunError
from convsmith.files import cache_folder, make_folder, write_json
from convsmith.processor import available_threads, computes_bfloat16
from convsmith.training.conditions import conditions
from convsmith.training.setup import Dtype, Measurement, Setup, TakesKernels

ModuleMaker = Callable[[], nn.Module]

_FEW: Final = 32  # images of the first round; with fewer, waking threads up would decide
_SECOND_ROUND: Final = 3
_FINALISTS: Final = 2
_LEAST_PART: Final = 32  # images that batch norm should see at once
_LEARNING_STEPS: Final = 12
_LEARNING_IMAGES: Final = 32
_LEARNING_SHARE: Final = 0.9  # of what float32 learns that bfloat16 must learn


def choose_setup(
    make_module: ModuleMaker, input_shape: tuple[int, int, int], batch: int, *, seconds: float = 4.0
) -> Setup:
    """The fastest setup for training this network here: measured once, then remembered in the cache.

    Args:
        make_module: Gives a new instance of the network.
        input_shape: (channels, height, width).
        batch: Images per training step.
        seconds: About how long to measure.
    """
    about = [repr(make_module()), input_shape, batch, conditions(Setup()), kernels.why_unavailable()]
    path = cache_folder() / "setups" / f"{hashlib.sha256(repr(about).encode()).hexdigest()[:24]}.json"
    known = _read(path)
    if known is None:
        known = race_setups(make_module, input_shape, batch, seconds=seconds)
        try:
            write_json(make_folder(path.parent) / path.name, known.to_dict())
        except RunError:  # a cache that cannot be written costs the next run a few seconds
            return known
    return known


def race_setups(
    make_module: ModuleMaker, input_shape: tuple[int, int, int], batch: int, *, seconds: float = 4.0
) -> Setup:
    """The fastest setup, by measurement; see ``choose_setup``.

    Whole steps (forward, backward, update) are timed in turn, so that a slow moment of a shared machine hits every
    candidate alike; the median decides. bfloat16 takes part only where the processor computes in it, and is chosen
    only if the network learns a few random images by heart about as well as in float32. Parts of a batch take part
    where batch norm still sees 32 images at once.
    """
    with torch.random.fork_rng(devices=[]), Setup().threads_set():
        images = torch.rand(batch, *input_shape)
        race = _Race(make_module, images, seconds)
        module = make_module()
        first = race.run(_ways(module, batch), images=_FEW, share=0.2)
        second = [setup for best in first[:_SECOND_ROUND] for setup in _with_threads(best)]
        third = race.run(second, images=batch, share=0.3)[:_FINALISTS]
        race.run([setup for best in third for setup in _in_parts(best, module, batch)], images=batch, share=0.5)
        ranked = sorted(race.measured.values(), key=lambda row: (-row.images, row.seconds))
        chosen = next(
            row for row in ranked if row.dtype == "float32" or _learns(_setup(row, batch), make_module, images)
        )
    return dataclasses.replace(_setup(chosen, batch), measured=tuple(ranked))


def _ways(module: nn.Module, batch: int) -> list[Setup]:
    """Number types, layouts and kernels, with all threads and the whole batch."""
    dtypes: tuple[Dtype, ...] = ("bfloat16", "float32") if computes_bfloat16() else ("float32",)
    merges = isinstance(module, TakesKernels) and kernels.available()
    layouts = [*([(True, True)] if merges else []), (True, False), (False, False)]
    return [
        Setup(dtype, channels_last, merged, available_threads(), batch_forward=2 * batch)
        for dtype, (channels_last, merged) in itertools.product(dtypes, layouts)
    ]


def _with_threads(setup: Setup) -> list[Setup]:
    """The setup, and with half of its threads: two that share a core may be no faster than one."""
    fewer = math.ceil(setup.threads / 2)
    return [setup, *([dataclasses.replace(setup, threads=fewer)] if fewer < setup.threads else [])]


def _in_parts(setup: Setup, module: nn.Module, batch: int) -> list[Setup]:
    """The setup on whole batches, and on halves where batch norm allows that."""
    least = _LEAST_PART if any(isinstance(layer, _BatchNorm) for layer in module.modules()) else 2
    return [setup, *([dataclasses.replace(setup, micro_batch=batch // 2)] if batch // 2 >= least else [])]


class _Race:
    """Times setups on training steps."""

    def __init__(self, make_module: ModuleMaker, images: torch.Tensor, seconds: float) -> None:
        self._make_module, self._images, self._seconds = make_module, images, seconds
        self.measured: dict[Setup, Measurement] = {}

    def run(self, setups: Sequence[Setup], *, images: int, share: float) -> list[Setup]:
        """Time the setups for a share of the time and return them, fastest first."""
        some = self._images[:images]
        steps = [training_step(setup, self._make_module(), some) for setup in setups]
        for setup, spent in zip(setups, interleaved(steps, share * self._seconds), strict=True):
            self.measured[setup] = Measurement(
                setup.dtype,
                setup.channels_last,
                setup.kernels,
                setup.threads,
                setup.micro_batch,
                seconds=spent * len(self._images) / len(some),
                images=len(some),
            )
        return sorted(setups, key=lambda setup: self.measured[setup].seconds)


def training_step(setup: Setup, module: nn.Module, images: torch.Tensor) -> Callable[[], None]:
    """A function that trains ``module`` by one step on float32 ``images`` (N, C, H, W)."""
    setup.place(module).train()
    optimizer = torch.optim.SGD(module.parameters(), lr=1e-3, momentum=0.9, fused=True)
    count = math.ceil(len(images) / (setup.micro_batch or len(images)))
    parts = images.tensor_split(count)
    labels = torch.zeros(len(images), dtype=torch.int64).tensor_split(count)

    def step() -> None:
        with setup.threads_set():
            optimizer.zero_grad(set_to_none=True)
            for some, theirs in zip(parts, labels, strict=True):
                (functional.cross_entropy(setup.forward(module, some), theirs) / count).backward()
            optimizer.step()

    return step


def interleaved(steps: Sequence[Callable[[], None]], seconds: float) -> list[float]:
    """Median seconds of each step, timed round after round; the first round warms up and does not count."""
    end = time.perf_counter() + seconds
    rounds: list[list[float]] = []
    while len(rounds) < 2 or time.perf_counter() < end:
        rounds.append([_seconds(step) for step in steps])
    return [statistics.median(times) for times in zip(*rounds[1:], strict=True)]


def _seconds(step: Callable[[], None]) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def _learns(setup: Setup, make_module: ModuleMaker, images: torch.Tensor) -> bool:
    """Whether a few random images are learnt by heart about as well as in float32."""
    some = images[:_LEARNING_IMAGES]
    torch.manual_seed(0)
    start = make_module().state_dict()
    falls: list[float] = []
    for tried in (dataclasses.replace(setup, dtype="float32"), setup):
        module = make_module()
        module.load_state_dict(start)
        with setup.threads_set():
            falls.append(_fall_of_loss(tried, module, some))
    return math.isfinite(falls[1]) and falls[1] >= _LEARNING_SHARE * falls[0]


def _fall_of_loss(setup: Setup, module: nn.Module, images: torch.Tensor) -> float:
    setup.place(module).train()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.05, momentum=0.9, nesterov=True, fused=True)
    losses: list[float] = []
    labels = torch.zeros(0)
    for _ in range(_LEARNING_STEPS):
        scores = setup.forward(module, images)
        labels = torch.arange(len(images)) % scores.shape[1] if not losses else labels
        loss = functional.cross_entropy(scores, labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    return losses[0] - losses[-1]


def _setup(row: Measurement, batch: int) -> Setup:
    """The setup that was measured."""
    return Setup(
        row.dtype, row.channels_last, row.kernels, row.threads, batch_forward=2 * batch, micro_batch=row.micro_batch
    )


def _read(path: Path) -> Setup | None:
    """A remembered setup; None if there is none, or no whole one."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return Setup(**{**values, "measured": tuple(Measurement(**row) for row in values["measured"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None
