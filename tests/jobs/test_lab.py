"""The laboratory of a search on its own."""

from __future__ import annotations

from pathlib import Path

from jobs_digits import TINY

from convsmith.data import open_images, split_images
from convsmith.design import parse_design
from convsmith.jobs.lab import Lab
from convsmith.search.candidate import Candidate, Work, design_key
from convsmith.training.events import EventLog, read_events
from convsmith.training.recipe import Recipe


def test_a_candidate_that_diverges_has_failed_at_once_and_is_not_tried_at_a_lower_rate(tmp_path: Path):
    images = open_images("digits")
    design = parse_design(TINY)
    candidate = Candidate(design_key(design), design, "draw:1", (0.2, 0.3, 0.5), 1, 1)
    steps: list[object] = []
    with EventLog(tmp_path / "events.ndjson") as events:
        recipe = Recipe(learning_rate=1e30, clip_norm=0.0)
        lab = Lab(images, split_images(images, seed=0), recipe, tmp_path / "weights", events, steps.append)
        outcome = lab.train(Work(candidate, images=64 * 100, seed=0, final=False))
    assert outcome.failed
    assert "must stay finite" in outcome.failure
    assert len(steps) == 1
    told = [event["event"] for event in read_events(tmp_path / "events.ndjson")]
    assert told[-1] == "diverged"
    assert "rollback" not in told
