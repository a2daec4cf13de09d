"""Which random changes are made to training images, and how strong, as one value."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from convsmith.data.augment.operations import OPERATIONS
from convsmith.errors import DataError, did_you_mean

_Check = tuple[tuple[str, ...], str, Callable[[Any], bool]]

_CHECKS: Final[tuple[_Check, ...]] = (
    (("translate", "cutout", "draws"), "a whole number", lambda x: isinstance(x, int)),
    (("translate", "cutout", "draws", "mixup", "cutmix"), "at least 0", lambda x: x >= 0),
    (("brightness",), "at least 0 and below 1", lambda x: 0 <= x < 1),
    (("crop", "contrast", "saturation", "mix_share"), "from 0 to 1", lambda x: 0 <= x <= 1),
    (("rotate", "hue"), "from 0 to 180 degrees", lambda x: 0 <= x <= 180),
    (("shear",), "at least 0 and below 90 degrees", lambda x: 0 <= x < 90),
    (("scale", "magnitude"), "from 0 to 10", lambda x: 0 <= x <= 10),
    (("crop_aspect",), "at least 1", lambda x: x >= 1),
)


@dataclass(frozen=True)
class Policy:
    """Which random changes, and how strong; everything is off at first.

    Attributes:
        flip: Mirror left and right: half of the images in even epochs, the other half in odd ones, so that
            two epochs show each image both ways (Jordan, "94% on CIFAR-10 in 3.29 seconds", 2024).
        translate: Largest shift in pixels along each axis; what comes in is the image reflected.
        cutout: Side in pixels of a square that becomes mid grey, its centre anywhere (DeVries and Taylor, 2017).
        brightness: Largest relative change of all pixels, below 1.
        rotate: Largest turn in degrees; what comes in is the image reflected, here and below.
        crop: Smallest share of the image's area that a random crop keeps before it is brought to full size, from above
            0 to 1; 0 never crops (Szegedy et al., "Going deeper with convolutions", 2015, with 0.08).
        crop_aspect: Largest ratio of the crop's sides, either way round.
        shear: Largest slant along the rows, in degrees.
        scale: Largest relative change of size, up to 10: by a factor from 1 / (1 + scale) to 1 + scale, evenly in its
            logarithm.
        contrast: Largest relative change of the distance to the image's mean grey, up to 1.
        saturation: Largest relative change of the distance to each pixel's grey, up to 1; colour images only.
        hue: Largest turn of the colour circle in degrees; colour images only.
        operations: What ``draws`` operations are drawn from for each image, each as likely as the others and every
            time anew (RandAugment, Cubuk et al., 2020); ``RANDAUGMENT`` is the list of the paper. Empty is off.
        draws: How many operations each image gets.
        magnitude: Strength of every operation, 0 to 10.
        mixup: Both parameters of the beta distribution of mixup's weights (Zhang et al., 2018); 0 is off.
        cutmix: Both parameters of the beta distribution of cutmix's areas (Yun et al., 2019); 0 is off. With both,
            each image is mixed by one of them, each as often.
        mix_share: Share of the images that ``mixup`` and ``cutmix`` mix.

    Raises:
        DataError: If a value is outside its range.
    """

    flip: bool = False
    translate: int = 0
    cutout: int = 0
    brightness: float = 0.0
    rotate: float = 0.0
    crop: float = 0.0
    crop_aspect: float = 4 / 3
    shear: float = 0.0
    scale: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    operations: tuple[str, ...] = ()
    draws: int = 2
    magnitude: float = 9.0
    mixup: float = 0.0
    cutmix: float = 0.0
    mix_share: float = 1.0

    def __post_init__(self) -> None:
        for names, rule, holds in _CHECKS:
            for name in names:
                value = getattr(self, name)
                number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
                if not number or not holds(value):
                    raise DataError(f"{name} must be {rule}", received=value, where=f"policy.{name}")
        if not isinstance(self.flip, bool):
            raise DataError("flip must be true or false", received=self.flip, where="policy.flip")
        if not isinstance(self.operations, tuple | list):
            raise DataError("operations must be names", received=self.operations, where="policy.operations")
        object.__setattr__(self, "operations", tuple(self.operations))  # JSON knows lists only
        for name in self.operations:
            if name not in OPERATIONS:
                remedy = did_you_mean(str(name), OPERATIONS, f"there are {', '.join(OPERATIONS)}", shown="{!r}")
                raise DataError("there is no such operation", received=name, where="policy.operations", remedy=remedy)

    @staticmethod
    def for_images(side: int, channels: int) -> Policy:
        """A safe default: small shifts, and mirroring for colour only, since letters and digits do not survive it."""
        return Policy(flip=channels == 3, translate=side // 8)

    @property
    def mixes(self) -> bool:
        """Whether images are mixed with each other."""
        return (self.mixup > 0 or self.cutmix > 0) and self.mix_share > 0
