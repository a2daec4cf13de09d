"""Every network of timm and torchvision through door two: is it read, and are the counts right?

Run by the peers' environment (`make peers-env`), with the source tree on PYTHONPATH:

    PYTHONPATH=. .venv-peers/bin/python benchmarks/sweep.py

The counts are held against half of what torch's FlopCounterMode sees when the network runs on the meta device, and,
for torchvision, against the figure it publishes for its weights, at the three decimals printed there. The jump of every
feature map that timm names is held against its published reduction.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import harness
import timm
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision import models as torchvision_models

from convsmith.analysis import cost, receptive_fields
from convsmith.errors import ConvsmithError, first_line
from convsmith.interop.canonical import canonical
from convsmith.interop.reading import Reading
from convsmith.interop.torch_reader import read_module
from convsmith.jobs import torch_models

REASONS = {
    "^timm:coat_(mini|small|tiny)": "parallel blocks hold maps of three sizes in one module; timm names each of them",
    "^timm:crossvit": "two branches with patches of two sizes; timm gives one reduction for both",
    "^timm:efficientvim": "timm takes the map before the stage's own downsampling, which is in the same module",
    "^timm:gemma4": "torch counts a product of two constants, the angles of positions; the bounds of clamp lie in "
    "buffers, which have no numbers while a network is read without weights",
    "^timm:hiera": "units of a mask are put in order by reshaping, and pooled along an axis that is none of the map's",
    "^timm:naflexvit": "the image is cut into patches by reshaping, and from there on has no rows and columns",
    "^timm:sequencer2d": "lstm is no operator here",
    "^timm:swin": "patches are merged by reshaping, which is no window over the map",
    "^timm:tnt": "patches, and the pixels within one, have axes of their own, made by reshaping",
}
"""Why networks fall short, by name."""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--only", default="", help="names that match this pattern")
    options.add_argument("--out", type=Path, help="log of networks; what is in it is not done again")
    chosen = options.parse_args()
    out = chosen.out or Path(tempfile.mkdtemp(prefix="sweep-")) / "networks.ndjson"
    print(f"logged in {out}", file=sys.stderr)
    warnings.simplefilter("ignore")
    done = {json.loads(line)["name"] for line in out.read_text().splitlines()} if out.exists() else set()
    with out.open("a") as log:
        for name in names(chosen.only):
            if name not in done:
                log.write(json.dumps(examine(name)) + "\n")
                log.flush()
    summarise([json.loads(line) for line in out.read_text().splitlines()])


def names(pattern: str) -> Iterator[str]:
    known = [f"torchvision:{name}" for name in torchvision_models.list_models(module=torchvision_models)]
    known += [f"timm:{name}" for name in timm.list_models()]
    return (name for name in known if re.search(pattern, name))


def examine(name: str) -> dict[str, Any]:
    """What one network gives: read, right, or the reason."""
    door, _, short = name.partition(":")
    result: dict[str, Any] = {"name": name}
    try:
        module, size = (torch_models.build_timm if door == "timm" else torch_models.build_torchvision)(short)
    except Exception as error:
        return {**result, "status": "not built", "reason": first_line(error)}
    input = size or (3, 224, 224)
    start = time.perf_counter()
    try:
        reading = read_module(module, input, name=name)
    except ConvsmithError as error:
        return {**result, "status": "not read", "reason": str(error)}
    except Exception as error:
        return {**result, "status": "crashed", "reason": first_line(error)}
    result["seconds"] = time.perf_counter() - start
    total = cost(canonical(reading.graph))
    result |= {
        "input": list(input),
        "macs": total.macs,
        "attention": total.terms.attention,
        "nodes": len(reading.graph.nodes),
        "convolutions": sum(1 for row in total.layers if row.op == "Conv2d"),
        "unknown": sorted({one.function for one in reading.unknown}),
        "unknown_at": [str(one) for one in reading.unknown[:3]],
        "status": "unknown operators" if reading.unknown else "read",
    }
    stored = sum(param.numel() for param in module.parameters())
    unused = sum(torch.Size(shape).numel() for shape in reading.unused.values())
    result["params_agree"] = total.params + unused == stored
    result["unused"] = unused
    result |= against_torch(module, input, total.macs)
    if door == "timm":
        result |= against_feature_info(module, reading)
    elif "_ops" in (meta := torchvision_models.get_model_weights(short).DEFAULT.meta):
        result["published"] = meta["_ops"]
        result["published_agrees"] = abs(total.macs / 1e9 - meta["_ops"]) <= 0.00051
        result["published_params_agree"] = meta["num_params"] in (total.params, stored)
    return result


def against_torch(module: nn.Module, input: tuple[int, int, int], macs: int) -> dict[str, Any]:
    module.requires_grad_(False)  # its module tracker looks for gradients
    try:
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            module.eval().to("meta")(torch.empty(1, *input, device="meta"))
    except Exception as error:
        return {"torch": None, "torch_error": first_line(error)}
    theirs = counter.get_total_flops() // 2
    return {"torch": theirs, "agrees": theirs == macs}


def against_feature_info(module: nn.Module, reading: Reading) -> dict[str, Any]:
    """Whether the jump of each feature map that timm names is the reduction that timm gives for it."""
    infos = getattr(module, "feature_info", None)
    if not isinstance(infos, list) or not infos:
        return {}
    fields = receptive_fields(reading.graph)
    wrong, checked = [], 0
    for info in infos:
        inside = [node.name for node in reading.graph.nodes if f"{node.name}.".startswith(f"{info['module']}.")]
        if not inside or inside[-1] not in fields:
            continue
        checked += 1
        jump = fields[inside[-1]].height.jump
        if jump != info["reduction"]:
            wrong.append([info["module"], str(jump), info["reduction"]])
    return {"features_checked": checked, "features_wrong": wrong}


def summarise(results: list[dict[str, Any]]) -> None:
    """Write the counts, and every network that falls short by name and reason."""
    groups = {
        "torchvision": [one for one in results if one["name"].startswith("torchvision:")],
        "timm": [one for one in results if one["name"].startswith("timm:")],
        "timm, convolutional": [one for one in results if one["name"].startswith("timm:") and is_convolutional(one)],
    }
    harness.write(
        "sweep", {"groups": {name: counts(group) for name, group in groups.items()}, "short": shortfalls(results)}
    )


def is_convolutional(result: dict[str, Any]) -> bool:
    """More than one convolution and no attention; what was not read counts as one, to be safe."""
    return "macs" not in result or (result["convolutions"] > 1 and not result["attention"])


def counts(group: list[dict[str, Any]]) -> dict[str, Any]:
    read = [one for one in group if one["status"] == "read"]
    return {
        "networks": len(group),
        "read": len(read),
        "macs equal to half of FlopCounterMode": sum(1 for one in read if one.get("agrees")),
        "FlopCounterMode failed": sum(1 for one in read if one.get("torch") is None),
        "parameters equal": sum(1 for one in read if one["params_agree"]),
        "published macs at three decimals": share(read, "published_agrees"),
        "feature maps with timm's reduction": [
            sum(one.get("features_checked", 0) - len(one.get("features_wrong", ())) for one in read),
            sum(one.get("features_checked", 0) for one in read),
        ],
        "short without a reason": [one["name"] for one in group if shortfall(one) and not why(one["name"])],
    }


def share(group: list[dict[str, Any]], key: str) -> list[int]:
    return [sum(1 for one in group if one.get(key)), sum(1 for one in group if key in one)]


def shortfalls(results: list[dict[str, Any]]) -> dict[str, str]:
    return {one["name"]: f"{reason}{why(one['name'])}" for one in results if (reason := shortfall(one))}


def why(name: str) -> str:
    return next((f": {reason}" for pattern, reason in REASONS.items() if re.search(pattern, name)), "")


def shortfall(one: dict[str, Any]) -> str:
    if one["status"] != "read":
        return f"{one['status']}: {one.get('reason') or '; '.join(one['unknown_at'])}"
    reasons = []
    if one.get("torch") is None:
        reasons.append(f"FlopCounterMode: {one['torch_error']}")
    elif not one["agrees"]:
        reasons.append(f"{one['macs']} macs, FlopCounterMode / 2 gives {one['torch']}")
    if not one["params_agree"]:
        reasons.append("parameters differ")
    if one.get("published_agrees") is False:
        reasons.append(f"{one['macs']} macs, published {one['published']}G")
    reasons += [
        f"{module}: jump {jump}, timm says {reduction}" for module, jump, reduction in one.get("features_wrong", ())
    ]
    return "; ".join(reasons)


if __name__ == "__main__":
    main()
