"""Which setup trains a network fastest on this machine, found by racing them on real training steps.

Devices, number types, layouts, kernels, threads and parts of a batch make two dozen combinations, which differ by up to
ten times. Successive halving spends little on the slow ones (Jamieson and Talwalkar, "Non-stochastic Best Arm
Identification and Hyperparameter Optimization", 2016): number types, layouts and kernels are tried on a few images, the
best with fewer threads on whole batches, the best two in parts as well, until the time is over. ``torch.compile`` does
not take part: compiling takes longer than the whole race (``benchmarks/probe.py`` measures it beside the others).
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
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

from convsmith import kernels
from convsmith.errors import RunError
from convsmith.files import cache_folder, make_folder, write_json
from convsmith.training.allocator import memory_kept
from convsmith.training.candidates import in_parts, ways, with_threads
from convsmith.training.conditions import conditions
from convsmith.training.device import available_device, cards, wait_for
from convsmith.training.parts import out_of_memory
from convsmith.training.setup import Measurement, Setup

ModuleMaker = Callable[[], nn.Module]

_FEW: Final = 32  # images of the first round; with fewer, waking threads up would decide
_LEAST: Final = 2  # images of any round, because of batch norm
_PATIENCE: Final = (
    3.0  # times the share of a round that its least two steps may take; networks that are slower see less
)
_SECOND_ROUND: Final = 3
_FINALISTS: Final = 2
_WHOLE: Final = 0.95  # of the seconds of a whole batch that parts may take: batch norm sees less of the batch in them
_LEARNING_STEPS: Final = 12
_LEARNING_IMAGES: Final = 32
_LEARNING_SHARE: Final = 0.9  # of what float32 learns that a shorter number type must learn


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
    known = _read(_memory(make_module, input_shape, batch))
    return known if known is not None else measure_setup(make_module, input_shape, batch, seconds=seconds)


def measure_setup(
    make_module: ModuleMaker, input_shape: tuple[int, int, int], batch: int, *, seconds: float = 4.0
) -> Setup:
    """As ``choose_setup``, but measured now, in place of what was remembered."""
    path = _memory(make_module, input_shape, batch)
    found = race_setups(make_module, input_shape, batch, seconds=seconds)
    with contextlib.suppress(RunError):  # a cache that cannot be written costs the next run a few seconds
        write_json(make_folder(path.parent) / path.name, found.to_dict())
    return found


def race_setups(
    make_module: ModuleMaker, input_shape: tuple[int, int, int], batch: int, *, seconds: float = 4.0
) -> Setup:
    """The fastest setup, by measurement; see ``choose_setup``.

    Whole steps (forward, backward, update) are timed in turn, so that a slow moment of a shared machine hits every
    candidate alike; the median decides, among those of the last round. bfloat16 takes part only where the processor
    computes in it; it, or float16 on an older card, is chosen only if the network learns a few random images by heart
    about as well as in float32. Parts of a batch take part where batch norm still sees 32 images at once, and win only
    where they are clearly faster. What memory does not suffice for drops out; a training takes smaller parts by itself.
    """
    with torch.random.fork_rng(devices=cards(available_device())), Setup().threads_set():
        images = torch.rand(batch, *input_shape)
        race = _Race(make_module, images, seconds)
        module = make_module()
        first = race.run(ways(module, batch), images=_FEW, share=0.2)
        second = [setup for best in first[:_SECOND_ROUND] for setup in with_threads(best)]
        third = race.run(second, images=batch, share=0.3)[:_FINALISTS]
        last = [setup for best in third for setup in in_parts(best, module, batch)]
        race.run(last if race.affords(len(last), batch, share=0.5) else third, images=batch, share=0.5)
        ranked = sorted(race.measured.items(), key=lambda pair: (-pair[1].round, _handicapped(*pair)))
        for setup, _ in ranked:
            if setup.dtype == "float32" or _learns(setup, make_module, images):
                return dataclasses.replace(setup, measured=tuple(row for _, row in ranked))
    return first[-1]  # not even a few images fit into memory


def _handicapped(setup: Setup, measured: Measurement) -> float:
    return measured.seconds if setup.micro_batch is None else measured.seconds / _WHOLE


class _Race:
    """Times setups on training steps."""

    def __init__(self, make_module: ModuleMaker, images: torch.Tensor, seconds: float) -> None:
        self._make_module, self._images, self._seconds = make_module, images, seconds
        self._round = 0
        self._pace: float | None = None  # seconds for one image
        self.measured: dict[Setup, Measurement] = {}

    def run(self, setups: Sequence[Setup], *, images: int, share: float) -> list[Setup]:
        """Time the setups for a share of the time, on as many images as that allows; fastest first."""
        self._round += 1
        if self._pace is None:
            self._pace = self._first_pace(setups[0])
        some = self._images[: max(_LEAST, min(images, self._most(len(setups), share)))]
        steps = [training_step(setup, self._make_module(), some) for setup in setups]
        spent = dict(zip(setups, interleaved(steps, share * self._seconds), strict=True))
        for setup, seconds in spent.items():
            if math.isfinite(seconds):
                self.measured[setup] = Measurement(
                    setup.dtype,
                    setup.channels_last,
                    setup.kernels,
                    setup.threads,
                    setup.micro_batch,
                    setup.device,
                    seconds=seconds * len(self._images) / len(some),
                    images=len(some),
                    round=self._round,
                )
        fastest = sorted(setups, key=spent.__getitem__)
        self._pace = spent[fastest[0]] / len(some)
        return fastest

    def affords(self, setups: int, images: int, share: float) -> bool:
        """Whether there is time to try so many setups on so many images."""
        return self._most(setups, share) >= images

    def _most(self, setups: int, share: float) -> int:
        """How many images two steps of each setup can have; all of them where no time is given."""
        pace, whole = self._pace or 0.0, len(self._images)
        if not self._seconds or not 0 < pace < math.inf:
            return whole
        return int(min(whole, _PATIENCE * share * self._seconds / (2 * setups * pace)))

    def _first_pace(self, setup: Setup) -> float:
        step = training_step(setup, self._make_module(), self._images[:_LEAST])
        _seconds(step)
        return _seconds(step) / min(_LEAST, len(self._images))


def training_step(setup: Setup, module: nn.Module, images: torch.Tensor) -> Callable[[], None]:
    """A function that trains ``module`` by one step on float32 ``images`` (N, C, H, W)."""
    setup.place(module).train()
    optimizer = torch.optim.SGD(module.parameters(), lr=1e-3, momentum=0.9, fused=True)
    count = math.ceil(len(images) / (setup.micro_batch or len(images)))
    parts = images.tensor_split(count)
    labels = torch.zeros(len(images), dtype=torch.int64).tensor_split(count)
    scaler = setup.make_scaler()

    def step() -> None:
        with setup.threads_set():
            optimizer.zero_grad(set_to_none=True)
            for some, theirs in zip(parts, labels, strict=True):
                loss = functional.cross_entropy(setup.forward(module, some), setup.moved(theirs))
                scaler.scale(loss / count).backward()
            scaler.step(optimizer)
            scaler.update()
            wait_for(setup.device)

    return step


def interleaved(steps: Sequence[Callable[[], None]], seconds: float) -> list[float]:
    """Median seconds of each step, timed round after round; the first round warms up and does not count.

    Memory is kept between steps, as in a training. A step that it does not suffice for takes infinitely long.
    """
    end = time.perf_counter() + seconds
    rounds: list[list[float]] = []
    with memory_kept():
        while len(rounds) < 2 or time.perf_counter() < end:
            rounds.append([_seconds(step) for step in steps])
    return [statistics.median(times) for times in zip(*rounds[1:], strict=True)]


def _seconds(step: Callable[[], None]) -> float:
    start = time.perf_counter()
    try:
        step()
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        return math.inf
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
    labels, scaler = torch.arange(len(images)), setup.make_scaler()
    for _ in range(_LEARNING_STEPS):
        scores = setup.forward(module, images)
        loss = functional.cross_entropy(scores, setup.moved(labels % scores.shape[1]))
        optimizer.zero_grad(set_to_none=True)
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        scaler.step(optimizer)
        scaler.update()
        losses.append(loss.item())
    return losses[0] - losses[-1]


def _memory(make_module: ModuleMaker, input_shape: tuple[int, int, int], batch: int) -> Path:
    """Where the setup of this network on this machine is remembered."""
    here = conditions(Setup(device=available_device()))
    about = [repr(make_module()), input_shape, batch, here, kernels.why_unavailable()]
    return cache_folder() / "setups" / f"{hashlib.sha256(repr(about).encode()).hexdigest()[:24]}.json"


def _read(path: Path) -> Setup | None:
    """A remembered setup; None if there is none, or no whole one."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return Setup(**{**values, "measured": tuple(Measurement(**row) for row in values["measured"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None
