"""The small networks on which training is timed and recipes are compared; ten classes."""

from __future__ import annotations

from convsmith.design import Design
from convsmith.design.toml_file import make_design


def net(
    block: str,
    *,
    depth: int = 3,
    widths: tuple[int, ...] = (16, 32, 64),
    input: tuple[int, int, int] = (3, 32, 32),
    **options: object,
) -> Design:
    stages = [
        {"block": block, "depth": depth, "width": width, "stride": 1 if width == widths[0] else 2, **options}
        for width in widths
    ]
    return make_design(
        {
            "name": block,
            "input": list(input),
            "stem": {"block": "conv", "width": widths[0]},
            "stage": stages,
            "head": {"task": "classify", "classes": 10},
        }
    )


NETS = {
    # 21.1M multiply-adds
    "inverted residual": net("inverted_residual", expansion=4.0),
    # 40.8M: ResNet-20 of He et al., 2016
    "residual": net("residual"),
}
