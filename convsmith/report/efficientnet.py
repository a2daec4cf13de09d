"""The published saturation curves, to be set beside measured ones."""

from __future__ import annotations

from typing import Any, Final

FIGURE: Final[dict[str, Any]] = {
    "source": "Tan and Le, EfficientNet (arXiv 1905.11946), figure 3",
    "remark": (
        "EfficientNet-B0 on ImageNet, read off the figure to within 0.1 points; one training for each point, so there "
        "are no intervals. The point of compound scaling is from table 7, whose recipe is another: its base reads "
        "77.3 % where the curves begin at 76.1 %."
    ),
    "curves": {
        "depth": {
            "macs": [0.5e9, 1.0e9, 1.4e9, 1.8e9, 2.75e9, 3.65e9],
            "accuracy": [0.761, 0.785, 0.789, 0.790, 0.800, 0.800],
        },
        "width": {
            "macs": [0.5e9, 0.8e9, 1.1e9, 2.3e9, 4.9e9, 8.3e9],
            "accuracy": [0.761, 0.775, 0.785, 0.795, 0.800, 0.803],
        },
        "resolution": {
            "macs": [0.5e9, 0.9e9, 1.1e9, 1.45e9, 1.9e9, 2.5e9, 3.1e9],
            "accuracy": [0.761, 0.777, 0.781, 0.788, 0.791, 0.795, 0.797],
        },
        "compound": {"macs": [1.8e9], "accuracy": [0.811]},
    },
}
"""Top-1 accuracy against multiply-adds, which the paper calls FLOPS."""
