"""After the finals: one long training of the network that they chose, which is what a search delivers.

Finals compare, so they are many, and each is short. Whoever takes the network wants it trained as long as the time
allows. This training is judged on the same locked test images and compared with nothing.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import Any

from convsmith.search.candidate import Candidate, Training, Work
from convsmith.search.division import divide_delivery
from convsmith.search.track import Track


def run_delivery(
    track: Track, finals: Sequence[Training], choose: Callable[[Sequence[Training]], Candidate], seed: int
) -> Training | None:
    """Train the network that ``choose`` takes from the finals in the time left, with a seed that no final has.

    Returns:
        The training; None where it was not worthwhile or failed.
    """

    def decide() -> dict[str, Any]:
        chosen, load = choose(finals), track.load
        good = [one.outcome for one in finals if one.candidate.key == chosen.key and not one.outcome.failed]
        pace = statistics.fmean(load.pace(one.seconds, one.images, final=True) for one in good)
        pace = track.alone(chosen, pace)
        longest = max(one.work.images for one in finals)
        stretch = track.policy.stretch if track.kept else 1.0
        plan = divide_delivery(track.left(), longest, pace, load, track.policy, stretch)
        return {"candidate": chosen.key, "images": plan.images}

    decided = track.decide("delivery", decide)
    if not decided["images"]:
        return None
    track.emit("delivery", decided)
    chosen = next(one.candidate for one in finals if one.candidate.key == decided["candidate"])
    work = Work(chosen, decided["images"], seed + track.policy.max_seeds + 1, final=True)
    (done,) = track.run([work], lambda _: True, told_as="delivered")
    return None if done.outcome.failed else done
