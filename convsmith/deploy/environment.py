"""What a figure was measured on: machine and versions. No host name, no path, nothing that identifies a person."""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import Any

import psutil

from convsmith.processor import available_threads, processor_name

_PACKAGES = (
    "convsmith",
    "torch",
    "numpy",
    "scipy",
    "scikit-learn",
    "pillow",
    "simplejpeg",
    "onnx",
    "onnxruntime",
    "optuna",
)


def machine() -> dict[str, Any]:
    """Processor, cores this process may use, memory and system."""
    return {
        "cpu": processor_name(),
        "cores": available_threads(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
    }


def versions() -> dict[str, str]:
    """Versions of what can change a figure."""
    return {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}}
