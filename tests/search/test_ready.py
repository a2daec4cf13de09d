"""Published networks in a search: pixels, channels and classes as the images have, and no more cost than allowed."""

from __future__ import annotations

import pytest

from convsmith.analysis import cost
from convsmith.design import lower, zoo
from convsmith.scaling import Limits
from convsmith.search.policy import Policy
from convsmith.search.racing import race
from convsmith.search.ready import NETWORKS, for_images, with_ready_made
from convsmith.search.space import Field, Space, make_field
from tests.search.world import Memory, World, make_candidate

SPACES = {
    "digits": Space(Limits(macs=100_000), 1, 8, 10),
    "small": Space(Limits(macs=8_000_000), 3, 32, 100),
    "params": Space(Limits(params=50_000), 3, 32, 10),
    "photographs": Space(Limits(macs=60_000_000), 3, 96, 7),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SPACES)
def test_each_fills_the_budget_and_takes_the_images_as_they_are(name):
    space = SPACES[name]
    field = with_ready_made(make_field(space, 4, seed=0), space)
    assert set(field.ready) == set(NETWORKS)
    by_key = {one.key: one for one in field.candidates}
    for network, key in field.ready.items():
        candidate, published = by_key[key], zoo.load(network)
        total = cost(lower(candidate.design))  # the plain ledger of the graph, and not the price of the solver
        limit, taken = (space.limits.macs, total.macs) if space.limits.macs else (space.limits.params, total.params)
        assert 0.97 * limit <= taken <= limit
        assert candidate.origin == f"zoo:{network}"
        assert candidate.ready == network
        channels, height, width = candidate.design.input
        assert channels == space.channels
        assert abs(height - space.native) <= 2
        assert height == width
        assert candidate.design.head.options["classes"] == space.classes
        assert [stage.block for stage in candidate.design.stage] == [stage.block for stage in published.stage]
        assert all(a.depth <= b.depth for a, b in zip(candidate.design.stage, published.stage, strict=True))


@pytest.mark.parametrize(("native", "expected"), [(224, [2, 1, 2, 2, 2]), (32, [1, 1, 2, 2, 2]), (8, [1, 1, 1, 1, 2])])
def test_small_images_keep_a_map_of_four_pixels_and_large_ones_the_published_strides(native, expected):
    space = Space(Limits(macs=1_000_000), 3, native, 10)
    design = for_images(zoo.load("resnet18"), space)
    assert [design.stem.stride, *(stage.stride for stage in design.stage)] == expected
    assert design.stem.options["pool"] == ("max" if native == 224 else "none")
    assert design.stem.options["kernel"] == (7 if native == 224 else 3)


def test_they_stand_behind_the_rules_and_survive_json():
    space = SPACES["small"]
    plain = make_field(space, 4, seed=0)
    field = with_ready_made(plain, space)
    kinds = [one.origin.partition(":")[0] for one in field.candidates]
    assert kinds == sorted(kinds, key=["rule", "zoo", "draw"].index)
    assert [one for one in field.candidates if not one.ready] == list(plain.candidates)
    assert Field.from_dict(field.to_dict()) == field
    assert Field.from_dict({key: value for key, value in field.to_dict().items() if key != "ready"}).ready == {}


def test_what_cannot_meet_the_budget_is_left_out_with_the_reason():
    space = Space(Limits(macs=12_000), 1, 8, 10)
    field = with_ready_made(make_field(space, 4, seed=0), space)
    left = {name.removeprefix("zoo:"): why for name, why in field.refused.items() if name.startswith("zoo:")}
    assert set(left) | set(field.ready) == set(NETWORKS)
    assert left
    assert all("costs" in why or "fill" in why for why in left.values())


def test_they_take_no_place_of_drawn_networks_and_give_way_before_half_of_these():
    rules = [make_candidate(n, f"rule:{n}", "depth") for n in range(3)]
    ready = [make_candidate(n, f"zoo:net{n}", "width") for n in range(3, 6)]
    world = World(draws=20)
    drawn = [make_candidate(n, f"draw:{n}", "width") for n in range(6, 26)]
    world.candidates = [*rules, *ready, *drawn]
    for one in world.candidates:
        world.paces[one.key], world.end[one.key] = 1e-3, 0.1
    found = race(
        world.candidates,
        train=world.train, time_candidate=world.time, study=Memory(), load=world.load, policy=Policy(draws=16),
        clock=world.clock, deadline=6 * 3600.0,
    )  # fmt: skip
    order = [one.key for one in (*rules, *drawn[:7], *ready, *drawn[7:16])]
    assert list(found.plan.entrants) == order
    assert {training.candidate.key for training in found.rungs[0][:13]} == set(order[:13])
