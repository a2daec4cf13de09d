"""The experiment: ours, other searches, every named rule and published networks, on trainings all done beforehand.

A search is replayed on the table of a cell (``table.py``): it asks for trainings and is charged what they took. So each
can be repeated a hundred times, with other seeds and another order of the drawn networks each time. Three times are
given to each: those of 8, of 16 and of 40 trainings of a mean network, each of 22,500 images. Between the lengths of
the table a loss is interpolated over the logarithm of the images, and each answer is that of the longer training with a
probability that grows as much. What would be shorter than the shortest of the table is answered and charged as that.
All searches end with finals and, by the same rule, one long training of the network that they choose, of up to 67,500
images: that is what they are judged by.

Accuracies are means over the seeds of the table that were trained so long. Seeds of a search are those at which all
networks were trained at all lengths, up to the longest: where there are fewer than finals ask for, they come again.
Intervals of differences hold the chance of the repeats and of the images that judge, not that of these few seeds.
Whether intervals cover the truth cannot be told by so few: ``intervals.py`` tells it.

A rule costs no search, nor does a published network that is fitted to the budget. Each is therefore given twice:
trained as long as the network that ours chose, and with all the time spent on one training. That is of 180,000 images
in the shortest time; longer ones would allow more, of which the table knows nothing, so it is not asked.

python benchmarks/fit/compare.py CELL [--repeats 100]
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import math
import statistics
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).parents[1]))

import harness
import numpy as np
import trainings
from arms import Arm, Task, halving, one_epoch, ours, random_search, variant
from networks import CELLS, Cell, field_of, file_name, known_as
from numpy.typing import NDArray
from optuna_arms import asha, tpe
from scipy.stats import spearmanr
from table import FURTHEST, JUDGED, LENGTHS, LONG, SEARCHED, SEEDS, WHOLE, bits, jobs_of, table_name

from convsmith.quantities import format_count
from convsmith.scaling.axes import total_depth
from convsmith.search.candidate import Candidate, Outcome, Training, Work
from convsmith.search.planning import make_plan
from convsmith.search.policy import Load, policy_for
from convsmith.search.statistics import cheapest, fastest
from convsmith.search.surrogate import Surrogate
from convsmith.training.evaluate import RANKING_IMAGES, RECALIBRATION_IMAGES

Array = NDArray[np.float64]

LOAD: Final = Load(
    train=8_500,
    select=1_500,
    test=JUDGED,
    setup=0.5,
    recalibrated=RANKING_IMAGES,
    recalibrated_final=RECALIBRATION_IMAGES,
)
POLICY: Final = dataclasses.replace(
    policy_for(0.0), hopeless=0.0, max_images=LONG, max_epochs=LONG / LOAD.train, stretch=1.0
)
TIMES: Final = {"short": 8, "long": 16, "longest": 40}
"""As many trainings of a mean network, each of 22,500 images."""


class Table:
    """The trainings of a cell.

    Attributes:
        candidates: Networks that were trained at every length, by their keys.
        seeds: Seeds for which all of them were, up to the longest that searches are replayed on.
        load: What a training goes through.
        order: Which of two equally good networks ``fit`` prefers.
    """

    def __init__(self, cell: Cell, rows: Mapping[trainings.Job, trainings.Row]) -> None:
        self._rows = {(*arm.split(" | "), seed): row for (arm, seed), row in rows.items()}
        self.candidates = field_of(cell)
        self.seeds = [seed for seed in SEEDS if all(seed in self.seeds_of(length) for length in SEARCHED)]
        self.candidates = {key: one for key, one in self.candidates.items() if not self._fails(key)}
        self.load = dataclasses.replace(LOAD, side=cell.side)
        self.order = cheapest if cell.allowance.latency is None else fastest

    def row(self, key: str, length: int, seed: int) -> trainings.Row:
        return self._rows[key, str(length), seed]

    def lengths(self, key: str) -> list[int]:
        """How long a network was trained, with any seed."""
        return sorted({int(length) for one, length, _ in self._rows if one == key})

    def seeds_of(self, length: int) -> list[int]:
        """Seeds for which all networks were trained so long."""
        return [seed for seed in SEEDS if all((key, str(length), seed) in self._rows for key in self.candidates)]

    def pace(self, key: str) -> float:
        """Seconds of the processor for one image, of the first seed: others may have been run on another machine."""
        return self.row(key, LENGTHS[-1], self.seeds[0])["seconds"] / LENGTHS[-1]

    def accuracy(self, key: str, images: float) -> float:
        """The mean over seeds, in points."""
        return 100 * float(self.right(key, images).mean())

    def right(self, key: str, images: float) -> Array:
        """In which share of the seeds a network gets each judged image right, (images,)."""
        low, high, share = between(images)
        weights = {length: weight for length, weight in ((low, 1 - share), (high, share)) if weight}
        seeds = [seed for seed in SEEDS if all((key, str(length), seed) in self._rows for length in weights)]
        return sum(
            (
                weight * np.mean([bits(self.row(key, length, seed), JUDGED) for seed in seeds], axis=0)
                for length, weight in weights.items()
            ),
            start=np.zeros(JUDGED),
        )

    def _fails(self, key: str) -> bool:
        return any("failure" in self.row(key, length, seed) for length in SEARCHED for seed in self.seeds)


def between(images: float, lengths: Sequence[int] = (*SEARCHED, WHOLE, FURTHEST)) -> tuple[int, int, float]:
    """Those of the lengths that are around a number of images, and how far it lies towards the second."""
    position = float(np.interp(math.log(images), np.log(lengths), range(len(lengths))))
    lower = min(int(position), len(lengths) - 2)
    return lengths[lower], lengths[lower + 1], position - lower


class TableMachine:
    """Looks trainings up, and keeps account of the time; a repeat shuffles the seeds.

    Attributes:
        load: What a training goes through.
        now: Seconds spent so far.
    """

    def __init__(self, table: Table, seed: int) -> None:
        self.load, self.now = table.load, 0.0
        self._table, self._seed = table, seed
        self._order = np.random.default_rng(seed).permutation(table.seeds).tolist()

    def clock(self) -> float:
        return self.now

    def pace(self, candidate: Candidate) -> float:
        return self._table.pace(candidate.key)

    def time(self, candidate: Candidate) -> float:
        self.now += 0.5
        return self.pace(candidate)

    def train(self, work: Work) -> Outcome:
        key, images = work.candidate.key, work.images
        low, high, share = between(images, SEARCHED)
        seed = self._order[(work.seed - self._seed) % len(self._order)]
        rows = [self._table.row(key, length, seed) for length in (low, high)]
        seconds = self.load.seconds(self.pace(work.candidate), max(images, LENGTHS[0]), work.final)
        self.now += seconds
        loss = math.exp((1 - share) * math.log(rows[0]["loss"]) + share * math.log(rows[1]["loss"]))
        if not work.final:
            select = (1 - share) * rows[0]["select"] + share * rows[1]["select"]
            return Outcome(select, loss, seconds, images, None, self.load.select)
        chance = np.random.default_rng(zlib.crc32(repr((key, images, seed)).encode()))
        right = np.where(chance.random(JUDGED) < share, bits(rows[1], JUDGED), bits(rows[0], JUDGED))
        return Outcome(float(right.mean()), loss, seconds, images, np.packbits(right).tobytes(), JUDGED)


ARMS: Final[dict[str, Arm]] = {
    "ours": ours,
    "ours without surrogate": variant(surrogate=False),
    "random": random_search,
    "halving": halving,
    "halving with rules": functools.partial(halving, with_rules=True),
    "ASHA": asha,
    "ASHA with rules": functools.partial(asha, with_rules=True),
    "one epoch": one_epoch,
    "TPE": tpe,
}
OTHERS: Final = ("random", "halving", "halving with rules", "ASHA", "ASHA with rules")
"""Those of the third claim."""


def replay(table: Table, count: int, repeats: int) -> dict[str, Any]:
    """All arms in the time of ``count`` of the longest trainings."""
    rules = [one for one in table.candidates.values() if known_as(one)]
    draws = [one for one in table.candidates.values() if not known_as(one)]
    paces = {key: table.pace(key) for key in table.candidates}
    seconds = count * statistics.fmean(paces.values()) * LENGTHS[-1]
    plan = make_plan(seconds, [*rules, *draws[: POLICY.draws]], paces, LOAD, POLICY)
    long = plan.delivery.images or plan.finals.images
    found: dict[str, list[dict[str, float]]] = {arm: [] for arm in ARMS}
    judged: dict[str, list[Array]] = {arm: [] for arm in ARMS}
    chosen: dict[str, Counter[str]] = {arm: Counter() for arm in ARMS}
    best = max(table.accuracy(key, long) for key in table.candidates)
    best_rule = max(rules, key=lambda one: table.accuracy(one.key, long))
    for seed in range(repeats):
        order = [draws[number] for number in np.random.default_rng(seed).permutation(len(draws))]
        task = Task(rules, order, best_rule, seconds, plan.finals.images, seed, POLICY, table.order)
        for arm, search in ARMS.items():
            machine = TableMachine(table, seed)
            end = search(task, machine)
            judged[arm].append(table.right(end.chosen.key, end.images))
            truth = 100 * float(judged[arm][-1].mean())
            chosen[arm][end.chosen.key] += 1
            found[arm].append({"accuracy": truth, "regret": best - table.accuracy(end.chosen.key, long),
                               "seconds": machine.now, "images": end.images})  # fmt: skip
    lengths = statistics.fmean(row["images"] for row in found["ours"])

    def beside(rule: Candidate) -> dict[str, Any]:
        spent = seconds / table.pace(rule.key)
        images = {"as long": lengths}
        if count * LENGTHS[-1] <= WHOLE and WHOLE in table.lengths(rule.key):
            images["in equal time"] = min(spent, WHOLE)
        found = {way: table.accuracy(rule.key, length) for way, length in images.items()}
        above = {way: _above(judged["ours"], [table.right(rule.key, length)]) for way, length in images.items()}
        return {**found, "images in equal time": spent, "ours above": above}

    return {
        "seconds": seconds,
        "images of a final": plan.finals.images,
        "images of what is handed over": long,
        "best network": best,
        "arms": {
            arm: {
                **_summary(rows),
                "ours above": _above(judged["ours"], judged[arm]),
                "most often": _favourite(chosen[arm]),
            }
            for arm, rows in found.items()
        },
        "rules": {known_as(one): beside(one) for one in rules},
    }


def rank_correlations(table: Table) -> dict[str, dict[str, float]]:
    """Spearman's, with the losses of all networks after each of the longer trainings; means over seeds.

    Of the losses after each shorter one, and of what the surrogate expects from the two shortest.
    """

    def losses(length: int, seed: int) -> list[float]:
        return [table.row(key, length, seed)["loss"] for key in table.candidates]

    def expected(target: int, seed: int) -> list[float]:
        done = [
            Training(Work(one, length, seed, final=False), Outcome(0.0, loss, 0.0, length, None, LOAD.select))
            for length in LENGTHS[:-1]
            for one, loss in zip(table.candidates.values(), losses(length, seed), strict=True)
        ]
        found = Surrogate(done, target, side=table.load.side).expected(list(table.candidates.values()))
        return [found[key] for key in table.candidates]

    def mean(way: Callable[[int], list[float]], target: int, seeds: Sequence[int]) -> float:
        return statistics.fmean(float(spearmanr(way(seed), losses(target, seed)).statistic) for seed in seeds)

    found: dict[str, dict[str, float]] = {}
    for target in (LENGTHS[-1], LONG):
        seeds = table.seeds_of(target)
        ways = {str(length): functools.partial(losses, length) for length in LENGTHS if length < target}
        ways["expected"] = functools.partial(expected, target)
        found[str(target)] = {name: mean(way, target, seeds) for name, way in ways.items()} if seeds else {}
    return found


def longer(table: Table) -> dict[str, dict[str, float]]:
    """Accuracies after each length, in points, of the networks that were trained longer than searches are judged by."""
    found = dict[str, dict[str, float]]()
    for key, one in table.candidates.items():
        lengths = [length for length in table.lengths(key) if length >= LENGTHS[-1]]
        if lengths[-1] > WHOLE:
            found[described(one)] = {str(length): table.accuracy(key, length) for length in lengths}
    return found


def described(one: Candidate) -> str:
    """A network in a few words."""
    design = one.design
    what = f"{total_depth(design)} blocks, {design.input[1]} px, {format_count(one.params)} parameters"
    return f"{known_as(one) or 'drawn'}, {what}"


def claims(cell: Cell, times: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, bool]]:
    """What holds of the claims of the experiment, in each time.

    Beside rules in two ways: trained as long as the network that ours chose, which is what the choice is worth; and
    with all that the search took spent on their training.
    """

    def among(found: dict[str, Any]) -> dict[str, bool]:
        held = dict[str, bool]()
        for way in ("as long", "in equal time"):
            rules = [one["ours above"][way] for one in found["rules"].values() if way in one["ours above"]]
            if not rules:
                continue
            held |= {
                f"C1: never significantly worse than a rule, trained {way}": all(one["high"] >= 0 for one in rules),
                f"C2: better than every rule, trained {way}": all(one["mean"] > 0 for one in rules),
            }
            if cell.allowance.latency is not None:
                name = f"C4: a point better than every rule at equal latency, trained {way}"
                held[name] = all(one["mean"] >= 1 for one in rules)
        others = [found["arms"][arm]["ours above"] for arm in OTHERS]
        held["C3: better than random, halving and ASHA"] = all(one["mean"] > 0 for one in others)
        held["C3, significantly"] = all(one["low"] > 0 for one in others)
        return held

    return {time: among(found) for time, found in times.items()}


def _summary(rows: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    return {
        "accuracy": harness.interval([row["accuracy"] for row in rows]),
        "regret": harness.interval([row["regret"] for row in rows]),
        "seconds": statistics.fmean(row["seconds"] for row in rows),
    }


def _above(ours: Sequence[Array], others: Sequence[Array]) -> dict[str, float]:
    """By how many points ours are above others, each of (images,), with its 95 % interval.

    Chance lies in the repeats and in the images that judge: what each would move the mean by is summed, as squares.
    """
    apart = 100 * (np.array(ours) - np.array(others))
    variance = sum(float(apart.mean(axis=1 - axis).var(ddof=1)) / apart.shape[axis] for axis in (0, 1))
    mean, half = float(apart.mean()), 1.96 * math.sqrt(variance)
    return {"mean": mean, "low": mean - half, "high": mean + half}


def _favourite(chosen: Counter[str]) -> dict[str, Any]:
    """The network that was chosen most often, and in which share of the repeats."""
    [(key, count)] = chosen.most_common(1)
    return {"network": key, "share": count / chosen.total()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cell", choices=CELLS)
    parser.add_argument("--repeats", type=int, default=100)
    given = parser.parse_args()
    cell = CELLS[given.cell]
    rows = trainings.done(table_name(given.cell))
    table = Table(cell, rows)
    if not table.seeds:
        parser.error(f"the table of {given.cell} is not filled: run table.py first")
    times = {name: replay(table, count, given.repeats) for name, count in TIMES.items()}
    about: dict[str, Any] = {"repeats": given.repeats, "seeds": len(table.seeds), "networks": len(table.candidates)}
    about["rank correlation with the longest"] = rank_correlations(table)
    done = {"trainings": {"done": len(rows), "planned": len({*jobs_of(cell), *rows})}}
    about["trained longer"] = longer(table)
    harness.write(file_name(given.cell), {**about, **done, "claims": claims(cell, times), "times": times})


if __name__ == "__main__":
    main()
