from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convsmith.errors import TrainingError
from convsmith.training.budget import Budget, Meter, Outside


class FakeClock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    "given_limits",
    [
        {},
        {"epochs": 1, "seconds": 1},
        {"epochs": 0},
        {"seconds": -1},
        {"images": 1},
        {"images": 10.5},
        {"seconds": float("nan")},
    ],
)
def test_a_budget_has_exactly_one_positive_limit(given_limits: dict[str, float]) -> None:
    with pytest.raises(TrainingError, match="budget"):
        Budget(**given_limits)  # type: ignore[arg-type]


def spend(meter: Meter) -> list[int]:
    sizes: list[int] = []
    while meter.progress() < 1.0:
        sizes.append(meter.next_batch())
        meter.add(sizes[-1])
    return sizes


@given(images=st.integers(2, 5000), batch=st.integers(2, 300))
def test_images_are_spent_exactly_but_for_a_lone_last_one(images: int, batch: int) -> None:
    if images % batch == 1 and images < batch:
        return
    sizes = spend(Meter(Budget(images=images), count=77, batch=batch))
    assert sum(sizes) == images - (images % batch == 1)
    assert min(sizes) >= 2
    assert set(sizes[:-1]) <= {batch}


def test_an_epoch_is_every_image_once_and_may_be_a_fraction() -> None:
    assert sum(spend(Meter(Budget(epochs=3), count=100, batch=32))) == 300
    assert sum(spend(Meter(Budget(epochs=0.5), count=100, batch=32))) == 50


def test_a_budget_below_one_batch_norm_batch_is_refused() -> None:
    with pytest.raises(TrainingError, match="at least 2 images"):
        Meter(Budget(epochs=0.01), count=100, batch=32)


@given(limit=st.floats(1, 100), step=st.floats(0.01, 10))
def test_seconds_are_overrun_by_less_than_one_step(limit: float, step: float) -> None:
    clock = FakeClock()
    meter = Meter(Budget(seconds=limit), count=10, batch=4, clock=clock)
    while meter.progress() < 1.0:
        assert meter.next_batch() == 4
        clock.now += step
        meter.add(4)
    assert limit <= meter.seconds + 1e-9
    assert meter.seconds < limit + step + 1e-9
    assert meter.progress() == 1.0


def test_time_before_a_resume_counts_and_time_between_does_not() -> None:
    clock = FakeClock()
    meter = Meter(Budget(seconds=10), count=10, batch=4, clock=clock)
    clock.now += 500
    meter.restore(images=40, steps=10, seconds=6.0)
    clock.now += 1
    assert meter.progress() == pytest.approx(0.7)
    assert (meter.images, meter.steps) == (40, 10)


def test_seconds_for_what_comes_before_and_after_are_not_the_trainings() -> None:
    clock = FakeClock()
    outside = Outside(before=10, after=5, images=100, pace=0.05)
    meter = Meter(Budget(seconds=100), count=10, batch=4, clock=clock, outside=outside.seconds())
    clock.now += 40
    assert meter.progress() == pytest.approx(40 / 80)
    meter.outside = outside.seconds(pace=0.25)
    assert meter.progress() == pytest.approx(40 / 60)
    clock.now += 20
    assert meter.progress() == 1.0


def test_a_training_is_over_at_once_where_the_rest_takes_all_the_time() -> None:
    assert Meter(Budget(seconds=10), count=10, batch=4, clock=FakeClock(), outside=11).progress() == 1.0
