"""The figures that committed results hold, as rows of a table: what, how much, what it was to be."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from convsmith.quantities import format_bytes, format_count, format_percent, format_seconds

Result = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Row:
    """One figure.

    Attributes:
        what: Is measured.
        found: The figure, with its unit.
        goal: What it was to be; empty where none was set.
        met: Whether it is.
    """

    what: str
    found: str
    goal: str = ""
    met: bool = True

    def cells(self) -> tuple[str, str, str]:
        return self.what, self.found, self.goal and f"{self.goal}: {'met' if self.met else '**missed**'}"


def at_least(what: str, value: float, goal: float, show: Callable[[float], str]) -> Row:
    """A figure that is the better the larger it is."""
    return Row(what, show(value), f"at least {show(goal)}", value >= goal)


def at_most(what: str, value: float, goal: float, show: Callable[[float], str]) -> Row:
    """A figure that is the better the smaller it is."""
    return Row(what, show(value), f"at most {show(goal)}", value <= goal)


def times(value: float) -> str:
    return f"{value:.4g} times"


def percent(fraction: float) -> str:
    return format_percent(fraction, 1 if 0.02 < fraction < 0.98 else 2)


def points(gain: Result) -> str:
    """A difference in points of accuracy with its interval."""
    mean, low, high = (100 * gain[key] for key in ("mean", "low", "high"))
    return f"{mean:+.1f} points ({low:+.1f} to {high:+.1f}; {gain['seeds']} seeds)"


def progress(result: Result) -> Row:
    """How far a table got that takes hours."""
    return Row("trainings done", "{done} of {planned}".format(**result["trainings"]))


def peers(result: Result) -> Iterator[Row]:
    tools = ", ".join(name for name in result["tools"] if name not in ("torch", "torchvision", "timm"))
    others = result["totals"] - result["equal"] - len(result["unexplained"])
    yield Row(f"totals compared, by the conventions of {tools} and torch", f"{result['totals']:,}")
    yield Row("equal to the last digit", f"{result['equal']:,}")
    yield Row("different, with the tool's reason named in the file", f"{others:,}")
    yield at_most("different without a reason", len(result["unexplained"]), 0, format_count)
    apart = {name: max(of.values()) / min(of.values()) for name, of in result["networks"].items()}
    for name in ("torchvision:resnet50", "torchvision:convnext_tiny"):
        yield Row(f"largest over smallest total that the tools print for `{name}`", times(apart[name]))


def sweep(result: Result) -> Iterator[Row]:
    for title, group in result["groups"].items():
        macs, params = group["macs equal to half of FlopCounterMode"], group["parameters equal"]
        yield Row(f"{title}: networks read", f"{group['read']:,} of {group['networks']:,}")
        yield Row(f"{title}: multiply-adds equal to half of FlopCounterMode's", f"{macs:,}")
        yield Row(f"{title}: parameters equal to torch's", f"{params:,}")


def onnx_real(result: Result) -> Iterator[Row]:
    what = f"{result['compared']} networks, rebuilt in torch, against onnxruntime: largest relative difference"
    yield at_most(what, result["largest_disagreement"], result["goals"]["disagreement"], "{:.1g}".format)


def foreign_weights(result: Result) -> Iterator[Row]:
    goals, mnist = result["goals"], result["mnist"]
    photographs = result["photographs_right"]
    yield at_least("photographs that EfficientNet-Lite0 tells rightly", photographs, goals["photographs"], format_count)
    yield at_least("a published digit recognizer on MNIST", mnist["accuracy"], goals["mnist"], percent)


def inspector(result: Result) -> Iterator[Row]:
    goal = result["goals"]["times faster than the fastest peer"]
    for row in result["networks"]:
        ours, theirs = (row["times"][name]["median"] for name in ("convsmith", row["fastest_peer"]))
        what = f"{row['network']}: {format_seconds(ours)}; over the fastest peer, {row['fastest_peer']}"
        yield at_least(what, theirs / ours, goal, times)


def start(result: Result) -> Iterator[Row]:
    names = {"help": "--help", "inspect_resnet50": "inspect zoo:resnet50", "conv": "conv"}
    goals = result["goals"]
    for key, name in names.items():
        yield at_most(
            f"`convsmith {name}`, as a process", result["processes"][key]["median"], goals[key], format_seconds
        )
    calls = {"call": result["calls"]["inspect_resnet50"], "conv_matrix": result["conv_matrix"]}
    yield at_most("the table of ResNet-50, from Python", calls["call"]["median"], goals["call"], format_seconds)
    what = "the matrix of a 32x32x16 to 16 3x3 layer"
    yield at_most(what, calls["conv_matrix"]["median"], goals["conv_matrix"], format_seconds)


def arithmetic(result: Result) -> Iterator[Row]:
    goals = result["goals"]
    yield at_least(
        "random layers on which loop, matrix and torch in float64 agree",
        result["layers"],
        goals["layers"],
        format_count,
    )
    yield at_most("largest difference", result["largest_difference"], goals["largest_difference"], "{:.0e}".format)
    what = "megabytes for the matrix of a 32x32x16 to 16 3x3 layer"
    yield at_most(what, result["matrix_megabytes"], goals["matrix_megabytes"], format_count)


def solver(result: Result) -> Iterator[Row]:
    goals, rows = result["goals"], result["rows"]
    yield at_most("networks above their budget", sum(row["above"] for row in rows), goals["above"], format_count)
    what = f"networks that fill 97 % of it where any can, in the worst of {len(rows)} cases"
    yield at_least(what, result["least_filled"], goals["filled"], percent)
    what = "networks made in a second"
    yield at_least(what, result["designs_per_second"]["median"], goals["designs_per_second"], format_count)


def latency(result: Result) -> Iterator[Row]:
    estimate, line = result["estimate"], result["fitted_floor_macs_activations"]
    yield Row(f"error of the predicted time, median of {result['networks']}", percent(estimate["median_ape"]))
    yield Row("the same of a line through multiply-adds and activations", percent(line["median_ape"]))
    yield Row("networks within 10 %", percent(estimate["within_10"]))
    yield Row("rank correlation of predicted and measured times", f"{estimate['spearman']:.3f}")


def cache(result: Result) -> Iterator[Row]:
    for name, ratios in result["ratios"].items():
        yield at_least(f"{name.replace('_', ' ')}, over Pillow in one process", ratios["cache"], result["goal"], times)
        yield Row("the same on one core", times(ratios["cache_on_one_core"]))


def augment(result: Result) -> Iterator[Row]:
    for size, policies in result["policies"].items():
        ratios = [policy["ratio"] for policy in policies.values()]
        yield Row(f"{size}, {len(ratios)} policies", f"{min(ratios):.1f} to {max(ratios):.1f} times")


def large(result: Result) -> Iterator[Row]:
    what = f"memory while {format_bytes(result['shards']['bytes'])} of shards are cached and trained on"
    yield at_most(what, result["peak_anonymous_bytes"], result["limit_bytes"], format_bytes)


def training(result: Result) -> Iterator[Row]:
    for name, network in result["networks"].items():
        goals, dtype = result["goals"][name], network["setup"]["dtype"]
        yield at_least(f"{name}, over the usual loop", network["times_usual"], goals["times_usual"], times)
        what = f"{name}, over the best plain configuration, tuned by hand"
        yield at_least(what, network["times_tuned"], goals["times_tuned"], times)
        if "share_of_peak" in goals:
            what = f"{name}, share of the peak of matrix products in {dtype}"
            yield at_least(what, network["share_of_peak"][dtype], goals["share_of_peak"], percent)
            yield Row("the same over the peak in float32", percent(network["share_of_peak"]["float32"]))


def loops(result: Result) -> Iterator[Row]:
    for name, network in result["networks"].items():
        for loop, ratio in network["times"].items():
            what = f"{name}, over {loop} {result['loops'].get(loop, 'torch')}"
            yield at_least(what, ratio, result["goals"][name], times) if loop == "plain" else Row(what, times(ratio))


def accuracy(result: Result) -> Iterator[Row]:
    yield progress(result)
    for arm, row in result["accuracy"].items():
        low, high = (percent(row[end]) for end in ("low", "high"))
        took = format_seconds(result["seconds"][arm])
        who = f"the usual recipe, {result['usual epochs']}" if arm == "usual" else arm.replace(" ", ", ")
        yield Row(f"{who} epochs, {row['seeds']} seeds", f"{percent(row['mean'])} ({low} to {high}) after {took}")
    what = "the accuracy of the usual recipe, reached sooner"
    goal, sooner = result["goals"]["times sooner"], result["times_sooner"]
    yield at_least(what, sooner, goal, times) if sooner else Row(what, "not reached", times(goal), met=False)


def probe(result: Result) -> Iterator[Row]:
    for name, network in result["networks"].items():
        seconds = format_seconds(network["race_seconds"]["median"])
        regret = percent(network["regret"]["median"] - 1)
        yield Row(f"{name}: given away to the best of all setups, after {seconds}", regret)
        torchs, ours = (
            min(time["median"] for setup, time in network["seconds"].items() if f" {kind} " in setup)
            for kind in ("torch", "kernels")
        )
        yield Row(f"{name}: with our kernels, over the best of torch's setups", times(torchs / ours))


def threads(result: Result) -> Iterator[Row]:
    for where in ("alone", "in company"):
        for how in ("awake", "asleep"):
            yield Row(f"{where}, threads wait {how}", times(result["times_default"][where][how]))


def resume(result: Result) -> Iterator[Row]:
    goals = result["goals"]
    for name, network in result["networks"].items():
        yield at_most(f"{name}: share of the time that checkpoints take", network["share"], goals["share"], percent)
        seconds = network["calls"]["resume"]["median"]
        yield at_most(f"{name}: going on from a checkpoint", seconds, goals["resume"], format_seconds)


def minutes(result: Result) -> Iterator[Row]:
    goal = result["goals"]["off by"]
    for name, run in result["runs"].items():
        off, asked = run["off by"], format_seconds(run["asked"])
        yield Row(f"{name}, {asked}", format_percent(off, signed=True), f"within {percent(goal)}", abs(off) <= goal)


def recipe(result: Result) -> Iterator[Row]:
    yield progress(result)
    for name, gain in result["muon over sgd"].items():
        yield Row(f"Muon over SGD, {name}", points(gain))
    for name, gain in result["muon, one thing changed"].items():
        if gain["seeds"] >= 3:
            yield Row(name, points(gain))


def imbalance(result: Result) -> Iterator[Row]:
    yield progress(result)
    for arm, row in result["accuracy"].items():
        gain, rare = (result[f"over each image alike{of}"][arm] for of in ("", ", rare classes"))
        more = "" if arm == "balance 0" else f"; {points(gain)}, the three rarest classes {points(rare)}"
        yield Row(arm, f"{percent(row['mean'])}{more}")


def rates(result: Result) -> Iterator[Row]:
    yield progress(result)
    for arm, row in result["networks"].items():
        network, optimizer = arm.split(" | ")
        low, high = (f"{end(row['rates found']):.2g}" for end in (min, max))
        what = f"{network}, {optimizer}: the rate found, {low} to {high}, against the best of the grid, "
        yield Row(f"{what}{row['best of the grid']:g}", points(row["found over best"]))
        yield Row("at half of that rate", points(row["half of it over best"]))


def recalibration(result: Result) -> Iterator[Row]:
    apart = result["how far the losses of networks lie apart"]
    yield Row(f"how far the losses of {result['networks']} networks lie apart", f"{apart:.3f}")
    for images, found in result["images"].items():
        moved = f"{found['moved']:.4f}; rank correlation {found['rank correlation']:.3f}"
        yield Row(f"{images} images: how far they move", moved)


def regularisation(result: Result) -> Iterator[Row]:
    yield progress(result)
    gains: dict[str, list[str]] = {}
    for arm, gain in result["above label smoothing"].items():
        network, strength = arm.rsplit(" | ", 1)
        if gain["seeds"] > 1 and strength != "label smoothing":
            gains.setdefault(network, []).append(f"{strength} {100 * gain['mean']:+.1f}")
    for network, found in gains.items():
        width, passes = network.split(" | ")
        macs, seeds = result["macs"][width], result["accuracy"][f"{network} | label smoothing"]["seeds"]
        what = f"{width} width, {format_count(macs)} MACs, {passes} passes: points over label smoothing alone"
        yield Row(what, f"{'; '.join(found)} ({seeds} seeds)")


def blocks(result: Result) -> Iterator[Row]:
    yield progress(result)
    for equal, unit in (("macs", "multiply-adds"), ("latency", "time")):
        for family, row in result[f"equal {equal}"].items():
            gain, mean = row["above residual"], percent(row["accuracy"]["mean"])
            found = mean if family == "residual" else f"{mean}; {points(gain)} against residual"
            yield Row(f"{family}, at equal {unit}: {format_count(row['macs'])}, {row['milliseconds']:.2f} ms", found)


def depth(result: Result) -> Iterator[Row]:
    yield progress(result)
    for each, row in result["blocks a stage"].items():
        plain, residual = (percent(row[kind]["accuracy"]["mean"]) for kind in ("plain", "residual"))
        gain = points(row["residual above plain"])
        yield Row(f"3 stages of {each}: plain, residual, difference", f"{plain}; {residual}; {gain}")


def similarity(result: Result) -> Iterator[Row]:
    yield progress(result)
    figures = {
        "within": "CKA of layers within stages",
        "between": "CKA of layers of different stages",
        "at_same_distance": "what a border adds between layers equally far apart",
        "restored": "of half a layer's channels restored from the others",
    }
    for name, network in result["networks"].items():
        for key, what in figures.items():
            found = network[key]
            spread = f" ({found['low']:.2f} to {found['high']:.2f}; {found['seeds']} seeds)" if "low" in found else ""
            yield Row(f"{name}: {what}", f"{found['mean']:.2f}{spread}")


def study(result: Result) -> Iterator[Row]:
    for workers, row in result["workers"].items():
        found = f"{row['trainings_per_second']:.0f} a second, {row['milliseconds_each']:.1f} ms each"
        yield Row(f"trainings recorded by {workers} {'worker' if workers == '1' else 'workers'}", found)
    yield Row("bytes for one, with its answers to 10,000 images", format_bytes(result["bytes_per_training"]))


def studio(result: Result) -> Iterator[Row]:
    goals = result["goals"]
    waits = {
        "first_paint": "first paint",
        "slider_to_cost": "slider to new cost on screen, ResNet-152",
        "lab_slider": "slider of the convolution lab",
        "event_to_page": "an event of a run on the page",
    }
    for key, what in waits.items():
        yield at_most(what, result[key]["median"], goals[key], format_seconds)
    longest = max(result["longest_task"], *result["longest_task_of_large"].values())
    what = "longest task, also with 10,000 networks or 1,000 layers"
    yield at_most(what, longest, goals["longest_task"], format_seconds)
    yield at_most("weight of the page without Plotly", result["page_bytes"], goals["page_bytes"], format_bytes)
