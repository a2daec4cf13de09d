"""Random spaces and budgets: everything drawn is inside the space and the budget, checked on the written design."""

import inspect
import itertools
import math

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import convsmith
from convsmith.design import parse_design, write_design
from convsmith.design.blocks import BLOCKS
from convsmith.errors import BudgetError
from convsmith.scaling import Limits, price
from convsmith.scaling.limits import memory_limit
from convsmith.search.draw import spread
from convsmith.search.space import Space, make_field
from convsmith.search.space_file import SpaceError, default_space, parse_space

FAMILIES = ["residual", "bottleneck", "depthwise", "inverted_residual", "plain"]
DEFAULT = default_space()


def ranges(low, high, *, whole=False):
    ends = st.integers(low, high) if whole else st.floats(low, high).map(lambda value: round(value, 3))
    return st.tuples(ends, ends).map(lambda pair: sorted(pair))


@st.composite
def files(draw):
    """Any space file, as text."""
    families = draw(st.lists(st.sampled_from(FAMILIES), min_size=1, max_size=3))
    least, most = draw(ranges(1, 12, whole=True))
    scale = draw(ranges(0.5, 1.0))
    shares = draw(st.sampled_from([[-5.0, 5.0], [-0.5, 1.5], [-0.15, 1.15]]))
    return f"""
families = {families}
family_changes = {draw(st.integers(0, 1))}
se_ratio = {draw(st.sampled_from([[0.0], [0.25], [0.0, 0.25]]))}
[shares]
depth = {shares}
width = {draw(st.sampled_from([[-5.0, 5.0], shares]))}
[depth]
blocks = {[least, most + 3]}
tilt = {draw(ranges(-1.0, 1.0))}
bulge = {draw(ranges(0.0, 1.0))}
stages = {draw(st.integers(0, 3))}
[width]
growth = {draw(ranges(1.0, 3.0))}
[resolution]
scale = {scale}
[stem]
stride = {draw(st.sampled_from([[0], [1], [1, 2]]))}
[expansion]
inverted_residual = {draw(st.sampled_from([[4.0], [2.0, 6.0]]))}
"""


BUDGETS = st.one_of(
    st.builds(lambda macs: Limits(macs=macs), st.integers(400_000, 8_000_000)),
    st.builds(lambda params: Limits(params=params), st.integers(8_000, 200_000)),
    st.builds(
        lambda macs, memory: Limits(macs=macs, others=(memory_limit(memory),)),
        st.integers(400_000, 8_000_000),
        st.integers(60_000, 1_000_000),
    ),
)


def used(limits, design):
    totals = convsmith.inspect(design).totals
    found = [totals[name] / limit for name in ("macs", "params") if (limit := getattr(limits, name))]
    memory = totals["weight_bytes"] + totals["peak_activation_bytes"]
    return max([*found, *(memory / measure.limit for measure in limits.others)])


@pytest.mark.slow
@settings(max_examples=20, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(text=files(), limits=BUDGETS, native=st.sampled_from([24, 32, 40]), seed=st.integers(0, 99))
def test_everything_drawn_is_inside_the_space_and_fills_the_budget(text, limits, native, seed):
    declared = parse_space(text)
    space = Space(limits, 3, native, 10, declared)
    try:
        field = make_field(space, 5, seed=seed)
    except (SpaceError, BudgetError):
        assume(False)
    drawn = [candidate for candidate in field.candidates if not candidate.rule]
    if not drawn:  # what is drawn may be what a rule makes, or one channel more may cost more than 3 % of the budget
        reasons = [why for name, why in field.refused.items() if name.startswith("draw:")]
        assert all("no whole widths fill" in why for why in reasons)
        least = [price(candidate.design) for candidate in field.candidates]
        assert not reasons or any(cost.macs < 1_000_000 or cost.params < 20_000 for cost in least)
    ratio = 1 / used(limits, field.base)
    for candidate in drawn:
        design = parse_design(write_design(candidate.design))
        assert 0.97 <= used(limits, design) <= 1
        blocks = [stage.block for stage in design.stage]
        changes = sum(one != other for one, other in itertools.pairwise(blocks))
        assert set(blocks) <= set(declared.families)
        assert changes <= declared.family_changes
        assert len(blocks) == space.stages
        depth = sum(stage.depth for stage in design.stage)
        assert max(declared.depth.blocks[0], len(blocks)) <= depth <= declared.depth.blocks[1]
        low, high = declared.resolution.scale
        assert low * native - 1e-6 <= design.input[1] == design.input[2] <= high * native + 1e-6
        assert design.stem.stride in {stride or 1 for stride in declared.stem.stride}
        excited = {stage.se_ratio for stage in design.stage if takes_se(stage.block)}
        assert len(excited) <= 1
        assert excited <= set(declared.se_ratio)
        for stage in design.stage:
            if stage.block == "inverted_residual":
                assert stage.expansion in declared.expansion.inverted_residual
        share_of_depth = math.log(depth / sum(stage.depth for stage in field.base.stage)) / math.log(ratio)
        share_of_resolution = 2 * math.log(design.input[1] / field.base.input[1]) / math.log(ratio)
        inside(share_of_depth, declared.shares.depth)
        inside(share_of_resolution, declared.shares.resolution)
        inside(1 - share_of_depth - share_of_resolution, declared.shares.width)


def takes_se(block):
    return "se_ratio" in inspect.signature(BLOCKS[block]).parameters


def inside(value, ends):
    assert ends[0] - 1e-6 <= value <= ends[1] + 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("macs", [20_000, 30_000, 60_000, 200_000, 1_000_000])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_no_draw_of_the_default_space_is_refused_however_small_the_budget(macs, seed):
    field = make_field(Space(Limits(macs=macs), 1, 8, 10), 16, seed=seed)
    assert not [name for name in field.refused if name.startswith("draw:")]
    assert sum(1 for candidate in field.candidates if not candidate.rule) == 16


@pytest.mark.slow
def test_changing_families_early_ones_come_first_and_all_kinds_of_networks_occur():
    declared = DEFAULT.model_copy(update={"family_changes": 1, "se_ratio": (0.0, 0.25)})
    field = make_field(Space(Limits(macs=8_000_000), 3, 32, 10, declared), 24, seed=0)
    drawn = [candidate.design for candidate in field.candidates if not candidate.rule]
    kinds = {tuple(dict.fromkeys(stage.block for stage in design.stage)) for design in drawn}
    assert kinds == {
        ("residual",), ("inverted_residual",), ("residual", "inverted_residual"), ("inverted_residual", "residual")
    }  # fmt: skip
    assert {stage.se_ratio for design in drawn for stage in design.stage} == {0.0, 0.25}


def test_what_is_drawn_by_default_is_what_was_always_drawn():
    space = Space(Limits(macs=8_000_000), 3, 32, 10)
    drawn = [one.design for one in make_field(space, 16, seed=1).candidates if not one.rule]
    assert [design.stage[0].block for design in drawn] == ["residual", "inverted_residual"] * 8
    assert {design.input[1] for design in drawn} <= {
        16,
        20,
        24,
        28,
        32,
        *(side + n for side in (16, 20, 24, 28) for n in (-2, -1, 1, 2)),
    }
    assert {design.stem.stride for design in drawn} == {1}
    # Of a space file that stood in code before: same points, same shapes where no depth was lost to rounding.
    assert {design.name for design in drawn} >= {"residual-7.3.1-w8.8.24-r28"}


def test_a_space_without_networks_says_which_ranges_leave_none():
    narrow = parse_space("[shares]\ndepth = [4, 5]\n")
    with pytest.raises(SpaceError, match="widen"):
        make_field(Space(Limits(macs=8_000_000), 3, 32, 10, narrow), 4, seed=0)
    deep = parse_space("[depth]\nstages = 6\n")
    with pytest.raises(SpaceError, match="6 stages behind a stem of stride 1 need images of 32 px"):
        make_field(Space(Limits(macs=8_000_000), 3, 16, 10, deep), 4, seed=0)
    few = parse_space("[depth]\nblocks = [1, 2]\n")
    with pytest.raises(SpaceError, match="a block in each of 3 stages"):
        make_field(Space(Limits(macs=8_000_000), 3, 32, 10, few), 4, seed=0)


@given(stages=st.integers(1, 6), more=st.integers(0, 60), tilt=st.floats(-3, 3), bulge=st.floats(-3, 3))
def test_blocks_are_spread_completely_and_by_the_tilt(stages, more, tilt, bulge):
    depths = spread(stages + more, stages, tilt, bulge)
    assert sum(depths) == stages + more
    assert min(depths) >= 1
    even = spread(stages + more, stages, tilt, 0.0)
    ordered = sorted(even, reverse=tilt < 0)
    assert all(abs(one - other) <= 1 for one, other in zip(even, ordered, strict=True))
