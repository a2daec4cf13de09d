"""One training in many processes: each computes on its part of every batch, and all hold the same weights.

``torchrun`` starts the processes and tells each its rank; torch's gloo carries what they tell each other, and NCCL what
lies on cards. A batch is the batch of one process, cut into contiguous parts; gradients, losses and the statistics of
batch norm are those of the whole of it. What may differ between processes is decided for all by the first: the clock,
the setup, the state to go on from. Only the first writes files and speaks. Once in every step, between forward and
backward, all exchange four numbers, so that all go on, roll back or stop alike.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any, Final, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from convsmith.data import Rows
from convsmith.errors import Terminated, TrainingError
from convsmith.processor import available_threads
from convsmith.training.device import available_device
from convsmith.training.evaluate import EvaluationSet
from convsmith.training.setup import Setup

STEP_SECONDS: Final = 60  # that a process may lag behind in a step before the others take it for dead
_WAIT_SECONDS: Final = 12 * 3600  # for what only the first does: reading images, judging, exporting
_FAILURES: Final = ("gloo", "nccl", "connection reset", "connection closed", "broken pipe", "timed out waiting")

T = TypeVar("T")


class Group:
    """The processes of a training; made without arguments, this one alone.

    Args:
        rank: Of this process, from 0.
        world: Processes in all.
        local_rank: Of this process among those of its machine.
        local_world: Processes on this machine.

    Attributes:
        weight: What the loss of this process is multiplied by, so that the mean of the gradients over the processes is
            the gradient of the whole batch.
        idle: Whether the batch had too few images for this process; its part then has one, which does not count.
    """

    def __init__(self, rank: int = 0, world: int = 1, local_rank: int = 0, local_world: int = 1) -> None:
        self.rank, self.world = rank, world
        self._local_rank, self._local_world = local_rank, local_world
        self._steps = dist.new_group(timeout=timedelta(seconds=STEP_SECONDS)) if world > 1 else None
        self._asked: Callable[[], None] = lambda: None
        self._stop: KeyboardInterrupt | None = None
        self._now = time.monotonic()
        self.weight, self.idle = 1.0, False

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes files and speaks."""
        return self.rank == 0

    @property
    def is_alone(self) -> bool:
        """Whether there is no other."""
        return self.world == 1

    def part(self, size: int) -> tuple[int, int]:
        """Where the part of this process begins in a list of ``size``, and its length, which may be 0."""
        start, end = (size * rank // self.world for rank in (self.rank, self.rank + 1))
        return start, end - start

    def take(self, size: int) -> tuple[int, int]:
        """The part of this process in the next batch, of at least one image; sets ``weight`` and ``idle``."""
        start, count = self.part(size)
        self.weight, self.idle = self.world * count / size, count == 0
        return min(start, size - 1), max(count, 1)

    def clock(self) -> float:
        """Seconds that never go back: those of the first process, as it last told them."""
        return time.monotonic() if self.is_alone else self._now

    def loss(self, mine: float) -> float:
        """The mean loss of the whole batch, from that of every part; the clock and stops are exchanged with it."""
        if self.is_alone:
            return mine
        stop = self._asked_here()
        share = 0.0 if self.idle else mine * self.weight / self.world
        told = [share, time.monotonic() if self.is_first else 0.0, stop is KeyboardInterrupt, stop is Terminated]
        loss, self._now, interrupts, terminations = self.sum(torch.tensor(told, dtype=torch.float64)).tolist()
        if terminations or interrupts:
            self._stop = Terminated() if terminations else KeyboardInterrupt()
        return loss

    def own(self, select: EvaluationSet | None) -> EvaluationSet | None:
        """The images that this process judges; all of them where they are fewer than processes."""
        if select is None or self.is_alone or len(select.labels) < self.world:
            return select
        start, count = self.part(len(select.labels))
        rows = np.arange(start, start + count)
        return EvaluationSet(Rows(select.pixels, rows), select.labels[rows])  # pyright: ignore[reportArgumentType]

    def mean(self, accuracy: float, count: int) -> float:
        """The accuracy on the images of all processes, from that of each on its own ``count``."""
        if self.is_alone:
            return accuracy
        right, count = self.sum(torch.tensor([round(accuracy * count), count])).tolist()
        return right / count

    def sum(self, tensor: torch.Tensor) -> torch.Tensor:
        """The sum over all processes, the same bits in each; in place."""
        with self.failures_named():
            dist.all_reduce(tensor, group=self._steps)
        return tensor

    def wrapped(self, module: nn.Module) -> nn.Module:
        """The module, with its gradients averaged over the processes in every backward pass."""
        if self.is_alone:
            return module
        # In any backward pass to come: 1x1 filters lie in memory in two equal ways.
        warnings.filterwarnings("ignore", message="Grad strides")
        with self.failures_named(), warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # torch 2.13 has a new name for the last argument
            return DistributedDataParallel(module, process_group=self._steps, broadcast_buffers=False)

    def setup(self, chosen: Setup | None) -> Setup:
        """The setup that the first process chose, made to suit many.

        Torch's operators take the place of the kernels, whose batch norm sees one process alone; a part of a batch is
        not cut further; threads are shared among the processes of a machine.
        """
        if self.is_alone:
            assert chosen is not None
            return chosen
        plain = {**chosen.to_dict(), "measured": ()} if chosen is not None else None
        threads = max(1, available_threads() // self._local_world)
        setup = Setup(**self.share(plain))
        return dataclasses.replace(setup, kernels=False, micro_batch=None, threads=min(setup.threads, threads))

    def share(self, value: Any) -> Any:
        """The JSON value of the first process, however long that takes; what the others give is ignored."""
        return value if self.is_alone else json.loads(self.share_bytes(json.dumps(value).encode()))

    def share_bytes(self, content: bytes) -> bytes:
        """The bytes of the first process; what the others give is ignored."""
        with self.failures_named():
            size = torch.tensor([len(content)])
            dist.broadcast(size, 0)
            buffer = np.frombuffer(content, np.uint8).copy() if self.is_first else np.empty(int(size), np.uint8)
            dist.broadcast(torch.from_numpy(buffer), 0)
        return buffer.tobytes()

    def check_same(self, mine: Mapping[str, Any]) -> None:
        """Hold what this process is about to do against what the first is.

        Raises:
            TrainingError: If they differ.
        """
        theirs = self.share(dict(mine))
        for key, value in json.loads(json.dumps(mine)).items():
            if theirs[key] != value:
                rule = f"all processes must train with the same {key}; that of the first is {theirs[key]!r}"
                remedy = "give all the same command and the same images"
                raise TrainingError(rule, received=value, where=self._place, remedy=remedy)

    def in_turn(self, work: Callable[[], T]) -> T:
        """What ``work`` gives; the first process of each machine does it first, and the others can read its cache."""
        if self._local_rank == 0:
            done = work()
            self.wait()
            return done
        self.wait()
        return work()

    def wait(self) -> None:
        """Wait for all, however long that takes."""
        if not self.is_alone:
            with self.failures_named():
                dist.all_reduce(torch.zeros(1))  # a barrier would be the cards' affair where there are some
            self._now = self.share(time.monotonic())

    def part_ways(self) -> None:
        """Wait for all, but not for long: ``torchrun`` ends the processes that are left when one has gone."""
        if not self.is_alone:
            with contextlib.suppress(TrainingError):
                self.sum(torch.zeros(1))

    def hears(self, asked: Callable[[], None]) -> Callable[[], None]:
        """A function that raises what ``asked`` raises in any process, in all of them after the same step."""
        if self.is_alone:
            return asked
        self._asked, self._stop = asked, None

        def stop_if_agreed() -> None:
            if self._stop is not None:
                raise self._stop

        return stop_if_agreed

    @contextlib.contextmanager
    def failures_named(self) -> Iterator[None]:
        """Where another process does not answer, say so in one line."""
        try:
            yield
        except RuntimeError as error:
            if self.is_alone or not _is_failure(error):
                raise
            rule = f"a training needs all its {self.world} processes, and one has ended or was silent for a minute"
            remedy = "see what that one says, then start all again by the same command with --resume"
            raise TrainingError(rule, where=self._place, remedy=remedy) from error

    @property
    def _place(self) -> str:
        return f"process {self.rank}"

    def _asked_here(self) -> type[KeyboardInterrupt] | None:
        try:
            self._asked()
        except KeyboardInterrupt as stop:
            return type(stop)
        return None


def is_first_process() -> bool:
    """Whether this is the only process of a command, or the first of those that ``torchrun`` started."""
    return _number("RANK", 0) == 0


def check_alone(command: str) -> None:
    """Raise a ``TrainingError`` if ``torchrun`` started several processes for a command that is one."""
    world = _number("WORLD_SIZE", 1)
    if world > 1:
        remedy = "start it without torchrun; `train` is what many processes can share"
        raise TrainingError(f"{command} runs in one process", received=world, where="WORLD_SIZE", remedy=remedy)


@contextlib.contextmanager
def joined() -> Iterator[Group]:
    """Meet the other processes, if ``torchrun`` started this one.

    Raises:
        TrainingError: If they cannot be met.
    """
    world = _number("WORLD_SIZE", 1)
    if world == 1:
        yield Group()
        return
    try:
        dist.init_process_group(_backend(), timeout=timedelta(seconds=_WAIT_SECONDS))
        group = Group(dist.get_rank(), world, _number("LOCAL_RANK", 0), _number("LOCAL_WORLD_SIZE", 1))
    except (RuntimeError, ValueError) as error:
        rule = f"the {world} processes of a training must meet: {str(error).splitlines()[0]}"
        remedy = "start them by torchrun, as docs/scale_out.md shows"
        raise TrainingError(rule, where=f"process {_number('RANK', 0)}", remedy=remedy) from error
    try:
        yield group
    finally:
        dist.destroy_process_group()


def _backend() -> str:
    """Gloo for what lies in the processor's memory, and where there are cards NCCL for what lies on them.

    Raises:
        TrainingError: If a machine has fewer cards than processes.
    """
    if available_device() == "cpu":
        return "gloo"
    have, need = torch.cuda.device_count(), _number("LOCAL_WORLD_SIZE", 1)
    if need > have:
        rule = f"each process of a machine needs a card of its own, and there are {have}"
        remedy = "start fewer processes, or set CUDA_VISIBLE_DEVICES to nothing to train on the processors"
        raise TrainingError(rule, received=need, remedy=remedy)
    torch.cuda.set_device(_number("LOCAL_RANK", 0))
    return "cpu:gloo,cuda:nccl"


def _number(name: str, default: int) -> int:
    text = os.environ.get(name, str(default))
    if not text.isdecimal():
        remedy = "torchrun sets it; unset it to train in one process"
        raise TrainingError(f"the variable {name} must be a whole number", received=text, remedy=remedy)
    return int(text)


def _is_failure(error: RuntimeError) -> bool:
    """Whether an error comes from what carries messages between processes."""
    return isinstance(error, dist.DistError) or any(word in str(error).lower() for word in _FAILURES)
