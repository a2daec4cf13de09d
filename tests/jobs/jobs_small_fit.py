"""A search so small that it ends with its last seed and never for want of time, however busy the machine is."""

from __future__ import annotations

from convsmith.jobs import fit, fit_entry
from convsmith.search.policy import Policy
from convsmith.training.setup import Setup

PLENTY = 60.0
"""Minutes. Every search asks for the longest trainings that its policy allows, and is done in one."""
SMALL = Policy(rungs=2, min_images=200, max_epochs=0.3, max_images=400, finalists=1, max_seeds=2, draws=2)


def quick(patch):
    for place in ("lab", "settings"):
        patch.setattr(f"convsmith.jobs.{place}.choose_setup", lambda *_, **__: Setup(threads=1))
    patch.setattr(fit, "policy_for", lambda _: SMALL)
    for name in ("DRAWS", "FEW_DRAWS"):
        patch.setattr(fit_entry, name, 4)


def timeless(value):
    """A report without times, which are measured, and without what says where a training was done."""
    if isinstance(value, dict):
        return {key: timeless(one) for key, one in value.items() if key not in ("seconds", "latency_ms", "recorded")}
    return [timeless(one) for one in value] if isinstance(value, list) else value
