"""Under which conditions a resumed training gives the same bits, as values that a checkpoint stores.

Sums in floating point depend on their order, and that on the library, the instructions it finds, and the number of
threads. None of these is wrong to change; the result is then close to that of a run that was not stopped, not equal.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, Final

import torch

from convsmith import kernels
from convsmith.processor import instruction_sets, processor_name
from convsmith.training.device import card_name
from convsmith.training.setup import Setup

_SWITCHES: Final = ("ATEN_CPU_CAPABILITY", "MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS", "ONEDNN_MAX_CPU_ISA")
"""Variables by which a user tells the libraries which instructions to use."""

_SHORT: Final = 160  # characters of two values that a line can show


def conditions(setup: Setup) -> dict[str, Any]:
    """What this process has to share with another to give the same bits, as JSON values."""
    setting = {key: value for key, value in setup.to_dict().items() if key != "measured"}
    # Without a compiler torch's operators stand in for the kernels, and add up in another order.
    compiled = {"compiled kernels": kernels.available()} if setup.kernels else {}
    card = {"card": card_name(setup.device)} if setup.device != "cpu" else {}
    return {
        **compiled,
        **card,
        **{name: version(name) for name in ("convsmith", "torch", "numpy")},
        "torch build": torch.version.git_version,  # pyright: ignore[reportAttributeAccessIssue]
        "processor": processor_name(),
        "instruction sets": " ".join(instruction_sets()),
        "vector instructions": torch.backends.cpu.get_cpu_capability(),
        **{name: os.environ.get(name, "") for name in _SWITCHES},
        **{f"setup {key}": value for key, value in setting.items()},
    }


def differences(was: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, list[Any]]:
    """What differs, each with its value then and now."""
    keys = [*now, *(key for key in was if key not in now)]
    return {key: [was.get(key), now.get(key)] for key in keys if was.get(key) != now.get(key)}


def told(differing: Mapping[str, list[Any]]) -> str:
    """What differs, for a person; long values are left to the event."""
    return ", ".join(
        f"{key} was {was!r} and is {now!r}" if len(repr((was, now))) < _SHORT else f"{key} are others"
        for key, (was, now) in differing.items()
    )
