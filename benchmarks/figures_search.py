"""The figures of searches, and of what ``fit`` made, as rows of a table."""

from __future__ import annotations

from collections.abc import Iterator

from figures import Result, Row, at_least, at_most, percent, progress

from convsmith.quantities import format_count, format_probability, format_seconds


def intervals(result: Result) -> Iterator[Row]:
    rows = result["rows"]
    for key, what in (("pooled", "differences between finalists"), ("chosen", "the accuracy of the chosen network")):
        low, high = (percent(end(row[key] for row in rows)) for end in (min, max))
        yield Row(f"95 % intervals that cover {what}, {len(rows)} cases of {result['repeats']}", f"{low} to {high}")


def searcher(result: Result) -> Iterator[Row]:
    for arm, by_time in result["mean"].items():
        found = (f"{row['regret']:.2f} and {row['regret_as_delivered']:.2f} in {time}" for time, row in by_time.items())
        yield Row(arm, "; ".join(found))


def speeds(result: Result) -> Iterator[Row]:
    for name, found in result["tables"].items():
        resolution, depthwise = (found["speeds"][key] for key in ("resolution", "depthwise"))
        slopes = f"{resolution:+.3f} for twice the resolution, {depthwise:+.3f} for depthwise convolutions"
        yield Row(f"learning speed, {name} images ({found['networks']} networks)", slopes)
        unknown = found["ranks without known speeds"]
        told = ", ".join(f"{way} {rank:.2f} ({unknown[way]:.2f})" for way, rank in found["ranks"].items())
        yield Row(f"rank correlation with the end, and without known speeds; {name}", told)
        for last, late in found["late speeds"].items():
            slopes = f"{late['depth']:+.3f} for twice the depth, {late['parameters']:+.3f} for twice the parameters"
            what = f"late learning speed, {name.partition(', to ')[0]}, 22,500 to {int(last):,} images"
            yield Row(f"{what} ({late['networks']} networks)", slopes)


def processes(result: Result) -> Iterator[Row]:
    for way, ratio in result["times as fast as one process"].items():
        found = f"{ratio['median']:.2f} times ({ratio['minimum']:.2f} to {ratio['maximum']:.2f})"
        yield Row(f"{way}, over one process with one thread", found)


def saturation(result: Result) -> Iterator[Row]:
    for axis, curve in result["curves"].items():
        first, *_, last = (one for one in curve["points"] if one["accuracy"] is not None)
        low, high = (percent(end) for end in last["ci95"])
        cost = f"{format_count(first['macs'])} to {format_count(last['macs'])} multiply-adds"
        found = f"{percent(first['accuracy'])} to {percent(last['accuracy'])} ({low} to {high}; {last['seeds']} seeds)"
        yield Row(f"{axis}, {cost}", found)
    yield Row("in words", result["sentence"])


def experiment(result: Result) -> Iterator[Row]:
    yield progress(result)
    for time, found in result["times"].items():
        length = f"{format_seconds(found['seconds'])}, {format_count(found['images of what is handed over'])} images"
        yield Row(f"the best of {result['networks']} networks, {length}", f"{found['best network']:.2f} %")
        for arm, row in found["arms"].items():
            ahead = row["ours above"]
            beside = f"; ours above {ahead['mean']:.2f} ({ahead['low']:.2f} to {ahead['high']:.2f})"
            yield Row(f"{arm}, {time}", f"{row['accuracy']['mean']:.2f} %{'' if arm == 'ours' else beside}")
        rules = found["rules"]
        for way in ("as long", "in equal time"):
            told = [rule for rule in rules if way in rules[rule]]
            if not told:
                continue
            name = max(told, key=lambda rule, way=way: rules[rule][way])
            yield Row(f"best of the rules, {name}, trained {way}, {time}", f"{rules[name][way]:.2f} %")
        for claim, holds in result["claims"][time].items():
            yield Row(f"{claim}, {time}", "holds" if holds else "does not hold")
    for network, by_length in result["trained longer"].items():
        lengths = ", ".join(f"{int(length):,}" for length in by_length)
        yield Row(f"{network}: after {lengths} images", ", ".join(f"{one:.1f}" for one in by_length.values()) + " %")


def warm(result: Result) -> Iterator[Row]:
    way, share = "warm, 60 % of the time", result["goals"]["share of the time"]
    for time, kinds in result["regret"].items():
        for kind, what in (("choice", "its choice"), ("delivered", "the network as it was trained")):
            behind = kinds[kind][way]["less cold"]
            found = f"{behind['mean']:.2f} points ({behind['low']:.2f} to {behind['high']:.2f})"
            text = f"warm in {percent(share)} of the time, first search {time}: {what} behind that of a cold one"
            yield Row(text, found, "none", behind["low"] <= 0)
        behind = kinds["delivered"]["warm"]["less cold"]
        found = f"{-behind['mean']:.2f} points ({-behind['high']:.2f} to {-behind['low']:.2f})"
        yield Row(f"warm in all of the time, first search {time}: the network as it was trained ahead", found)


def fit_photographs(result: Result) -> Iterator[Row]:
    for name, found in (
        ("the network in the folder, after one long training", result["delivered"]),
        ("the same network in the finals", result["accuracy"]),
    ):
        low, high = (percent(end) for end in found["ci95"])
        yield Row(name, f"{percent(found['test'])} ({low} to {high})")
    finalists = {name: rule for name, rule in result["rules"].items() if rule["judged_on"] == "test"}
    for name, rule in finalists.items():
        low, high = (percent(end) for end in rule["ci95"])
        better = rule["probability_chosen_is_better"]
        found = f"{percent(rule['accuracy'])} ({low} to {high})"
        yield Row(
            f"what the rule {name} makes of the budget",
            found if better is None else f"{found}; behind with probability {format_probability(better)}",
        )
    macs, budget = [row["macs"] for row in result["candidates"]], result["budget"]["macs"]
    within = sum(0.97 * budget < one <= budget for one in macs) / len(macs)
    yield at_least(f"of {len(macs)} networks trained, those within 97 % to 100 % of the budget", within, 1, percent)
    trained = sum(rung["seconds"] for one in result["candidates"] for rung in one["rungs"])
    trained += result["seconds"]["final"] + result["delivered"]["seconds"]
    planned = 1 - trained / result["seconds"]["search"]
    yield at_most("of the search's time, what was not training", planned, 0.03, percent)
    used, asked = result["seconds"]["total"], 60 * result["budget"]["minutes"]
    yield Row("time used of that given", percent(used / asked))
