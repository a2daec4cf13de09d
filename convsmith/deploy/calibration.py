"""What is known of one machine's speed: the coefficients of its roofline, and where they are kept."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np

from convsmith.deploy.work import Hardware
from convsmith.errors import ConvsmithError
from convsmith.files import cache_folder, make_folder, write_json
from convsmith.processor import available_threads, processor_name

SCHEMA: Final = "convsmith/calibration/2"
COVERAGE: Final = 0.9
"""Share of the networks held out whose time lies in the interval that an estimate gives."""


class CalibrationError(ConvsmithError):
    """The speed of this machine is not known, or what is stored about it cannot be used."""


@dataclass(frozen=True)
class Machine:
    """What a calibration holds for; with anything else the times are others.

    Attributes:
        cores: That this process may use.
    """

    cpu: str
    cores: int
    threads: int
    onnxruntime: str


@dataclass(frozen=True)
class Calibration:
    """The measured speed of a machine.

    Attributes:
        machine: Where it was measured.
        hardware: What decides how the work of a kernel is counted there.
        seconds: What a unit of each amount of work costs.
        ratios: Measured over estimated time of whole networks, each estimated without having been used; ascending.
    """

    machine: Machine
    hardware: Hardware
    seconds: Mapping[str, float]
    ratios: tuple[float, ...]

    @property
    def error(self) -> float:
        """Median relative error of an estimate for a network that was held out."""
        return float(np.median(np.abs(1 / np.array(self.ratios) - 1)))

    @property
    def spread(self) -> tuple[float, float]:
        """Ends of the middle ``COVERAGE`` of the ratios: an estimate times these is its interval."""
        low, high = np.quantile(self.ratios, ((1 - COVERAGE) / 2, (1 + COVERAGE) / 2))
        return float(low), float(high)

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {"schema": SCHEMA, **dataclasses.asdict(self)}


def this_machine(threads: int) -> Machine:
    """The machine that this program runs on."""
    return Machine(processor_name(), available_threads(), threads, version("onnxruntime"))


def calibration_path(machine: Machine) -> Path:
    """Where the calibration of a machine is kept: one file for each machine, number of threads and runtime."""
    parts = (machine.cpu, f"{machine.cores}c", f"{machine.threads}t", f"onnxruntime {machine.onnxruntime}")
    name = "-".join(re.sub(r"[^a-z0-9.]+", "-", part.lower()).strip("-") for part in parts)
    return cache_folder() / "calibration" / f"{name}.json"


def write_calibration(calibration: Calibration) -> Path:
    """Keep a calibration in the cache, in place of an older one.

    Raises:
        RunError: If the cache cannot be written.
    """
    path = calibration_path(calibration.machine)
    make_folder(path.parent)
    return write_json(path, calibration.to_dict())


def read_calibration(threads: int = 1) -> Calibration:
    """The calibration of this machine for a number of threads.

    Raises:
        CalibrationError: If there is none, it was measured elsewhere, or the file is damaged.
    """
    machine = this_machine(threads)
    path = calibration_path(machine)
    try:
        calibration = _parse(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        rule = f"the speed of this machine with threads = {threads} has not been measured"
        raise CalibrationError(rule, remedy=_remedy(threads)) from error
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise CalibrationError(
            "the stored calibration cannot be read", where=str(path), remedy=_remedy(threads)
        ) from error
    if calibration.machine != machine:
        raise CalibrationError(
            "the stored calibration is of another machine",
            received=", ".join(map(str, dataclasses.astuple(calibration.machine))),
            where=str(path),
            remedy=_remedy(threads),
        )
    return calibration


def _remedy(threads: int) -> str:
    return "run `convsmith probe`" if threads == 1 else f"run `convsmith probe --threads {threads}`"


def _parse(content: Any) -> Calibration:
    if content["schema"] != SCHEMA:
        raise ValueError(content["schema"])
    hardware, seconds = content["hardware"], content["seconds"]
    first, second, last = map(int, hardware["caches"])
    ratios = tuple(map(float, content["ratios"]))
    amounts = {str(name): float(value) for name, value in seconds.items()}
    if not ratios or not all(0 < ratio < math.inf for ratio in ratios):
        raise ValueError("ratios")
    if not amounts or not all(0 <= value < math.inf for value in amounts.values()):
        raise ValueError("seconds")
    return Calibration(
        Machine(**content["machine"]), Hardware(int(hardware["block"]), (first, second, last)), amounts, ratios
    )
