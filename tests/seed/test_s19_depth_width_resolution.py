"""S19: twice as deep is twice the work, twice as wide or twice the resolution four times: by exact counts."""

import json

import pytest

from convsmith.cli.main import run
from convsmith.design import parse_design

# Of a body of residual blocks: what each axis multiplies parameters and multiply-adds by.
LAW = {"depth": (2, 2), "width": (4, 4), "resolution": (1, 4)}


def sections(path, capsys):
    assert run(["inspect", str(path), "--json"]) == 0
    return {part["name"]: part for part in json.loads(capsys.readouterr().out)["sections"]}


@pytest.fixture
def design(tmp_path):
    """Stages that neither shrink nor widen, so that nothing but the law is in their counts."""
    path = tmp_path / "body.toml"
    path.write_text(
        'name = "body"\ninput = [3, 32, 32]\n'
        '[stem]\nblock = "conv"\nwidth = 16\nnorm = "none"\n'
        '[[stage]]\nblock = "plain"\ndepth = 3\nwidth = 16\nnorm = "none"\n'
        '[head]\ntask = "classify"\nclasses = 10\n'
    )
    return path


@pytest.mark.parametrize("axis", LAW)
def test_the_law_by_the_exact_count_of_the_body(axis, design, capsys):
    scaled = design.with_name("scaled.toml")
    assert run(["scale", str(design), f"--{axis}", "2", "--out", str(scaled)]) == 0
    capsys.readouterr()
    before, after = (sections(path, capsys)["stage1"] for path in (design, scaled))
    params, macs = LAW[axis]
    assert after["macs"] == macs * before["macs"]
    biases = 6 * 16 * (2 if axis != "resolution" else 1)  # a bias for each channel of each convolution
    assert after["params"] - biases == params * (before["params"] - 6 * 16)


def test_stem_and_head_do_not_deepen(design, capsys):
    scaled = design.with_name("deeper.toml")
    assert run(["scale", str(design), "--depth", "2", "--out", str(scaled)]) == 0
    assert parse_design(scaled.read_text()).stage[0].depth == 6
    capsys.readouterr()
    before, after = (sections(path, capsys) for path in (design, scaled))
    for name in ("stem", "head"):
        assert (before[name]["params"], before[name]["macs"]) == (after[name]["params"], after[name]["macs"])


def test_scaling_all_three_gives_the_published_network(tmp_path, capsys):
    """EfficientNet-B3 from B0: 1.2 times as wide, 1.4 times as deep, 300 pixels (Tan and Le, 2019)."""
    scaled = tmp_path / "b3.toml"
    factors = ["--depth", "1.4", "--width", "1.2", "--resolution", f"{300 / 224}"]
    assert run(["scale", "zoo:efficientnet-b0", *factors, "--out", str(scaled)]) == 0
    capsys.readouterr()
    assert run(["inspect", str(scaled), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["totals"]["params"] == 12_233_232


def test_a_rule_spends_a_budget_on_all_three(capsys):
    assert run(["scale", "zoo:efficientnet-b0", "--macs", "1.5G", "--rule", "efficientnet", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert 0.97 * 1.5e9 <= found["macs"] <= 1.5e9
    factors = found["factors"]
    assert all(factors[axis] > 1 for axis in ("depth", "width", "resolution"))
    growth = factors["depth"] * factors["width"] ** 2 * factors["resolution"] ** 2
    assert growth == pytest.approx(found["macs"] / found["before"]["macs"], rel=0.1)
