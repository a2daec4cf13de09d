"""What the views are given: costs that add up, edits that change one line, layers that stay themselves."""

from __future__ import annotations

import json
import tomllib

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as some
from torch.nn import functional

from convsmith.deploy.calibration import Calibration, this_machine, write_calibration
from convsmith.deploy.work import Hardware
from convsmith.design import lower, parse_design, zoo
from convsmith.errors import ConvsmithError, DesignError
from convsmith.scaling import price
from convsmith.studio import designs, fields, lab, toml_edit
from tests.studio.conftest import SMALL

SAMPLES = ("resnet18", "mobilenet-v2", "convnext-tiny", "ghostnet", "vgg16", "shufflenet-v2")


@pytest.mark.parametrize("name", SAMPLES)
def test_every_level_of_the_picture_adds_up_to_the_price(name):
    picture, cost = designs.picture(zoo.text(name)), price(zoo.load(name))
    layers = designs.operators(zoo.text(name), "")["operators"]
    assert (picture["totals"]["macs"]["value"], picture["totals"]["params"]["value"]) == (cost.macs, cost.params)
    for metric in ("macs", "params", "activations", "bytes"):
        total = picture["totals"][metric]["value"]
        sections = picture["sections"]
        blocks = [block for section in sections for block in section["blocks"]]
        assert sum(section["costs"][metric]["value"] for section in sections) == total
        assert sum(block["costs"][metric]["value"] for block in blocks) == total
        assert sum(layer["costs"][metric] for layer in layers) == total
    for block in (block for section in picture["sections"] for block in section["blocks"]):
        own = designs.operators(zoo.text(name), block["name"])["operators"]
        assert sum(one["costs"]["macs"] for one in own) == block["costs"]["macs"]["value"]
        assert own[-1]["output"] == block["output"]
    depths = {f"stage{number}": stage.depth for number, stage in enumerate(zoo.load(name).stage, start=1)}
    assert {one["name"]: len(one["blocks"]) for one in picture["sections"] if one["kind"] == "stage"} == depths
    json.dumps(picture, allow_nan=False)


def test_time_is_shown_where_the_machine_has_been_measured(tmp_path, monkeypatch):
    monkeypatch.setenv("CONVSMITH_CACHE", str(tmp_path))
    text = SMALL.replace("small", "timed")
    assert "seconds" not in designs.picture(text)["totals"]
    write_calibration(Calibration(this_machine(1), Hardware(8, (2**15, 2**20, 2**24)), {"run": 0.002}, (0.9, 1.1)))
    picture = designs.picture(text)
    assert picture["totals"]["seconds"] == {"value": 0.002, "text": "2.00 ms"}
    assert designs.read_budgets({"seconds": "3ms", "macs": "1M", "params": "lots"})["seconds"]["value"] == 0.003


def test_a_budget_is_read_as_everywhere_and_refused_with_a_reason():
    found = designs.read_budgets({"macs": "1.5G", "bytes": "2MiB", "params": "lots", "activations": " "})
    assert (found["macs"]["value"], found["bytes"]["value"]) == (1_500_000_000, 2 * 2**20)
    assert "lots" in found["params"]["error"]["received"]
    assert "activations" not in found


@pytest.mark.parametrize(
    ("change", "section", "layer", "reads"),
    [
        (("width = 16", "width = -1"), "stage1", "", ""),
        (("classes = 10", "classes = 1"), "head", "", ""),
        (('block = "conv"', 'block = "cnov"'), "stem", "", ""),
        (("[3, 32, 32]", "[3, 1, 1]"), "stage1", "", "8 × 1 × 1"),
        (('block = "residual"', 'block = "conv"\ngroups = 3'), "stage1", "", "8 × 32 × 32"),
    ],
)
def test_an_error_says_in_which_section_it_is_and_what_that_reads(change, section, layer, reads):
    assert change[0] in SMALL
    found = designs.picture(SMALL.replace(*change, 1))
    assert found["ok"] is False
    assert (found["section"], found["layer"], found["reads"]) == (section, layer, reads)
    with pytest.raises(DesignError) as raised:
        lower(parse_design(SMALL.replace(*change, 1), where="design"))
    assert found["error"]["message"] == str(raised.value)


def test_an_edit_changes_its_line_and_no_other():
    edited = toml_edit.set_key(SMALL, "stem", 0, "width", 12)
    assert edited == SMALL.replace("width = 8 ", "width = 12 ")
    assert "# narrow" in edited
    assert toml_edit.set_key(SMALL, "", 0, "input", [1, 28, 28]) == SMALL.replace("[3, 32, 32]", "[1, 28, 28]")
    added = toml_edit.set_key(SMALL, "stage", 1, "expansion", 3.0)
    assert added == SMALL.replace("width = 24\nstride = 2", "width = 24\nstride = 2\nexpansion = 3.0")
    assert toml_edit.set_key(added, "stage", 1, "expansion", None) == SMALL
    assert toml_edit.set_key(added, "stage", 1, "block", "plain") == SMALL.replace("inverted_residual", "plain")
    twice = toml_edit.copy_stage(SMALL, 0)
    assert [stage["width"] for stage in tomllib.loads(twice)["stage"]] == [16, 16, 24]
    assert twice.startswith("# a note that must stay")
    assert toml_edit.remove_stage(twice, 1) == SMALL


def test_another_task_gets_the_keys_that_it_needs():
    edited = toml_edit.set_key(SMALL, "head", 0, "task", "restore")
    assert parse_design(edited).head.task == "restore"
    assert "classes" not in edited
    assert parse_design(toml_edit.set_key(edited, "head", 0, "task", "classify")) == parse_design(SMALL)


@pytest.mark.parametrize("text", ["not TOML = [", "name = 'x'", "stage = 1\n[stem]\n"])
def test_what_cannot_be_edited_is_said(text):
    with pytest.raises(DesignError):
        toml_edit.set_key(text, "stage", 0, "width", 8)
    with pytest.raises(DesignError, match="must have a stage"):
        toml_edit.remove_stage(toml_edit.remove_stage(SMALL, 0), 0)


STRANGE = """name = "x # y"
input = [
  3, # channels
  32, 32]
stem = {block = "conv", width = 8}
stage = [{block = "conv", depth = 1, width = 8}, {block = "conv", depth = 1, width = 8}]
head.task = "classify"
head.classes = 10
"""


@settings(max_examples=60)
@given(
    text=some.sampled_from([SMALL, STRANGE, *(zoo.text(name) for name in SAMPLES)]),
    number=some.integers(0, 1),
    key=some.sampled_from(["depth", "width", "stride"]),
    value=some.integers(1, 16),
)
def test_an_edited_text_says_the_same_as_an_edited_value(text, number, key, value):
    wanted = tomllib.loads(text)
    wanted["stage"][number][key] = value
    found = toml_edit.set_key(text, "stage", number, key, value)
    assert parse_design(found).model_dump()["stage"][number][key] == value
    assert [dict(stage) for stage in tomllib.loads(found)["stage"]][number]["width"] == wanted["stage"][number]["width"]
    assert len(tomllib.loads(found)["stage"]) == len(wanted["stage"])
    if text is not STRANGE:
        assert tomllib.loads(found) == wanted


@pytest.mark.slow
@pytest.mark.parametrize("name", SAMPLES)
def test_a_layer_of_a_network_is_the_same_layer_in_the_lab(name):
    graph = designs.inspected(zoo.text(name)).graph
    shown = [node for node in graph.nodes if isinstance(node.op, lab.SHOWN)]
    assert shown
    for node in shown:
        facts = lab.explain(lab.settings_of(graph, node))["facts"]
        assert tuple(facts["output_shape"]) == graph.types[node.name].shape[1:], node
        terms = node.op.terms(*graph.input_types(node))
        assert (facts["terms"]["taps"], facts["terms"]["pool"]) == (terms.taps, terms.pool)


@settings(max_examples=40, deadline=None)
@given(data=some.data())
def test_what_stands_for_a_large_layer_has_its_window_and_its_remainder(data):
    size, kernel = data.draw(some.integers(30, 300)), data.draw(some.integers(1, 7))
    stride, padding = data.draw(some.integers(1, 5)), data.draw(some.integers(0, 3))
    found = lab.explain({"layer": "conv", "input": f"64x{size}x{size}", "kernel": str(kernel), "stride": str(stride),
                         "padding": str(padding), "out_channels": "32"})  # fmt: skip
    drawn, facts = found["drawn"], found["facts"]
    assert found["reduced"]
    assert facts["input"] == [64, size, size]
    axis, small = drawn["rows"], drawn["input"][1]
    assert (axis["kernel"], axis["step"], axis["before"]) == (kernel, stride, padding)
    assert (small + 2 * padding - kernel) % stride == (size + 2 * padding - kernel) % stride
    assert small <= lab.MOST_SIDE
    if stride <= kernel:
        assert len(drawn["dropped"]["rows"]) == len(facts["dropped"]["rows"])


@settings(max_examples=30, deadline=None)
@given(data=some.data())
def test_grouped_numbers_are_those_of_torch(data):
    groups, each, made = (data.draw(some.integers(1, 3)) for _ in range(3))
    kernel, padding = data.draw(some.integers(1, 3)), data.draw(some.integers(0, 1))
    side, stride = data.draw(some.integers(3, 6)), data.draw(some.integers(1, 2))
    transposed = data.draw(some.booleans()) and padding < kernel
    asked = {"layer": "transposed" if transposed else "conv", "input": f"{groups * each}x{side}x{side}", "seed": 3,
             "kernel": str(kernel), "stride": str(stride), "padding": str(padding), "groups": str(groups),
             "out_channels": str(groups * made)}  # fmt: skip
    drawn = lab.explain(asked)["drawn"]
    assume(drawn["input"] == [groups * each, side, side])  # a larger layer is drawn smaller
    x = torch.tensor(drawn["x"]).double().reshape(1, *drawn["input"])
    weight = torch.tensor(drawn["weights"]).double().reshape(drawn["matrix"]["kernel"])
    apply = functional.conv_transpose2d if transposed else functional.conv2d
    wanted = apply(x, weight, stride=stride, padding=padding, groups=groups)[0]
    found = np.array([float(text.replace("−", "-")) for text in drawn["y"]]).reshape(drawn["output"])
    assert np.array_equal(found, wanted.numpy())
    rows, columns, count, *entries = np.frombuffer(lab.matrix(asked), "<i4")
    dense = np.zeros((rows, columns))
    for row, column, number in np.array(entries).reshape(count, 3):
        dense[row, column] = drawn["weights"][number]
    assert np.array_equal(dense @ np.array(drawn["x"]), wanted.numpy().ravel())


@pytest.mark.parametrize(
    "values",
    [{"input": "4"}, {"kernel": "9"}, {"stride": "0"}, {"groups": "two"}, {"groups": "-1"}, {"out_channels": "1.5"},
     {"padding": "x"}, {"layer": "maximum"}, {"seed": "never"}, {"layer": "max", "stride": "1/2"},
     {"input": "4x4x4x4"}],
)  # fmt: skip
def test_settings_that_cannot_be_are_said(values):
    with pytest.raises(ConvsmithError) as raised:
        lab.explain({"layer": "conv", "input": "5x5", "kernel": "3"} | values)
    assert raised.value.remedy


@pytest.mark.slow
def test_a_slip_of_the_finger_does_not_keep_the_machine_busy():
    refused = {200_000: "stage[1].depth", 10_000: "1,000 blocks"}
    for depth, named in refused.items():
        found = designs.picture(SMALL.replace("depth = 2", f"depth = {depth}"))
        assert named in found["error"]["message"]
    assert designs.picture(SMALL.replace("depth = 2", "depth = 300"))["ok"]
    large = SMALL.replace("[3, 32, 32]", "[3, 60000, 60000]")
    assert designs.picture(large)["ok"]
    with pytest.raises(ConvsmithError, match="60000x60000"):
        fields.field(large, "stem.conv", 0, 0)


def test_a_unit_outside_the_map_or_on_no_map_is_refused():
    for layer, row in (("stem.conv", 32), ("stem.conv", -1), ("head.classifier", 0), ("nothing", 0)):
        with pytest.raises(ConvsmithError):
            fields.field(SMALL, layer, row, 0)
