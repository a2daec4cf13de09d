"""Weights that are there already take part in a search, or it is said why not."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from jobs_digits import TINY
from jobs_small_fit import PLENTY, SMALL, quick

from convsmith.cli.main import run
from convsmith.data import open_images
from convsmith.design import lower, parse_design, write_design, zoo
from convsmith.errors import ModelError, RunError
from convsmith.interop.torch_module import build
from convsmith.interop.weights import weights_of, write_weights
from convsmith.jobs import fit as job
from convsmith.jobs.fit import fit
from convsmith.jobs.fit_start import Start, read_start, with_start
from convsmith.jobs.train import train
from convsmith.scaling import Limits
from convsmith.scaling.axes import with_resolution
from convsmith.search.policy import Policy
from convsmith.search.racing import race
from convsmith.search.rungs import promote
from convsmith.search.space import Space, make_field
from convsmith.training.initialise import initialise
from tests.search.world import Memory, World


@pytest.fixture
def digits():
    return open_images("digits")


def saved(design, folder, *, rename=lambda name: name):
    """A design file and its drawn weights."""
    weights = weights_of(initialise(build(lower(design)), 7))
    (folder / "net.toml").write_text(write_design(design))
    write_weights(folder / "net.safetensors", {rename(name): value for name, value in weights.items()})
    return folder / "net.safetensors", folder / "net.toml", weights


@pytest.mark.slow
def test_weights_are_read_with_their_design_and_the_last_layer_starts_anew_for_other_classes(digits, tmp_path):
    other = parse_design(TINY.replace("classes = 10", "classes = 7").replace("[1, 8, 8]", "[1, 16, 16]"))
    file, design, weights = saved(other, tmp_path)
    start = read_start(file, design, digits)
    assert start.design.head.options["classes"] == 10
    assert start.design.input == (1, 8, 8)
    assert set(weights) - set(start.weights) == {"head.classifier.weight", "head.classifier.bias"}
    assert all(np.array_equal(start.weights[name], weights[name]) for name in start.weights)
    assert start.notes == (
        "net.safetensors was trained for 7 classes: its last layer starts anew",
        "net.safetensors was trained at 16 px, and the images have 8",
    )


def test_the_same_classes_and_size_change_nothing(digits, tmp_path):
    file, design, weights = saved(parse_design(TINY), tmp_path)
    start = read_start(file, design, digits)
    assert start.notes == ()
    assert set(start.weights) == set(weights)
    assert start.digest == read_start(file, str(design), digits).digest
    other = read_start(*saved(parse_design(TINY.replace("width = 16", "width = 12")), tmp_path)[:2], digits)
    assert other.digest != start.digest


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"design": None}, "needs the design it belongs to.*--start-design"),
        ({"file": "model.onnx"}, "model.onnx"),
        ({"file": "nowhere.safetensors"}, "cannot read weights"),
        ({"toml": TINY.replace("width = 16", "width = 24")}, "array .* must be stage1"),
        ({"toml": TINY.replace("[1, 8, 8]", "[3, 8, 8]")}, "array 1 must be stem.conv.weight of shape"),
    ],
)
def test_what_does_not_fit_is_one_clear_error(change, expected, digits, tmp_path):
    file, design, _ = saved(parse_design(TINY), tmp_path)
    if "toml" in change:
        design.write_text(change["toml"])
    file = tmp_path / change["file"] if "file" in change else file
    with pytest.raises(ModelError, match=expected):
        read_start(file, change.get("design", design), digits)


def test_colour_weights_are_refused_for_grey_images(digits, tmp_path):
    file, design, _ = saved(parse_design(TINY.replace("[1, 8, 8]", "[3, 8, 8]")), tmp_path)
    with pytest.raises(ModelError, match="images have 1 channels, the network of the weights takes 3"):
        read_start(file, design, digits)


def test_it_takes_part_at_the_largest_side_that_meets_the_budget_or_is_left_out_with_the_reason(digits, tmp_path):
    file, design, _ = saved(parse_design(TINY), tmp_path)
    start = read_start(file, design, digits)
    costs = {side: Limits(macs=1).taken(with_resolution(start.design, side, side)) for side in (8, 6, 4)}
    for limit, side in ((costs[8], 8), (costs[8] - 1, 6), (costs[4], 4), (costs[4] - 1, None)):
        limits = Limits(macs=int(limit))
        field = with_start(make_field(Space(Limits(macs=60_000), 1, 8, 10), 4, seed=0), start, limits)
        given = [one for one in field.candidates if one.start]
        if side is None:
            assert given == []
            assert (
                f"at 4 px it costs {limits.told(with_resolution(start.design, 4, 4))}"
                in field.refused["start:net.safetensors"]
            )
        else:
            assert given[0].design.input == (1, side, side)
            assert given[0].macs == costs[side]
            assert field.ready == {"net.safetensors": given[0].key}


@pytest.mark.parametrize(("side", "limit", "expected"), [
    (32, 1_000, "it does not meet 1.000k MACs: at 18 px it costs"),
    (16, 10**9, "images of 16 px shrink to nothing in it"),
])  # fmt: skip
def test_a_network_whose_strides_leave_nothing_of_the_images_is_left_out(side, limit, expected, digits):
    deep = with_resolution(zoo.load("efficientnet-lite0"), side, side)
    field = make_field(Space(Limits(macs=60_000), 1, 8, 10), 4, seed=0)
    field = with_start(field, Start("lite0", deep, {}, ()), Limits(macs=limit))
    assert field.refused["start:lite0"].startswith(expected)


def test_it_goes_on_to_the_finals_and_tells_the_surrogate_nothing():
    world = World()
    given = dataclasses.replace(world.candidates[-1], key="given", origin="start:net", start="abc")
    world.candidates = [*world.candidates[:5], given, *world.candidates[5:]]
    world.end["given"], world.paces["given"] = 0.5, 1e-3  # by far the worst
    rankings = []
    found = race(
        world.candidates,
        train=world.train, time_candidate=world.time, study=Memory(), load=world.load, policy=Policy(),
        clock=world.clock, deadline=4 * 3600.0,
        emit=lambda event, fields: rankings.append(fields["expected"]) if event == "ranking" else None,
    )  # fmt: skip
    assert "given" in {training.candidate.key for training in found.finals}
    assert all("given" in {training.candidate.key for training in rung} for rung in found.rungs)
    assert rankings
    assert not any("given" in expected for expected in rankings)
    assert given in promote(found.rungs[0], 1)


@pytest.mark.slow
def test_a_trained_network_is_fine_tuned_and_wins_and_the_report_says_so(tmp_path, monkeypatch, capsys):
    quick(monkeypatch)
    monkeypatch.setattr(job, "policy_for", lambda _: dataclasses.replace(SMALL, draws=1))
    train(parse_design(TINY.replace("width = 16", "width = 24")), "digits", out=tmp_path / "given", epochs=12)
    path = tmp_path / "run"
    arguments = ["fit", "digits", "--macs", "100k", "--minutes", str(PLENTY), "--out", str(path)]
    assert run([*arguments, "--start-from", str(tmp_path / "given")]) == 0
    said = capsys.readouterr().out
    assert "It started from the weights of given: what was searched from scratch was no better." in said
    report = fit("digits", macs=100_000, minutes=PLENTY, out=path, start_from=tmp_path / "given", resume=True).report
    row = report["ready"]["given"]
    assert row["judged_on"] == "test"
    assert row["accuracy"] > 0.8
    assert report["chosen"]["origin"] == "start:given"
    assert all(one["accuracy"] < row["accuracy"] for one in report["rules"].values() if one["accuracy"])
    assert "given" in (path / "report.html").read_text()
    with pytest.raises(RunError, match="must keep its given weights"):
        fit("digits", macs=100_000, minutes=PLENTY, out=path, resume=True)
