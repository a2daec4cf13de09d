"""Graphs that several tests use."""

from __future__ import annotations

from hypothesis import strategies as st

from convsmith.ir import Builder, Graph, TensorType
from convsmith.ops import Add, BatchNorm2d, Conv2d, ReLU

IMAGE = TensorType((1, 3, 8, 8))


def residual() -> Graph:
    build = Builder("residual")
    x = build.input(IMAGE)
    with build.scope("stem"):
        x = build.add(Conv2d(3, 4, 3, padding=1, bias=False), x, name="conv")
    with build.scope("block"):
        with build.scope("branch"):
            y = build.add(Conv2d(4, 4, 3, padding=1), x, name="conv")
            y = build.add(BatchNorm2d(4), y, name="norm")
        y = build.add(Add(), x, y, name="add")
    return build.graph(build.add(ReLU(), y, name="relu"))


@st.composite
def graphs(draw):
    """Chains and branches of operators that keep the map, merged by sums, with any values returned."""
    build = Builder(draw(st.text(max_size=8)))
    values = [build.input(TensorType((1, 2, 4, 4)), name) for name in ("x", "y")[: draw(st.integers(1, 2))]]
    names = draw(st.lists(st.text(max_size=6).filter(lambda name: name not in ("x", "y")), max_size=8, unique=True))
    for name in names:
        first, second = draw(st.sampled_from(values)), draw(st.sampled_from(values))
        op = draw(st.sampled_from([ReLU(), Conv2d(2, 2, 3, padding=1), BatchNorm2d(2, eps=1e-3), Add()]))
        values.append(build.add(op, *((first, second) if isinstance(op, Add) else (first,)), name=name))
    return build.graph(*draw(st.lists(st.sampled_from(values), min_size=1, max_size=3)))
