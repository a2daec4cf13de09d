"""The job behind ``rewrite``: what it proves, and what it does where weights are missing or cannot be told apart."""

import numpy as np
import pytest
import torch
from torch import nn

import convsmith
from convsmith.cli.main import run
from convsmith.errors import GateError, ModelError
from convsmith.ir import Builder, TensorType
from convsmith.jobs import rewrite as job
from convsmith.ops import Conv2d, ReLU
from convsmith.rewrites import Rule


def forgetful(work):
    """A rule that loses an activation and says that nothing has changed."""
    for node in work.nodes:
        if isinstance(node.op, ReLU):
            work.draft.drop(node)
            work.done(node.name, numbers=True)


@pytest.fixture
def liar(monkeypatch):
    rule = Rule("forgetful", "Nothing changes.", "numbers", "an activation", "nobody", forgetful)
    monkeypatch.setattr(job, "find_rule", lambda name: rule)


def small():
    net = Builder("small")
    x = net.add(Conv2d(3, 4, 3), net.input(TensorType((1, 3, 8, 8))), name="conv")
    return net.graph(net.add(ReLU(), x, name="act"))


@pytest.mark.slow
def test_the_gate_stops_a_rule_that_does_not_keep_its_word(liar, tmp_path, capsys):
    with pytest.raises(GateError, match="same numbers within 1e-09"):
        convsmith.rewrite(small(), "forgetful")
    out = tmp_path / "out.onnx"
    assert run(["rewrite", "zoo:resnet18", "--input", "3x64x64", "--rule", "forgetful", "--out", str(out)]) == 1
    assert "must give the same numbers" in capsys.readouterr().err
    assert not out.exists()


def test_a_network_that_gives_numbers_that_are_none_is_no_proof():
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).eval()
    with torch.no_grad():
        module[1].running_mean[0] = float("nan")
    with pytest.raises(GateError):
        convsmith.rewrite(module, "fold-norm", input=(3, 8, 8))


def test_weights_that_are_all_alike_prove_nothing_and_others_are_tried(monkeypatch):
    """With weights of zero a network gives the same whatever a rule forgets."""
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 5)).eval()
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
    assert convsmith.rewrite(module, "full-convolution", input=(3, 8, 8)).proof.drawn
    nn.init.ones_(module[3].bias[:1].data)
    assert not convsmith.rewrite(module, "full-convolution", input=(3, 8, 8)).proof.drawn
    nn.init.zeros_(module[3].bias)
    lying = Rule("forgetful", "Nothing changes.", "numbers", "an activation", "nobody", forgetful)
    monkeypatch.setattr(job, "find_rule", lambda name: lying)
    with pytest.raises(GateError):
        convsmith.rewrite(module, "forgetful", input=(3, 8, 8))


@pytest.mark.slow
def test_weights_of_a_network_without_any_are_drawn_and_the_same_for_a_seed():
    one, same, other = (
        convsmith.rewrite("zoo:resnet18", "fold-norm", seed=seed, input=(3, 32, 32)) for seed in (1, 1, 2)
    )
    name = "stem.conv.weight"
    assert np.array_equal(one.weights[name], same.weights[name])
    assert not np.array_equal(one.weights[name], other.weights[name])
    assert one.source.weights is None


def test_new_layers_begin_as_in_a_training_and_old_ones_keep_what_they_had():
    module = nn.Sequential(nn.Conv2d(3, 4, 5, padding=2), nn.ReLU(), nn.Conv2d(4, 2, 1)).eval()
    done = convsmith.rewrite(module, "two-3x3", input=(3, 8, 8))
    assert done.fresh == 2
    assert done.proof is None
    assert np.array_equal(done.weights["2.weight"], module[2].weight.detach().numpy())
    first = done.weights["0_first.weight"]
    assert abs(first.std() - np.sqrt(2 / (9 * 4))) < 0.05  # He normal, fan out
    assert not done.weights["0.bias"].any()


def test_a_module_whose_weights_are_kept_otherwise_is_refused():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.kernel = nn.Parameter(torch.randn(4, 3, 3, 3))

        def forward(self, x):
            return nn.functional.relu(nn.functional.conv2d(x, 2 * self.kernel, stride=2))

    with pytest.raises(ModelError, match="export it to ONNX"):
        convsmith.rewrite(Twice(), "pooling", input=(3, 8, 8))


def test_the_result_is_plain_data():
    found = convsmith.rewrite("zoo:resnet18", "pooling").to_dict()
    assert set(found) == {
        "rule", "keeps", "changed", "left", "fresh_layers", "difference", "before", "after", "design", "warnings",
    }  # fmt: skip
    assert found["before"]["totals"]["macs"] == found["after"]["totals"]["macs"] == 1_814_073_344
    assert found["before"]["receptive_field"]["size"] == [435, 435]
