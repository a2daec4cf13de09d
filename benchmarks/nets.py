"""The two small networks on which training is timed, 32 px and ten classes."""

from __future__ import annotations

from convsmith.design import Design
from convsmith.design.toml_file import make_design


def _net(name: str, block: str, **options: object) -> Design:
    stages = [
        {"block": block, "depth": 3, "width": width, "stride": stride, **options}
        for width, stride in ((16, 1), (32, 2), (64, 2))
    ]
    return make_design(
        {
            "name": name,
            "input": [3, 32, 32],
            "stem": {"block": "conv", "width": 16},
            "stage": stages,
            "head": {"task": "classify", "classes": 10},
        }
    )


NETS = {
    # 21.1M multiply-adds
    "inverted residual": _net("inverted", "inverted_residual", expansion=4.0),
    # 40.8M: ResNet-20 of He et al., 2016
    "residual": _net("residual", "residual"),
}
