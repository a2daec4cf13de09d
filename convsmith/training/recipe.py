"""How a network is trained, as one value.

A recipe is data, so that it can be compared, stored beside a run and shared by all arms of an experiment. Its digest
names it: two runs with the same digest, seed and images differ in nothing but the network.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from typing import Any, Final, Literal

from convsmith.data.augment import Policy
from convsmith.errors import TrainingError

OPTIMIZERS: Final = ("sgd", "adamw", "muon")
SCHEDULES: Final = ("one-cycle", "cosine")

# Mirroring is off because it turns some images (digits, letters, signs) into another class; whoever knows the images
# switches it on.
SMALL_IMAGES: Final = Policy(translate=2)


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A training recipe; the defaults suit short runs of small CNNs from scratch on small images.

    Attributes:
        optimizer: ``"sgd"`` (Nesterov), ``"adamw"`` (``momentum`` is its first beta) or ``"muon"`` (see ``muon``).
        learning_rate: Peak of the schedule.
        bias_rate: Learning rate of the norms' biases, as a multiple of the others'.
        momentum: Share of the last update that is kept, in [0, 1).
        weight_decay: Applied to weights of two or more dimensions only, never to norms and biases.
        label_smoothing: In [0, 1).
        schedule: ``"one-cycle"`` (a triangle, as in airbench, arXiv 2404.00498) or ``"cosine"``; both end at zero.
        warmup: Share of the run in which the rate rises, in [0, 1).
        batch: Images per step, at least 2 because of batch norm.
        ema: Half-life of the weight average as a share of the run, in [0, 0.5]; 0 switches it off.
        clip_norm: Largest gradient norm; 0 switches clipping off.
        whiten: Whether the first layer starts as a whitening of patches (see ``whitening``).
        balance: How far rare classes weigh more, from 0 (each image alike) to 1 (each class alike).
        policy: Augmentation of the training images, or ``None``.

    Raises:
        TrainingError: If a value is outside its range; the message holds the key and the value.
    """

    optimizer: Literal["sgd", "adamw", "muon"] = "muon"
    learning_rate: float = 0.1
    bias_rate: float = 1.0
    momentum: float = 0.9
    weight_decay: float = 5e-4
    label_smoothing: float = 0.1
    schedule: Literal["one-cycle", "cosine"] = "one-cycle"
    warmup: float = 0.2
    batch: int = 64
    ema: float = 0.02
    clip_norm: float = 1.0
    whiten: bool = False
    balance: float = 0.0
    policy: Policy | None = SMALL_IMAGES

    def __post_init__(self) -> None:
        self._check_choice("optimizer", OPTIMIZERS)
        self._check_choice("schedule", SCHEDULES)
        self._check_range("learning_rate", "above 0", lambda x: x > 0)
        self._check_range("momentum", "at least 0 and below 1", lambda x: 0 <= x < 1)
        self._check_range("weight_decay", "at least 0", lambda x: x >= 0)
        self._check_range("label_smoothing", "at least 0 and below 1", lambda x: 0 <= x < 1)
        self._check_range("warmup", "at least 0 and below 1", lambda x: 0 <= x < 1)
        self._check_range("batch", "a whole number of at least 2", lambda x: isinstance(x, int) and x >= 2)
        self._check_range("ema", "at least 0 and at most 0.5", lambda x: 0 <= x <= 0.5)
        self._check_range("clip_norm", "at least 0", lambda x: x >= 0)
        self._check_range("bias_rate", "above 0", lambda x: x > 0)
        self._check_range("balance", "at least 0 and at most 1", lambda x: 0 <= x <= 1)
        if not isinstance(self.whiten, bool):
            raise TrainingError("whiten must be true or false", received=self.whiten, where="recipe.whiten")
        if self.policy is not None and not isinstance(self.policy, Policy):
            raise TrainingError("policy must be a Policy or None", received=self.policy, where="recipe.policy")

    def _check_choice(self, key: str, allowed: tuple[str, ...]) -> None:
        value = getattr(self, key)
        if value not in allowed:
            raise TrainingError(f"{key} must be one of {', '.join(allowed)}", received=value, where=f"recipe.{key}")

    def _check_range(self, key: str, rule: str, holds: Any) -> None:
        value = getattr(self, key)
        number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if not number or not holds(value):
            raise TrainingError(f"{key} must be {rule}", received=value, where=f"recipe.{key}")

    def to_dict(self) -> dict[str, Any]:
        """The recipe as plain JSON values."""
        return dataclasses.asdict(self)

    @property
    def digest(self) -> str:
        """A short name of the recipe: 12 hexadecimal digits of the SHA-256 of its JSON."""
        text = json.dumps(self.to_dict(), sort_keys=True, allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()[:12]
