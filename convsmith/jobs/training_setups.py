"""Which setup trains a network fastest on this machine: every one that was tried, and why one was chosen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from convsmith.analysis import cost
from convsmith.deploy.peaks import gemm_rate
from convsmith.design import Design, lower
from convsmith.interop.torch_module import build
from convsmith.training.probe import measure_setup
from convsmith.training.setup import Measurement, Setup

_PASSES = 3  # a training step multiplies forward, for the gradients of maps, and for those of weights


@dataclass(frozen=True)
class TrainingSetups:
    """The race of the setups for a network.

    Attributes:
        design: The network.
        macs: Multiply-adds of one image, forward.
        batch: Images per training step.
        setup: The one that was chosen, with what was measured.
        peaks: Multiply-adds in a second of a large matrix product, by number type, with all threads.
    """

    design: Design
    macs: int
    batch: int
    setup: Setup
    peaks: dict[str, float]

    @property
    def rows(self) -> tuple[Measurement, ...]:
        """What was tried: those of the last round first, and in each round the best first."""
        return self.setup.measured

    @property
    def chosen(self) -> Measurement | None:
        """The row of the chosen setup; None if memory sufficed for none."""
        return next((row for row in self.rows if self._is_chosen(row)), None)

    def images_per_second(self, row: Measurement) -> float:
        """Images trained on in a second."""
        return self.batch / row.seconds

    def share_of_peak(self, row: Measurement) -> float:
        """Multiply-adds of forward and backward, of those that large matrix products do in the same time."""
        return _PASSES * self.macs * self.images_per_second(row) / self.peaks[row.dtype]

    def outcome(self, row: Measurement) -> str:
        """What became of a row."""
        if row is self.chosen:
            return "chosen"
        if row.round == self.rows[0].round:
            if self._was_refused(row):
                return "learnt less"
            faster = self.chosen is not None and row.seconds < self.chosen.seconds
            return "not clearly faster" if faster else "not the fastest"
        return f"left behind in round {row.round}, on {row.images} images"

    @property
    def reason(self) -> str:
        """Why the chosen one was chosen, in a sentence."""
        row = self.chosen
        if row is None:
            return "Memory did not suffice for any; a training takes smaller parts of its batch by itself."
        last = [one for one in self.rows if one.round == self.rows[0].round]
        refused = sorted({one.dtype for one in self.rows if self._was_refused(one)})
        if refused:
            return f"Chosen because {' and '.join(refused)}, though faster, learnt a few images less well in a trial."
        behind = len(self.rows) - len(last)
        if min(one.seconds for one in last) < row.seconds:
            return "Chosen because parts of a batch, of which batch norm sees less, were not clearly faster."
        return f"Chosen as the fastest of {len(last)} in the last round; {behind} were left behind early."

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        row = self.chosen
        return {
            "design": self.design.name,
            "input": list(self.design.input),
            "macs": self.macs,
            "batch": self.batch,
            "gemm_macs_per_second": self.peaks,
            "chosen": {key: value for key, value in self.setup.to_dict().items() if key != "measured"},
            "reason": self.reason,
            "images_per_second": self.images_per_second(row) if row is not None else None,
            "share_of_peak": self.share_of_peak(row) if row is not None else None,
            "setups": [
                {
                    "device": one.device,
                    "dtype": one.dtype,
                    "channels_last": one.channels_last,
                    "kernels": one.kernels,
                    "threads": one.threads,
                    "images_at_a_time": one.micro_batch or self.batch,
                    "images_per_second": self.images_per_second(one),
                    "share_of_peak": self.share_of_peak(one),
                    "round": one.round,
                    "outcome": self.outcome(one),
                }
                for one in self.rows
            ],
        }

    def _is_chosen(self, row: Measurement) -> bool:
        keys = ("device", "dtype", "channels_last", "kernels", "threads", "micro_batch")
        return all(getattr(row, key) == getattr(self.setup, key) for key in keys)

    def _was_refused(self, row: Measurement) -> bool:
        """Whether a row stands before the chosen one: it was measured to be faster."""
        return self.chosen is not None and self.rows.index(row) < self.rows.index(self.chosen)


def race_training_setups(design: Design, *, batch: int, seconds: float) -> TrainingSetups:
    """Race the setups for a network, and remember the best for its trainings.

    Args:
        design: The network.
        batch: Images per training step.
        seconds: About how long to race.
    """
    graph = lower(design)
    setup = measure_setup(lambda: build(graph), design.input, batch, seconds=seconds)
    with Setup().threads_set():
        dtypes = sorted({row.dtype for row in setup.measured})
        peaks = {dtype: gemm_rate(getattr(torch, dtype), setup.device) for dtype in dtypes}
    return TrainingSetups(design, cost(graph).macs, batch, setup, peaks)
