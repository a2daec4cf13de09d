"""``inspect`` folds what is repeated: in designs, in modules of strangers, and where names say nothing."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convsmith.analysis import cost
from convsmith.cli.inspect_fold import fold
from convsmith.cli.main import run
from convsmith.design import lower, zoo
from convsmith.ir import Graph, Node, TensorType
from convsmith.jobs.inspect import inspect
from convsmith.ops import ReLU, Sigmoid, Tanh

MODULE = """
import torch
from torch import nn


class Residual(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(width, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x):
        return torch.relu(x + self.conv2(torch.relu(self.conv1(x))))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 7, 2, 3)
        self.layer1 = nn.Sequential(*[Residual(8) for _ in range(4)])
        self.narrow = nn.Conv2d(8, 16, 3, 2, 1)
        self.layer2 = nn.Sequential(*[Residual(16) for _ in range(3)])
        self.fc = nn.Linear(16, 10)
        self.forgotten = nn.Linear(5, 7)

    def forward(self, x):
        x = self.layer2(self.narrow(self.layer1(self.conv1(x))))
        return self.fc(x.mean((2, 3)))


class Strange(Net):
    def forward(self, x):
        return super().forward(torch.logcumsumexp(x, 2))
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "net_of_a_stranger.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "net_of_a_stranger", raising=False)
    return "net_of_a_stranger"


def output(capsys, *arguments, code=0):
    assert run(["inspect", *arguments]) == code
    return capsys.readouterr().out


def number(text):
    return int(text.replace(",", "") or 0)


def parts(shown):
    """Params and macs of each row of a table of sections, by section and label."""
    found, section = {}, ""
    for line in shown.split("\n\n")[1].splitlines()[1:-1]:
        label, _, _, params, macs, *_ = line.rsplit(maxsplit=6)
        section = section if label.startswith(" ") else label
        found[section, label.strip()] = (number(params), number(macs))
    return found


def test_repeated_blocks_are_one_row_below_the_subtotal_of_their_section(capsys):
    shown = output(capsys, "zoo:resnet50")
    rows = parts(shown)
    first, others = rows["stage3", "block1"], rows["stage3", "block2 to block6 (5 x)"]
    assert rows["stage3", "stage3"] == tuple(map(sum, zip(first, others, strict=True)))
    assert others[0] == 5 * (1024 * 256 + 9 * 256 * 256 + 256 * 1024 + 2 * (256 + 256 + 1024))
    stage = next(line for line in shown.splitlines() if line.startswith("stage4"))
    assert stage.split()[2] == "427"


def test_blocks_that_differ_are_not_folded(capsys):
    lines = output(capsys, "zoo:efficientnet-b0").splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("stage2"))
    assert [line.split()[0] for line in lines[at : at + 4]] == ["stage2", "block1", "block2", "stage3"]


def test_the_repeats_of_a_strange_module_are_folded_by_what_they_are(module, capsys):
    shown = output(capsys, f"{module}:Net", "--input", "3x64x64")
    one = 2 * (9 * 8 * 8 + 8)
    assert parts(shown)["stage1", "layer1.0 to layer1.3 (4 x)"] == (4 * one, 4 * 2 * 9 * 8 * 8 * 32 * 32)
    assert "layer2.0 to layer2.2 (3 x)" in shown
    assert "42 parameters are stored and never used: forgotten.weight, forgotten.bias" in shown


def renamed(graph):
    """The same network without a word about its structure."""
    new = {node.name: f"n{number}" for number, node in enumerate(graph.nodes)}
    nodes = (Node(new[one.name], one.op, tuple(new.get(value, value) for value in one.inputs)) for one in graph.nodes)
    return Graph(graph.name, graph.inputs, tuple(nodes), tuple(new[value] for value in graph.outputs))


@pytest.mark.parametrize("name", ["resnet50", "mobilenet-v1"])
def test_names_are_not_needed_to_find_where_blocks_begin(name):
    design = lower(zoo.load(name))
    for section in inspect(f"zoo:{name}").sections:
        if section.kind != "stage":
            continue
        found = []
        for graph in (design, renamed(design)):
            layers = cost(graph).layers
            at = [node.name for node in design.nodes].index(section.first)
            folded = fold(graph, layers[at : at + len(section.layers)], section.name)
            found.append([(len(part.layers), part.times) for part in folded if part.times > 2])
        assert found[0] == found[1]


@settings(max_examples=60)
@given(st.lists(st.sampled_from([ReLU(), Sigmoid(), Tanh()]), min_size=1, max_size=24), st.booleans())
def test_folding_loses_nothing_and_says_nothing_untrue(ops, named):
    names = [f"blocks.{number // 2}.{number % 2}" if named else f"n{number}" for number in range(len(ops))]
    values = ["input", *names]
    nodes = tuple(Node(name, op, (value,)) for name, op, value in zip(names, ops, values, strict=False))
    graph = Graph("chain", (("input", TensorType((1, 2, 3, 3))),), nodes, (names[-1],))
    folded = fold(graph, cost(graph).layers, "stage1")
    assert [layer.name for part in folded for layer in part.layers] == names
    for part in folded:
        kinds = [layer.op for layer in part.layers]
        assert kinds == kinds[: len(kinds) // part.times] * part.times
        assert part.label.endswith(f"({part.times} x)") == (part.times > 1)


def test_unknown_operations_are_named_and_may_be_let_pass(module, capsys):
    arguments = ["inspect", f"{module}:Strange", "--input", "3x32x32"]
    assert run(arguments) == 2
    error = capsys.readouterr().err
    assert "logcumsumexp" in error
    assert "--allow-unknown" in error
    shown = output(capsys, *arguments[1:], "--allow-unknown")
    assert "1 operation is not known and counted as nothing" in shown.split("warnings\n")[1]
