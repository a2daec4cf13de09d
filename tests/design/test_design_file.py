"""What a design file may say, and what it hears when it says something else."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from convsmith.design import lower, make_design, parse_design, read_design, write_design
from convsmith.design.blocks import BLOCKS
from convsmith.errors import DesignError
from convsmith.interop.torch_module import build

GOOD = """
name = "tiny"
input = [3, 8, 8]

[stem]
block = "conv"
width = 4

[[stage]]
block = "residual"
depth = 2
width = 8
stride = 2

[head]
task = "classify"
classes = 10
"""


def refusal(text: str) -> str:
    with pytest.raises(DesignError) as caught:
        lower(parse_design(text, "my.toml"))
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('"residual"', '"residul"', ["stage[1].block", "'residul'", "did you mean 'residual'?", "inverted_residual"]),
        ("depth = 2", "depht = 2", ["stage[1].depht", "did you mean 'depth'?"]),
        ("depth = 2\n", "", ["stage[1].depth", "missing"]),
        ("depth = 2", "depth = 200000", ["stage[1].depth", "less than or equal to 10000", "received 200000"]),
        ("classes = 10", "classes = 10\nhidden = 5", ["'head.hidden': must be a list", "received 5"]),
        ("width = 8", "width = 0", ["stage[1].width", "greater than or equal to 1", "received 0"]),
        ("width = 8", 'width = "8"', ["stage[1].width", "integer", "'8'"]),
        ("stride = 2", 'norm = "bach"', ["stage[1].norm", "did you mean 'batch'?"]),
        ("stride = 2", "stride = 16", ["stride 16", "8x8", "below 1x1"]),
        ("input = [3, 8, 8]", "input = [3, 8]", ["input"]),
        ("classes = 10", "classes = 1", ["head.classes", "received 1"]),
        ('task = "classify"', 'task = "clasify"', ["head.task", "classify"]),
        ('block = "conv"\n', "", ["stem.block", "missing", "conv"]),
        ('block = "conv"\n', 'block = "patch"\nkernel = 3\n', ["'stem.kernel'", "allowed: block, width, stride, norm"]),
        ('block = "conv"\n', 'block = "deep"\npool = "min"\n', ["'stem.pool'", "'none' or 'max'", "'min'"]),
        ("depth = 2", 'depth = 2\nshortcut = "avgpool"', ["'stage[1].shortcut'", "did you mean 'avg_pool'?"]),
        ('"residual"', '"ghost"\nratio = 1', ["'stage[1].ratio'", "greater than or equal to 2", "received 1"]),
        ('"classify"\nclasses = 10', '"restore"', ["'head.channels'", "missing"]),
        ('"classify"', '"segment"\ndropout = 0.1', ["'head.dropout'", "allowed: task, classes"]),
        ("[head]", "[haed]", ["haed"]),
        ("name =", "name", ["TOML"]),
    ],
)
def test_a_mistake_is_named_with_its_place_and_remedy(old, new, expected):
    assert old in GOOD
    message = refusal(GOOD.replace(old, new, 1))
    for part in expected:
        assert part in message


def test_a_stage_that_shrinks_a_map_away_names_the_layer_and_its_shapes():
    stage = '\n[[stage]]\nblock = "conv"\ndepth = 1\nwidth = 8\nstride = 2\n'
    message = refusal(GOOD + 3 * stage)
    assert "stage4.block1" in message or "stage3.block1" in message
    assert "1x1" in message


def test_a_missing_file_is_one_clear_line(tmp_path):
    with pytest.raises(DesignError, match=r"nothing\.toml"):
        read_design(tmp_path / "nothing.toml")


def test_node_names_follow_the_structure():
    names = [node.name for node in lower(parse_design(GOOD)).nodes]
    assert names[0] == "stem.conv"
    assert "stage1.block1.shortcut.conv" in names
    assert names[-1] == "head.classifier"


@example(block="conv", depths=[1], width=4, name="\x7f")
@given(
    block=st.sampled_from(sorted(BLOCKS)),
    depths=st.lists(st.integers(1, 3), min_size=1, max_size=3),
    width=st.integers(1, 12).map(lambda w: 4 * w),
    name=st.text(min_size=1, max_size=20),
)
@settings(max_examples=40)
def test_any_design_reads_back_lowers_and_builds_with_the_same_shapes(block, depths, width, name):
    stages = [{"block": block, "depth": d, "width": width, "stride": 1 + (n > 0)} for n, d in enumerate(depths)]
    design = make_design(
        {
            "name": name,
            "input": [3, 16, 16],
            "stem": {"block": "conv", "width": 8},
            "stage": stages,
            "head": {"task": "classify", "classes": 5},
        }
    )
    assert parse_design(write_design(design)) == design
    graph = lower(design)
    shapes = {name: tuple(p.shape) for name, p in build(graph).named_parameters()}
    assert shapes == dict(graph.param_shapes)
