"""docs/measured.md: every figure that convsmith states about itself, beside its goal, from what benchmarks wrote.

python benchmarks/measured.py    # writes the page anew
"""

from __future__ import annotations

import dataclasses
import json
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import figures
import figures_search
import harness
from figures import Result, Row

from convsmith.training.evaluate import RANKING_IMAGES, RECALIBRATION_IMAGES

PAGE = Path(__file__).parents[1] / "docs" / "measured.md"

HEAD = """# What is measured

Every figure that convsmith states about itself, beside its goal where there was one; goals that were missed stand among
the others. Speeds were compared side by side in one run, on machines of two cores that others used too; medians.
The files, under `benchmarks/results/`, have the spread, the machine and the versions as well.
`python benchmarks/measured.py` writes this page from them.
"""


@dataclasses.dataclass(frozen=True)
class Section:
    """What one benchmark found.

    Attributes:
        title: Of the section.
        result: Name of the file.
        command: That writes the file.
        rows: The figures in the file.
        why: What the figures leave open, and why a goal was missed.
    """

    title: str
    result: str
    command: str
    rows: Callable[[Result], Iterator[Row]]
    why: str = ""

    def __str__(self) -> str:
        result = read(self.result)
        cpu = result["machine"]["cpu"]
        rows = list(self.rows(result))
        cells = [("figure", "measured", "goal"), ("---", "---", "---"), *map(Row.cells, rows)]
        width = 3 if any(row.goal for row in rows) else 2
        table = "\n".join(f"| {' | '.join(row[:width])} |" for row in cells)
        head = f"## {self.title}\n\n`{self.command}`, `{self.result}.json`, {cpu}."
        return "\n\n".join(part for part in (head, table, textwrap.fill(self.why, 120)) if part)


def read(name: str) -> Result:
    """A committed result."""
    return json.loads((harness.RESULTS / f"{name}.json").read_text(encoding="utf-8"))


SECTIONS = (
    Section("Counts against those of other tools", "peers", "make bench-peers", figures.peers),
    Section("Networks that can be read", "sweep", "make bench-sweep", figures.sweep),
    Section("Files of other programs", "onnx_real", "python benchmarks/onnx_real.py", figures.onnx_real),
    Section("Weights of others", "foreign_weights", "python benchmarks/foreign_weights.py", figures.foreign_weights),
    Section(
        "Time for the table of a module",
        "inspector",
        "make bench-peers",
        figures.inspector,
        "The others run the network once, which for a small one takes little; ours reads it operator by operator "
        "without running it, so its time goes with their number.",
    ),
    Section(
        "Time to start",
        "start",
        "python benchmarks/start.py",
        figures.start,
        "Every command loads typer, and that pydantic.",
    ),
    Section("Convolution arithmetic", "arithmetic", "python benchmarks/arithmetic.py", figures.arithmetic),
    Section("Networks for a budget", "solver", "python benchmarks/solver.py", figures.solver),
    Section("Predicted time on this machine", "latency", "python benchmarks/latency.py", figures.latency),
    Section(
        "Building the cache",
        "cache",
        "python benchmarks/cache.py",
        figures.cache,
    ),
    Section("Augmenting whole batches over image by image", "augment", "python benchmarks/augment.py", figures.augment),
    Section("More images than memory", "large", "python benchmarks/large.py", figures.large),
    Section(
        "Training, on a processor with AMX, in bfloat16",
        "training",
        "python benchmarks/training.py FOLDER",
        figures.training,
        "The inverted residual network is a thousandth below its second goal.",
    ),
    Section(
        "Training, on a processor with AVX-512, without AMX",
        "loops",
        "make bench-loops",
        figures.loops,
        "The goal of the residual network was set where bfloat16 is fast; in float32 the convolutions of all loops are "
        "the same calls of one library.",
    ),
    Section(
        "Training, on a processor with AVX2",
        "loops_avx2",
        "make bench-loops",
        figures.loops,
    ),
    Section(
        "Time to a fixed accuracy",
        "accuracy",
        "python benchmarks/accuracy.py FOLDER",
        figures.accuracy,
        "ResNet-20 on 10,000 photographs, in float32 for both: accuracy over seeds, seconds by the images a second of "
        "both loops side by side, with DataLoader and Pillow in the usual one.",
    ),
    Section("The race of setups", "probe", "python benchmarks/probe.py", figures.probe),
    Section(
        "How threads wait, over the default of the library",
        "threads",
        "python benchmarks/threads.py",
        figures.threads,
        "In company: while another program keeps every core busy.",
    ),
    Section("Checkpoints", "resume", "python benchmarks/resume.py", figures.resume),
    Section(
        "How well `--minutes` is kept",
        "minutes",
        "python benchmarks/minutes.py",
        figures.minutes,
    ),
    Section("The recipe", "recipe", "python benchmarks/recipe.py FOLDER", figures.recipe),
    Section(
        "Weights for rare classes, where the largest of ten is 20 times the smallest",
        "imbalance",
        "python benchmarks/imbalance.py FOLDER",
        figures.imbalance,
        "Judged on as many images of each class; the recipe's default is a balance of 0, each image alike.",
    ),
    Section(
        "The learning rate that a range test finds",
        "rates",
        "python benchmarks/rates.py FOLDER",
        figures.rates,
        "The test's factor was chosen on these networks.",
    ),
    Section(
        "From how few images batch norms can be computed anew, where networks are only ranked",
        "recalibration",
        "python benchmarks/recalibration.py FOLDER",
        figures.recalibration,
        f"After 2,500 photographs, beside batch norms from 8,448. A rung takes {RANKING_IMAGES} images, finals "
        f"{RECALIBRATION_IMAGES}.",
    ),
    Section(
        "How much regularisation a network wants",
        "regularisation",
        "python benchmarks/regularisation.py FOLDER",
        figures.regularisation,
        "Mirrored, shifted, with label smoothing: the recipe. More of it costs accuracy at every size, so the recipe "
        "does not go by the size.",
    ),
    Section(
        "Kinds of blocks",
        "blocks",
        "python benchmarks/blocks/families.py FOLDER",
        figures.blocks,
        "Three stages of two blocks with their defaults, 20,000 photographs each. Ghost blocks have more channels for "
        "the same multiply-adds, and take the time.",
    ),
    Section(
        "Depth with and without shortcuts",
        "depth",
        "python benchmarks/blocks/depth.py FOLDER",
        figures.depth,
        "20,000 photographs each, whatever the depth; the file has the gradients before the first step, too.",
    ),
    Section(
        "Layers that are alike",
        "similarity",
        "python benchmarks/similarity.py FOLDER",
        figures.similarity,
        "Three stages of three blocks, six passes over photographs. Layers of one stage are more alike than those of "
        "two because they lie nearer to each other: of the border itself nothing shows.",
    ),
    Section(
        "A whole `fit`: cifar10-20k, 8M multiply-adds, 30 minutes",
        "fit-cifar10-20k",
        "python benchmarks/fit/whole.py FOLDER",
        figures_search.fit_photographs,
        "What is not training, above all reading images and timing networks, takes as long in a longer run. Finals "
        "compare networks after short trainings; the long one, of 92 passes, is compared with nothing.",
    ),
    Section(
        "Trainings of a search at the same time",
        "processes",
        "python benchmarks/processes.py FOLDER",
        figures_search.processes,
        "Eight trainings of networks of 8M multiply-adds, five times in turn.",
    ),
    Section("A study that workers share in PostgreSQL", "study", "python benchmarks/study.py", figures.study),
    Section("The studio in Debian's chromium", "studio", "python benchmarks/studio.py", figures.studio),
    Section("Intervals of `fit`", "intervals", "python benchmarks/intervals.py", figures_search.intervals),
    Section(
        "The search: points behind the best of networks whose accuracy is known",
        "searcher",
        "python benchmarks/searcher.py",
        figures_search.searcher,
        "All have the same seconds, divide those of their finals by one rule, and end with one long training of the "
        "network they chose. The first figure is of the choice, all trained alike; the second of the network as it "
        "is handed over. Both are best for ours among the searches in both times, but for its choice in 4 h, which "
        "is better without the surrogate: that takes for known how real networks learn, and on no surface do deep "
        "networks or those of many parameters gain most from long training. The best rule is one that nobody knows "
        "beforehand.",
    ),
    Section(
        "A search of half the budget, after one of the whole",
        "warm",
        "python benchmarks/warm.py",
        figures_search.warm,
        "On the same surfaces. What is known saves the time to find a network, not that to train it: in 60 % of the "
        "time that training is shorter, unless it was as long as any may be.",
    ),
    Section(
        "Which networks learn fast, and how well short trainings tell who is ahead later",
        "fit_speeds",
        "python benchmarks/fit/speeds.py",
        figures_search.speeds,
        "The power of the images by which a loss falls, beside that of other networks: below zero, it falls faster. "
        "The surrogate knows these speeds before anything is trained, and was given figures between those of the "
        "two data sets and half of the late ones; so what it gains here is no forecast of what it gains on other "
        "images.",
    ),
    Section(
        "Saturation curves: depth, width and resolution raised alone and together",
        "fit_saturation",
        "python benchmarks/fit/saturation.py FOLDER --minutes 40 --out RUN",
        figures_search.saturation,
        "From a base of three blocks at half the side of the images, each network trained on 79,000 images. Resolution "
        "ends where the images do: 32 pixels. Depth alone gains a point with its first doubling and loses after, "
        "where in EfficientNet's figure of ImageNet it pays as the others do. Twenty-two blocks learn slowly, so "
        "that is of trainings of this length, 8 passes.",
    ),
    Section(
        "The experiment: 10,000 photographs, 6M multiply-adds",
        "fit_photographs_6M",
        'python benchmarks/fit/table.py cifar10-20k "photographs, 6M"; '
        'python benchmarks/fit/compare.py "photographs, 6M"',
        figures_search.experiment,
        "Searches are replayed on trainings done beforehand, in three times: those of 8, 16 and 40 trainings of "
        "22,500 images. What they hand over was trained on no more than 67,500 images, which is as far as the table "
        "goes for all networks. Intervals hold the chance of the repeats and of the images that judge. Of the claims "
        "that the experiment set out to test only one holds, and only in the longest time: no rule is significantly "
        "better. In the shortest time ours is ahead of all searches but ASHA with rules, which is lucky: it always "
        "ends with a rule, the best network of all. In the longest it is 0.6 points behind the best network, ahead "
        "of random search and TPE and within a quarter of a point of the others: of 24 drawn networks all that train "
        "long enough choose the same. In between, finals see 20,000 images, after which a network of 30k "
        "parameters is a third of a point ahead of one of 128k; the order turns after that "
        "(`benchmarks/fit/photographs_6M.png`), and the first ends a point behind. What the surrogate takes for "
        "known was found on this table, so its gain in the shortest time is no forecast. After 540,000 images, 64 "
        "passes, four networks that shorter trainings rank by 3 points and in another order are within 1.3. Most "
        "rules that are given all of the shortest time get further than all searches.",
    ),
    Section(
        "The experiment: 10,000 images of Fashion-MNIST, 6M multiply-adds",
        "fit_fashion_6M",
        'python benchmarks/fit/table.py cifar10-20k "fashion, 6M"; python benchmarks/fit/compare.py "fashion, 6M"',
        figures_search.experiment,
        "As above, with one seed, so that finals repeat one training, and without trainings of 180,000 images. The "
        "first two claims hold beside rules trained as long as what ours hands over, in all times. The third holds "
        "in the shortest time; in the longest ours is level with halving, ASHA and one epoch, which all find the "
        "best network, and ahead of the others; in between random search and TPE are up to a sixth of a point "
        "ahead. What the surrogate is given of long training was decided before these trainings of 67,500 images "
        "were looked at.",
    ),
)


def page() -> str:
    """The text of docs/measured.md."""
    return "\n".join((HEAD, *(f"{section}\n" for section in SECTIONS)))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
