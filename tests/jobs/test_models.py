"""The doors by name: what each reference opens, and what is said about one that opens nothing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import convsmith
from convsmith.design import lower, zoo
from convsmith.errors import GateError, ModelError, QuantityError
from convsmith.interop.onnx_file import write_onnx
from convsmith.interop.torch_module import build
from convsmith.interop.weights import weights_of
from convsmith.jobs.inspect import inspect
from convsmith.jobs.models import open_model

FACTORIES = """
import torch
from torch import nn

def tiny():
    return nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10))

class Gray(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 5)

    def forward(self, x):
        return self.conv(x)

ready = nn.Conv2d(3, 4, 1)
number = 5

def demanding(width):
    return nn.Conv2d(3, width, 1)

def failing():
    raise RuntimeError("no weights here\\nsecond line")

def listing():
    return [nn.Conv2d(3, 4, 1)]
"""


@pytest.fixture
def factories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "my_factories.py").write_text(FACTORIES, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "my_factories", raising=False)
    return "my_factories"


def test_a_factory_is_imported_from_the_working_directory(factories: str):
    before = list(sys.path)
    inspection = inspect(f"{factories}:tiny", input=(3, 32, 32))
    assert inspection.cost.macs == 8 * 27 * 16 * 16 + 80
    assert inspection.cost.params == 8 * 27 + 8 + 90
    assert [row.name for row in inspection.cost.layers] == ["0", "1", "2", "3", "4"]
    assert sys.path == before


def test_a_class_and_a_ready_module_are_taken(factories: str):
    assert inspect(f"{factories}:Gray", input=(1, 8, 8)).cost.macs == 4 * 25 * 16
    assert inspect(f"{factories}:ready", input=(3, 8, 8)).cost.macs == 12 * 64


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tinny", r"has no such name \(received 'tinny'\); did you mean my_factories:tiny\?"),
        ("number", r"must be a function or a class \(received 'int'\)"),
        ("demanding", "fails when it is called without arguments: TypeError"),
        ("failing", "RuntimeError: no weights here$"),
        ("listing", r"must give a torch.nn.Module \(received 'list'\)"),
    ],
)
def test_a_factory_that_gives_no_module_is_refused_in_one_line(factories: str, name: str, message: str):
    with pytest.raises(ModelError, match=message) as caught:
        open_model(f"{factories}:{name}")
    assert "\n" not in str(caught.value)


def test_a_module_that_cannot_be_imported_is_named():
    with pytest.raises(ModelError, match="no_such_package:net: cannot import no_such_package"):
        open_model("no_such_package:net")


@pytest.mark.slow
def test_the_same_network_through_three_doors(tmp_path: Path):
    design = zoo.load("mobilenet-v2")
    graph = lower(design)
    module = build(graph)
    path = write_onnx(graph, weights_of(module), tmp_path / "net.onnx")
    tables = []
    for model in (design, module, path):
        layers = convsmith.inspect(model, input=(3, 224, 224)).to_dict()["layers"]
        for layer in layers:
            del layer["name"], layer["section"]
        tables.append(layers)
    assert tables[0] == tables[1] == tables[2]


def test_a_module_needs_no_weights():
    with torch.device("meta"):
        module = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8))
    assert inspect(module, input=(3, 10, 10)).cost.macs == 8 * 27 * 64


def test_something_else_is_refused():
    with pytest.raises(ModelError, match=r"a reference, a design, a graph or a torch\.nn\.Module \(received 'int'\)"):
        open_model(5)


def test_inputs_and_limits_may_be_text_as_on_the_command_line():
    small = inspect("zoo:resnet18", "3x64x64")
    assert small.cost.macs == inspect("zoo:resnet18", [3, 64, 64]).cost.macs == 148_557_824
    small.check(max_macs="148.6M", max_params="12M", max_memory="1GiB")
    with pytest.raises(GateError, match=r"macs must be at most 148,500,000"):
        small.check(max_macs="148.5M")
    assert 0.97 * 4e9 <= convsmith.scale("zoo:resnet18", macs="4G").to_dict()["macs"] <= 4e9


@pytest.mark.parametrize("input", [(64, 64), (1, 3, 64, 64), (3, 0, 64), "3x64", 64], ids=str)
def test_an_input_that_is_not_three_sizes_is_refused(input):
    with pytest.raises(QuantityError, match="input must be 3 positive integers"):
        inspect("zoo:resnet18", input)
