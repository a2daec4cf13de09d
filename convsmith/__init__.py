"""convsmith: the convolutional network that fits a compute budget, and the exact truth about any CNN.

Public names are imported when they are first used, so that ``import convsmith`` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_PUBLIC: dict[str, str] = {
    "ConvsmithError": "convsmith.errors",
    "Design": "convsmith.design",
    "Graph": "convsmith.ir",
    "bench": "convsmith.jobs.bench",
    "check_data": "convsmith.jobs.check_data",
    "conv": "convsmith.jobs.conv",
    "curves": "convsmith.jobs.curves",
    "evaluate": "convsmith.jobs.evaluate",
    "export": "convsmith.jobs.export",
    "features": "convsmith.jobs.features",
    "fit": "convsmith.jobs.fit",
    "inspect": "convsmith.jobs.inspect",
    "lower": "convsmith.design",
    "pool": "convsmith.jobs.pool",
    "predict": "convsmith.jobs.predict",
    "probe": "convsmith.jobs.probe",
    "read_design": "convsmith.design",
    "rewrite": "convsmith.jobs.rewrite",
    "saliency": "convsmith.jobs.saliency",
    "recompute": "convsmith.jobs.recompute",
    "scale": "convsmith.jobs.scale",
    "similarity": "convsmith.jobs.similarity",
    "train": "convsmith.jobs.train",
    "view_kernels": "convsmith.jobs.kernels",
    "write_design": "convsmith.design",
    "zoo": "convsmith.jobs.zoo",
}

__all__ = sorted(_PUBLIC)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    """Import a public name on first use."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'convsmith' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    """The public names."""
    return list(__all__)
