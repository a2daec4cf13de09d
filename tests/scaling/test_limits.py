"""Budgets of several measures at once: each exact, none exceeded, the tightest filled."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

import convsmith
from convsmith.design import lower, make_design, parse_design, write_design, zoo
from convsmith.errors import BudgetError
from convsmith.interop.torch_module import build
from convsmith.scaling import Limits, Measure, price, solve
from convsmith.scaling.limits import memory_limit
from convsmith.scaling.measured import largest


def shape(family="residual", depths=(2, 3, 1), growth=2.0, side=24, **options):
    stages = [
        {"block": family, "depth": depth, "width": round(64 * growth**n), "stride": 1 + (n > 0), **options}
        for n, depth in enumerate(depths)
    ]
    stem, head = {"block": "conv", "width": 64}, {"task": "classify", "classes": 10}
    return make_design({"name": "shape", "input": [3, side, side], "stem": stem, "stage": stages, "head": head})


def total_width(design):
    return design.stem.width + sum(stage.depth * stage.width for stage in design.stage)


def stairs(limit, step=7.0):
    """A measure without a form, as time is: it grows in stairs, and faster than the widths."""
    return Measure(
        "stairs", limit, lambda design: step * math.ceil(total_width(design) ** 1.3 / step), str, macs=1_000_000
    )


@pytest.mark.parametrize("name", zoo.names())
def test_memory_of_a_design_is_what_inspect_says(name):
    totals = convsmith.inspect(f"zoo:{name}").totals
    assert price(zoo.load(name)).memory == totals["weight_bytes"] + totals["peak_activation_bytes"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet18", "efficientnet-b0", "vgg16", "mobilenet-v2"])
def test_what_a_file_stores_is_what_the_module_holds(name):
    state = build(lower(zoo.load(name))).state_dict()
    held = sum(tensor.numel() for key, tensor in state.items() if not key.endswith("num_batches_tracked"))
    assert price(zoo.load(name)).stored == held


@pytest.mark.parametrize("family", ["residual", "bottleneck", "inverted_residual", "depthwise", "plain"])
@pytest.mark.parametrize("limits", [
    {"memory": 300_000}, {"memory": 3_000_000}, {"stairs": 900}, {"macs": 4_000_000, "memory": 200_000},
    {"macs": 300_000, "memory": 3_000_000, "stairs": 9_000}, {"params": 30_000, "memory": 10_000_000, "stairs": 3_000},
])  # fmt: skip
def test_all_limits_hold_and_the_tightest_is_filled(family, limits):
    others = [stairs(limits["stairs"])] if "stairs" in limits else []
    others += [memory_limit(limits["memory"])] if "memory" in limits else []
    budget = Limits(limits.get("macs"), limits.get("params"), tuple(others))
    solved = parse_design(write_design(solve(shape(family), budget, quantum=4)))
    totals = convsmith.inspect(solved).totals
    spent = {
        "macs": totals["macs"],
        "params": totals["params"],
        "memory": totals["weight_bytes"] + totals["peak_activation_bytes"],
        "stairs": 7 * math.ceil(total_width(solved) ** 1.3 / 7),
    }
    used = {name: spent[name] / limit for name, limit in limits.items()}
    assert 0.97 <= max(used.values()) <= 1
    assert budget.taken(solved) == pytest.approx(max(used.values()))
    assert budget.binding(solved) == max(used, key=lambda name: used[name])


def test_a_budget_below_the_narrowest_says_what_that_costs_by_every_measure():
    with pytest.raises(BudgetError, match=r"the narrowest costs .* MACs, .* parameters and memory of .*KiB"):
        solve(shape(), Limits(others=(memory_limit(1_000),)))


def test_the_resolution_moves_only_to_sides_that_are_allowed():
    design, budget = shape("plain", (5, 5, 5)), Limits(macs=90_000)
    assert solve(design, budget, quantum=1).input == (3, 22, 22)
    assert solve(design, budget, quantum=1, sides={22, 24}).input == (3, 22, 22)
    with pytest.raises(BudgetError, match="no whole widths fill"):
        solve(design, budget, quantum=1, sides={23, 24, 25, 26})


@given(
    power=st.floats(0.8, 2.2), scale=st.floats(-9, 9), stair=st.floats(1.0, 1.2), start=st.floats(-6, 6),
    fixed=st.floats(0, 0.9),
)  # fmt: skip
def test_the_largest_multiplier_is_found_where_cost_is_a_rough_power(power, scale, stair, start, fixed):
    def taken(multiplier):
        rough = (multiplier / 2**scale) ** power
        steps = rough if stair == 1 else stair ** math.floor(math.log(rough) / math.log(stair))
        return fixed + (1 - fixed) * steps

    found = largest(taken, 2.0**start, capped=False)
    assert found is not None
    assert taken(found) <= 1
    assert taken(found * 1.05 * stair) > 1 or found * 1.05 * stair > 2**12


def test_the_largest_multiplier_stays_below_a_cap_and_none_is_found_where_nothing_fits():
    assert largest(lambda multiplier: multiplier / 100, 3.0, capped=True) == pytest.approx(3.0)
    assert largest(lambda multiplier: 1 + multiplier, 1.0, capped=False) is None


def test_a_budget_is_multiplied_taken_apart_and_joined():
    budget = Limits(10, None, (memory_limit(1_000), stairs(8)))
    half = budget.times(0.5)
    assert (half.macs, half.params, [one.limit for one in half.others]) == (5, None, [500, 4])
    assert Limits.joined(list(budget.each())) == budget
    assert str(Limits(10_000_000, 2, (memory_limit(2**20),))) == "10.00M MACs, 2 parameters and memory of 1.000 MiB"
