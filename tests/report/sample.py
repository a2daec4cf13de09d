"""A report as ``fit`` writes it, with names that try to break a page, and with gaps wherever there may be some."""

import random
from typing import Any

NASTY_FILE = "cats/<script>alert('1')</script>\n图片\udc80 & \"x\".jpg"
NASTY_CLASSES = ["<script>alert(2)</script>", "猫 (猫科动物)", "a|b`c*d_e", "costs $5 or $6", "</script><b>", "dog"]

AXES = ("depth", "width", "resolution")
RULES: dict[str, tuple[float, float, float]] = {
    "depth_only": (1.0, 0.0, 0.0),
    "width_only": (0.0, 1.0, 0.0),
    "resolution_only": (0.0, 0.016, 0.984),
    "uniform": (0.34, 0.33, 0.33),
    "efficientnet": (0.28, 0.29, 0.43),
    "dwr": (0.10, 0.80, 0.10),
    "regnet": (0.0, 1.0, 0.0),
    "tinynet": (-0.31, 0.73, 0.58),
}


def design(name: str, width: int, depth: int, side: int, classes: int) -> str:
    stages = "".join(
        f'\n[[stage]]\nblock = "residual"\ndepth = {depth + number}\n'
        f"width = {width << number}\nstride = {1 + (number > 0)}\n"
        for number in range(3)
    )
    return (
        f'name = "{name}"\ninput = [3, {side}, {side}]\n\n[stem]\nblock = "conv"\nwidth = {width}\n{stages}'
        f'\n[head]\ntask = "classify"\nclasses = {classes}\n'
    )


def fit_report(classes: list[str] | None = None, draws: int = 24) -> dict[str, Any]:
    """A finished search of eight rules and ``draws`` drawn networks over three rungs."""
    chance, classes = random.Random(7), classes or NASTY_CLASSES
    splits = [(name, shares) for name, shares in RULES.items()]
    for number in range(draws):
        raw = [chance.expovariate(1) for _ in AXES]
        shares = [value / sum(raw) * 1.5 - 1 / 6 for value in raw]
        splits.append((f"draw:{number}", (shares[0], shares[1], shares[2])))
    candidates = [_candidate(name, shares, len(classes), chance) for name, shares in splits]
    ranked = sorted(candidates, key=lambda one: -one["rungs"][0]["accuracy"])
    for place, one in enumerate(ranked):
        for number in (2, 3)[: (place < 14) + (place < 6)]:
            better = one["rungs"][-1]["accuracy"] + chance.uniform(0.02, 0.06)
            one["rungs"].append(_rung(20_000 * 3 ** (number - 1), better))
        if place < 4:
            accuracy = one["rungs"][-1]["accuracy"] + 0.02
            interval = [accuracy - 0.013, accuracy + 0.012]
            one["final"] = {"accuracy": accuracy, "ci95": interval, "seeds": 3}
    failed = ranked[-1]
    failed |= {"failure": "loss is not a number after 64 images <b>", "rungs": [_rung(64, 0.1) | {"log_loss": None}]}
    chosen = ranked[1]
    return {
        "schema": "convsmith/report/1",
        "kind": "fit",
        "name": "pets <1>",
        "sentence": f"The network {chosen['key']} ties with one other & costs less.",
        "budget": {"macs": 10_000_000, "params": 1_000_000, "latency_ms": None, "minutes": 30.0},
        "chosen": {**_network(chosen), "name": "residual-w14", "latency_ms": 1.234, "input": [3, 28, 28]},
        "accuracy": {
            "test": chosen["final"]["accuracy"],
            "ci95": chosen["final"]["ci95"],
            "seeds": 3,
            "images": 1_200,
            "log_loss": 0.2512,
            "calibration_error": 0.0213,
        },
        "delivered": {
            "images": 1_120_000,
            "of_finals": 6.22,
            "seed": 16,
            "seconds": 412.0,
            "test": 0.9142,
            "ci95": [0.8971, 0.9287],
        },
        "ties": [_network(one) | {"origin": one["origin"], "accuracy": one["final"]["accuracy"]} for one in ranked[:2]],
        "rules": {one["origin"].removeprefix("rule:"): _rule(one) for one in candidates if "rule:" in one["origin"]}
        | {"resnet_rs": {"design": None, "accuracy": None, "failure": "no such network within 10M MACs"}},
        "candidates": candidates,
        **_of_any_run(classes, chance),
    }


def train_report() -> dict[str, Any]:
    """A training of one network: no search, no shares."""
    report = fit_report() | {"kind": "train", "rules": {}, "candidates": [], "ties": []}
    report["chosen"] = {**report["chosen"], "shares": None, "latency_ms": None}
    report["budget"] = {"macs": None, "params": None, "latency_ms": None, "minutes": None}
    report["history"] = [_point(number / 100) for number in range(1, 101)]
    rates = [1e-4 * 1.12**number for number in range(100)]
    report["rate_test"] = {
        "rates": rates,
        "losses": [max(0.9, 2.3 - 40 * rate) + rate for rate in rates],
        "rate": 0.0175,
    }
    return report | {"rejected": [], "notes": [], "plan": {}}


def _candidate(name: str, shares: tuple[float, float, float], classes: int, chance: random.Random) -> dict[str, Any]:
    width, depth, side = (
        round(8 + 10 * max(shares[1], 0)),
        max(1, round(4 * shares[0])),
        round(20 + 12 * max(shares[2], 0)),
    )
    quality = 0.78 - 0.25 * ((shares[0] - 0.3) ** 2 + (shares[1] - 0.45) ** 2) + chance.gauss(0, 0.01)
    return {
        "key": f"{chance.getrandbits(48):012x}",
        "origin": name if ":" in name else f"rule:{name}",
        "stratum": AXES[shares.index(max(shares))],
        "design": design(f"residual-w{width}-r{side}", width, depth, side, classes),
        "macs": chance.randrange(9_700_000, 10_000_000),
        "params": chance.randrange(90_000, 700_000),
        "shares": dict(zip(AXES, shares, strict=True)),
        "rungs": [_rung(20_000, quality)],
        "final": None,
        "failure": "",
    }


def _point(fraction: float) -> dict[str, Any]:
    judged = int(fraction * 10) / 10
    return {
        "fraction": fraction,
        "images": round(98_000 * fraction),
        "learning_rate": 0.1 * (1 - fraction),
        "loss": 0.6 + 1.7 * (1 - fraction) ** 2,
        "accuracy": 0.3 + 0.4 * judged if judged else None,
    }


def _rung(images: int, accuracy: float) -> dict[str, Any]:
    return {"images": images, "accuracy": accuracy, "log_loss": 1.1 - accuracy, "seconds": images / 2_000}


def _network(one: dict[str, Any]) -> dict[str, Any]:
    return {key: one[key] for key in ("key", "design", "macs", "params", "shares")}


def _rule(one: dict[str, Any]) -> dict[str, Any]:
    judged = one["final"] or {"accuracy": one["rungs"][-1]["accuracy"], "ci95": None}
    return _network(one) | {
        "accuracy": judged["accuracy"],
        "judged_on": "test" if one["final"] else "select",
        "ci95": judged["ci95"],
        "failure": one["failure"],
        "probability_chosen_is_better": 0.9312 if one["final"] else None,
    }


def _of_any_run(classes: list[str], chance: random.Random) -> dict[str, Any]:
    count = len(classes)
    matrix = [
        [180 if row == column else chance.choice([0, 0, 1, 3]) for column in range(count)] for row in range(count)
    ]
    matrix[1][count - 1] = 41
    return {
        "confusion": {"classes": classes, "matrix": matrix},
        "rejected": [{"path": NASTY_FILE, "reason": "truncated after 812 bytes"}],
        "data": {
            "source": "pets", "images": 7_349, "train": 4_900, "select": 1_249, "test": 1_200, "classes": classes,
            "side": 64, "channels": 3, "fit": "letterbox", "native": 375, "leaks": 2, "digest": "be2dd89251868a04",
        },
        "recipe": {"optimizer": "sgd", "learning_rate": 0.3, "batch": 64, "policy": {"flip": True, "translate": 2}},
        "plan": {"available": 1_611.5, "rungs": [{"images": 20_000, "candidates": 32, "seconds": 700.0}]},
        "notes": ["8 drawn networks left out, for longer trainings of the others"],
        "seconds": {"total": 1_790.2, "search": 900.0, "final": 700.0},
        "machine": {"cpu": "Some CPU", "cores": 2, "memory_gib": 23.5, "system": "Linux x86_64"},
        "versions": {"python": "3.11.7", "convsmith": "0.1.0"},
        "parity": {
            "images": 64, "batches": [1, 2, 7], "absolute": 2.5e-7, "relative": 3.8e-7, "agreement": 1.0,
            "tolerance": 1e-4, "passed": True,
        },
        "seed": 0,
    }  # fmt: skip
