"""Who enters a search: the networks of a space that fill a budget, and at the finals those that keep it in practice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Final

from convsmith.data import Images, Normalisation, Split
from convsmith.deploy.latency import Latency, measure_together
from convsmith.jobs.export_form import ExportForm, Stand
from convsmith.jobs.fit_budget import Allowance, check_latency, check_memory, corrected, known_speed
from convsmith.jobs.fit_start import Start, with_start
from convsmith.jobs.run_folder import RunFolder
from convsmith.jobs.settle import Settler
from convsmith.jobs.step import Show, Tell
from convsmith.scaling import Limits
from convsmith.search.candidate import Candidate
from convsmith.search.ready import with_ready_made
from convsmith.search.space import Field, Space, make_field, typical
from convsmith.search.space_file import Declaration
from convsmith.search.study import Study

DRAWS: Final = 96
"""Networks drawn beside the rules. A part is planned for; the others are there to be proposed by the surrogate."""
FEW_DRAWS: Final = 32
"""The same where there is little time, or where it takes long to say what a network costs."""
_NOTE: Final = "field"
_SHORT: Final = 300.0
_TIMINGS: Final = 3
_SECONDS: Final = 0.5


class Entry:
    """The entrants of one search.

    Args:
        allowance: The budget.
        declared: The space.
        images: The images.
        split: Which of them are for what.
        seed: Decides which networks are drawn.
        seconds: Time for the whole search.
        tell: Told of what takes long and of replaced networks.
        show: Told of progress.
        start: A network with weights, as one more of them.
    """

    def __init__(
        self,
        allowance: Allowance,
        declared: Declaration,
        images: Images,
        split: Split,
        *,
        seed: int,
        seconds: float,
        tell: Tell,
        show: Show,
        start: Start | None = None,
    ) -> None:
        self._allowance = allowance
        self._declared = declared
        self._images = images
        self._split = split
        self._seed = seed
        self._seconds = seconds
        self._tell = tell
        self._show = show
        self._start = start

    def field(self, folder: RunFolder) -> Field:
        """The networks of the run in ``folder``; drawn now where it has none, for this budget and space.

        Raises:
            BudgetError: If no network meets the budget.
            SpaceError: If the space holds no network.
        """
        noted = self._study(folder).noted(_NOTE) if folder.study.is_file() else None
        return self.draw() if noted is None else Field.from_dict(noted)

    def draw(self) -> Field:
        """The networks for this budget and space.

        Raises:
            BudgetError: If no network meets the budget, or those that do exceed the memory of this machine.
            SpaceError: If the space holds no network.
        """
        few = self._seconds < _SHORT or self._allowance.latency is not None
        field = make_field(self._space, FEW_DRAWS if few else DRAWS, seed=self._seed)
        check_memory(candidate.design for candidate in field.candidates)
        field = field if self._seconds < _SHORT else with_ready_made(field, self._space)
        return field if self._start is None else with_start(field, self._start, self._space.limits)

    def keep(self, folder: RunFolder, field: Field) -> None:
        """Note the networks in ``folder``: a resumed run must go on with them, and measured costs change.

        Raises:
            RunError: If the disk refuses.
        """
        study = self._study(folder)
        if study.noted(_NOTE) is None:
            study.note(_NOTE, field.to_dict())

    def settle(self, field: Sequence[Candidate]) -> Sequence[Candidate]:
        """Those that enter the finals: where latency is limited, only who keeps the limit as measured."""
        if self._allowance.latency is None:
            return field
        return Settler(self._stand, self._space.limits, self._space.quantum, self._tell)(field)

    def time(self, onnx: Path) -> Latency:
        """Time an exported file; a few times if it is over the budget, for what disturbs only makes a run longer."""
        limit, threads = self._allowance.latency, self._allowance.threads
        side, channels = self._images.side, self._images.channels

        def measured() -> Latency:
            return measure_together([onnx], (side, side, channels), threads=threads, seconds=_SECONDS)[0]

        best = measured()
        for _ in range(_TIMINGS - 1):
            if limit is None or best.seconds <= limit:
                break
            again = measured()
            best = min(best, again, key=lambda latency: latency.seconds)
        return best

    @cached_property
    def _form(self) -> ExportForm:
        return ExportForm(self._images, Normalisation.of(self._images, self._split.train))

    @cached_property
    def _stand(self) -> Stand:
        return Stand(self._form, self._allowance.threads)

    @cached_property
    def _space(self) -> Space:
        allowance, threads = self._allowance, self._allowance.threads
        if allowance.latency is None:
            return self._space_of(allowance.limits(lambda: self._form))
        check_latency(self._stand, self._space_of(Limits(macs=1)), allowance.latency)
        calibration = known_speed(threads, seconds=self._seconds, tell=self._tell, show=self._show)
        predict = self._stand.predictor(calibration)
        rough = self._space_of(allowance.limits(lambda: self._form, predict))
        check_memory(typical(rough).values())
        better = corrected(self._stand, predict, rough)
        return self._space_of(allowance.limits(lambda: self._form, better))

    def _space_of(self, limits: Limits) -> Space:
        images = self._images
        return Space(limits, images.channels, images.side, len(images.classes), self._declared)

    def _study(self, folder: RunFolder) -> Study:
        """Notes of this budget and this space, in the journal of the run."""
        asked = (self._images.digest, self._seed, self._allowance.to_dict(), self._declared.model_dump())
        return Study(folder.study, {_NOTE: hashlib.sha256(json.dumps(asked).encode()).hexdigest()})
