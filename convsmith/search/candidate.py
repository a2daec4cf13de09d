"""What a search is about: networks, the trainings asked for, and how each of them came out.

These are plain values that survive a round trip through JSON, so that a search can be stored, resumed and reported.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import math
from collections.abc import Mapping
from typing import Any, Final, Literal

from convsmith.design import Design, parse_design, write_design

Stratum = Literal["depth", "width", "resolution"]
STRATA: Final[tuple[Stratum, ...]] = ("depth", "width", "resolution")
_RULE: Final = "rule:"
READY: Final = "zoo:"
"""What the origin of a published network begins with."""
START: Final = "start:"
"""What the origin of a network with given weights begins with."""


def design_key(design: Design) -> str:
    """The identity of a network: 12 hex digits over its text; the design's name is no part of it."""
    text = write_design(design.model_copy(update={"name": "network"}))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclasses.dataclass(frozen=True)
class Candidate:
    """One network of the search space.

    Attributes:
        key: Identity of the network, from ``design_key``.
        design: The network.
        origin: Where it comes from: ``"rule:efficientnet"``, ``"zoo:resnet18"`` or ``"draw:17"``.
        shares: Shares of depth, width and resolution in the logarithm of the budget; they sum to 1.
        macs: Multiply-accumulates for one image.
        params: Learnable parameters.
        costs: What else the budget limits, by name: bytes, or seconds as predicted.
        replaces: Key of the network in whose place this one goes to the finals, or nothing.
        seconds: Time for one image, where it was measured.
        start: Identity of the weights that its trainings start from; nothing where these are drawn.
    """

    key: str
    design: Design
    origin: str
    shares: tuple[float, float, float]
    macs: int
    params: int
    costs: Mapping[str, float] = dataclasses.field(default_factory=dict[str, float], hash=False)
    replaces: str = ""
    seconds: float | None = None
    start: str = ""

    def __post_init__(self) -> None:
        assert abs(sum(self.shares) - 1) < 1e-6, self.shares

    @property
    def stratum(self) -> Stratum:
        """The axis on which most of the budget is spent, relative to equal thirds."""
        return STRATA[self.shares.index(max(self.shares))]

    @property
    def rule(self) -> str:
        """The published rule that makes this network, or nothing for a drawn one."""
        return self.origin.removeprefix(_RULE) if self.origin.startswith(_RULE) else ""

    @property
    def ready(self) -> str:
        """The published network that this is, fitted to the budget, or the one given with weights; or nothing."""
        kind, _, name = self.origin.partition(":")
        return name if f"{kind}:" in (READY, START) else ""

    def to_dict(self) -> dict[str, Any]:
        """JSON values; the design as TOML text."""
        return {
            "key": self.key,
            "design": write_design(self.design),
            "origin": self.origin,
            "shares": list(self.shares),
            "macs": self.macs,
            "params": self.params,
            "costs": dict(self.costs),
            "replaces": self.replaces,
            "seconds": self.seconds,
            "start": self.start,
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Candidate:
        """The inverse of ``to_dict``."""
        depth, width, resolution = values["shares"]
        design = parse_design(values["design"], where=values["key"])
        return cls(**{**values, "design": design, "shares": (depth, width, resolution)})


@dataclasses.dataclass(frozen=True)
class Work:
    """One training to be done, with a complete schedule of its own.

    Attributes:
        candidate: The network.
        images: Images to train on in all, counted with repetition.
        seed: Decides the initial weights and the order of images, the same way for every network.
        final: True: train on train + select and judge on the locked test images. False: train on train and judge on
            select.
    """

    candidate: Candidate
    images: int
    seed: int
    final: bool

    @property
    def identity(self) -> tuple[str, int, int, bool]:
        """What tells it from other works: key of the network, images, seed, whether it is a final."""
        return self.candidate.key, self.images, self.seed, self.final

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "candidate": self.candidate.to_dict(),
            "images": self.images,
            "seed": self.seed,
            "final": self.final,
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Work:
        """The inverse of ``to_dict``."""
        return cls(**{**values, "candidate": Candidate.from_dict(values["candidate"])})


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a training came out.

    Attributes:
        accuracy: Share of the judged images that were right.
        log_loss: Mean negative log probability of the true class, in nats; infinite for a failed training.
        seconds: Wall-clock time of the whole training, judging included.
        images: Images trained on.
        correct: One bit per judged image, 1 where right, as ``numpy.packbits`` gives them; None if not kept.
        total: Images judged.
        failure: The cause in one line, or nothing; a loss that is not finite is one.
    """

    accuracy: float
    log_loss: float
    seconds: float
    images: int
    correct: bytes | None
    total: int
    failure: str = ""

    def __post_init__(self) -> None:
        if not (self.failure or math.isfinite(self.log_loss)):
            object.__setattr__(self, "failure", "the scores of the judged images are not finite")

    @property
    def failed(self) -> bool:
        """True where the training must never be chosen."""
        return bool(self.failure)

    def to_dict(self) -> dict[str, Any]:
        """JSON values; bits as base64, a loss that is not finite as null."""
        values = dataclasses.asdict(self)
        values["log_loss"] = self.log_loss if math.isfinite(self.log_loss) else None
        values["correct"] = None if self.correct is None else base64.b64encode(self.correct).decode()
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Outcome:
        """The inverse of ``to_dict``."""
        loss, bits = values["log_loss"], values["correct"]
        changed = {"log_loss": math.inf if loss is None else loss, "correct": bits and base64.b64decode(bits)}
        return cls(**{**values, **changed})


@dataclasses.dataclass(frozen=True)
class Training:
    """A training that was done: what was asked, and what came out."""

    work: Work
    outcome: Outcome

    @property
    def candidate(self) -> Candidate:
        """The network that was trained."""
        return self.work.candidate

    def to_dict(self) -> dict[str, Any]:
        """JSON values, with the network named by its key only."""
        return {**self.work.to_dict(), "candidate": self.candidate.key, "outcome": self.outcome.to_dict()}
