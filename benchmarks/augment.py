"""Images per second from stored pixels to what a network sees: whole batches at once, and image by image.

Both do the same kinds of change with the same strengths, on one thread, timed in seconds of the processor, so that what
else runs on the machine counts less. Image by image is the usual way: Pillow and numpy for each image, then stacked.
Single images differ by rounding and draws.

    python benchmarks/augment.py
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial

import harness
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps

from convsmith.data.augment import RANDAUGMENT, Normalisation, Policy
from convsmith.training.batches import Batches, TrainingSet

BATCH = 64
REPEATS = 15
STORED = {32: 20_000, 128: 1_000}  # side, and images of it
NORMALISATION = Normalisation((125.3, 123.0, 113.9), (63.0, 62.1, 66.7))


def policies(side: int) -> dict[str, Policy]:
    flip_translate = {"flip": True, "translate": side // 8}
    return {
        "normalise only": Policy(),
        "flip, translate": Policy(flip=True, translate=side // 8),
        "flip, crop": Policy(flip=True, crop=0.08),
        "colour, affine, cutout": Policy(
            **flip_translate, rotate=15, shear=8, scale=0.2, brightness=0.4, contrast=0.4, saturation=0.4, hue=20,
            cutout=side // 4,
        ),
        "flip, translate, RandAugment": Policy(**flip_translate, operations=RANDAUGMENT),
        "flip, translate, mixup": Policy(**flip_translate, mixup=0.2),
        "flip, translate, cutmix": Policy(**flip_translate, cutmix=1.0),
    }  # fmt: skip


class ImageByImage:
    """The usual way: every image for itself."""

    def __init__(self, data: TrainingSet, policy: Policy) -> None:
        self._data, self._policy = data, policy
        self._rng = np.random.default_rng(0)
        self._mean, self._std = (np.array(part, np.float32) for part in (NORMALISATION.mean, NORMALISATION.std))

    def batch(self) -> tuple[torch.Tensor, torch.Tensor]:
        count = BATCH + self._policy.mixes
        ids = self._rng.integers(0, len(self._data.labels), count)
        images = torch.from_numpy(np.stack([self._image(self._data.pixels[index]) for index in ids]))
        labels = torch.from_numpy(self._data.labels[ids])
        if not self._policy.mixes:
            return images, labels
        return self._mixed(images, labels)

    def _image(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        policy, rng = self._policy, self._rng
        picture = Image.fromarray(pixels)
        if policy.flip and rng.random() < 0.5:
            picture = ImageOps.mirror(picture)
        if policy.crop:
            picture = self._cropped(picture)
        if policy.translate:
            picture = self._shifted(picture)
        if policy.rotate:
            picture = self._affine(picture)
        for operation in rng.choice(policy.operations, policy.draws) if policy.operations else ():
            picture = operated(picture, operation, policy.magnitude / 10 * rng.choice([-1, 1]))
        picture = self._recoloured(picture)
        image = (np.asarray(picture).astype(np.float32) - self._mean) / self._std
        if policy.cutout:
            y, x = (int(rng.integers(0, size)) - policy.cutout // 2 for size in image.shape[:2])
            image[max(y, 0) : y + policy.cutout, max(x, 0) : x + policy.cutout] = (128 - self._mean) / self._std
        return image.transpose(2, 0, 1)

    def _shifted(self, picture: Image.Image) -> Image.Image:
        reach = self._policy.translate
        padded = np.pad(np.asarray(picture), ((reach, reach), (reach, reach), (0, 0)), mode="reflect")
        top, left = self._rng.integers(0, 2 * reach + 1, 2)
        return Image.fromarray(padded[top : top + picture.height, left : left + picture.width])

    def _cropped(self, picture: Image.Image) -> Image.Image:
        width, height = picture.size
        for _ in range(10):
            area = self._rng.uniform(self._policy.crop, 1) * width * height
            aspect = math.exp(self._rng.uniform(-1, 1) * math.log(self._policy.crop_aspect))
            high, wide = round(math.sqrt(area / aspect)), round(math.sqrt(area * aspect))
            if high <= height and wide <= width:
                top, left = self._rng.integers(0, height - high + 1), self._rng.integers(0, width - wide + 1)
                box = (int(left), int(top), int(left) + wide, int(top) + high)
                return picture.resize((width, height), Image.Resampling.BILINEAR, box)
        return picture

    def _affine(self, picture: Image.Image) -> Image.Image:
        policy, rng, (width, height) = self._policy, self._rng, picture.size
        angle = math.radians(rng.uniform(-1, 1) * policy.rotate)
        slant = math.tan(math.radians(rng.uniform(-1, 1) * policy.shear))
        zoom = (1 + policy.scale) ** rng.uniform(-1, 1)
        cosine, sine = math.cos(angle) / zoom, math.sin(angle) / zoom
        a, b, d, e = cosine + slant * sine, -sine + slant * cosine, sine, cosine
        x, y = (width - 1) / 2, (height - 1) / 2
        data = (a, b, x - a * x - b * y, d, e, y - d * x - e * y)
        return picture.transform(picture.size, Image.Transform.AFFINE, data, Image.Resampling.BILINEAR)

    def _recoloured(self, picture: Image.Image) -> Image.Image:
        policy, rng = self._policy, self._rng
        for enhance, largest in (
            (ImageEnhance.Brightness, policy.brightness),
            (ImageEnhance.Contrast, policy.contrast),
            (ImageEnhance.Color, policy.saturation),
        ):
            if largest:
                picture = enhance(picture).enhance(1 + rng.uniform(-1, 1) * largest)
        if policy.hue:
            hue, saturation, value = picture.convert("HSV").split()
            turn = round(rng.uniform(-1, 1) * policy.hue / 360 * 256)
            hue = Image.fromarray(np.asarray(hue) + np.uint8(turn % 256))
            picture = Image.merge("HSV", (hue, saturation, value)).convert("RGB")
        return picture

    def _mixed(self, images: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        policy, rng, classes = self._policy, self._rng, self._data.classes
        alpha = policy.mixup or policy.cutmix
        results, targets = torch.empty_like(images[:-1]), torch.zeros(BATCH, classes)
        for index in range(BATCH):
            weight = float(rng.beta(alpha, alpha))
            if policy.mixup:
                results[index] = weight * images[index] + (1 - weight) * images[index + 1]
            else:
                height, width = images.shape[2:]
                high, wide = (int(size * math.sqrt(1 - weight)) // 2 for size in (height, width))
                y, x = int(rng.integers(0, height)), int(rng.integers(0, width))
                rows, columns = slice(max(y - high, 0), y + high), slice(max(x - wide, 0), x + wide)
                results[index] = images[index]
                results[index, :, rows, columns] = images[index + 1, :, rows, columns]
            targets[index, labels[index]] += weight
            targets[index, labels[index + 1]] += 1 - weight
        return results, targets


def operated(picture: Image.Image, name: str, level: float) -> Image.Image:
    width, height = picture.size
    affine = {
        "rotate": lambda: picture.rotate(30 * level, Image.Resampling.BILINEAR),
        "shear_x": lambda: moved(picture, (1, 0.3 * level, 0, 0, 1, 0)),
        "shear_y": lambda: moved(picture, (1, 0, 0, 0.3 * level, 1, 0)),
        "translate_x": lambda: moved(picture, (1, 0, 150 / 331 * level * width, 0, 1, 0)),
        "translate_y": lambda: moved(picture, (1, 0, 0, 0, 1, 150 / 331 * level * height)),
    }
    pixels: dict[str, Callable[[], Image.Image]] = {
        "identity": lambda: picture,
        "autocontrast": lambda: ImageOps.autocontrast(picture),
        "equalize": lambda: ImageOps.equalize(picture),
        "posterize": lambda: ImageOps.posterize(picture, 8 - round(4 * abs(level))),
        "solarize": lambda: ImageOps.solarize(picture, round(256 * (1 - abs(level)))),
        "brightness": lambda: ImageEnhance.Brightness(picture).enhance(1 + 0.9 * level),
        "contrast": lambda: ImageEnhance.Contrast(picture).enhance(1 + 0.9 * level),
        "color": lambda: ImageEnhance.Color(picture).enhance(1 + 0.9 * level),
        "sharpness": lambda: ImageEnhance.Sharpness(picture).enhance(1 + 0.9 * level),
    }
    return {**affine, **pixels}[name]()


def moved(picture: Image.Image, data: tuple[float, ...]) -> Image.Image:
    return picture.transform(picture.size, Image.Transform.AFFINE, data, Image.Resampling.BILINEAR)


def stored(side: int) -> TrainingSet:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (STORED[side], side, side, 3), dtype=np.uint8)
    return TrainingSet(pixels, rng.integers(0, 10, STORED[side]), NORMALISATION, 10)


class WholeBatches:
    """Ours: the stream of the training loop."""

    def __init__(self, data: TrainingSet, policy: Policy) -> None:
        self._batches, self._position = Batches(data, policy, seed=0), 0

    def several(self, count: int) -> None:
        for _ in range(count):
            self._batches.at(self._position, BATCH)
            self._position += BATCH


def measure(data: TrainingSet, policy: Policy, count: int) -> dict[str, object]:
    ours, plain = WholeBatches(data, policy), ImageByImage(data, policy)
    tasks = {"whole_batches": partial(ours.several, count), "image_by_image": plain.batch}
    for task in tasks.values():
        task()
    seconds = harness.interleaved(tasks, REPEATS, clock=time.process_time)
    images = {"whole_batches": count * BATCH, "image_by_image": BATCH}
    rates = {name: images[name] / figures["median"] for name, figures in seconds.items()}
    return {
        "images_per_second": {name: round(rate) for name, rate in rates.items()},
        "ratio": round(rates["whole_batches"] / rates["image_by_image"], 1),
        "processor_seconds": seconds,
    }


def main() -> None:
    torch.set_num_threads(1)
    result = {
        f"{side}x{side}x3": {
            name: measure(data, policy, count=max(1, 10 * 32**2 // side**2)) for name, policy in policies(side).items()
        }
        for side, data in ((side, stored(side)) for side in STORED)
    }
    harness.write("augment", {"threads": 1, "batch": BATCH, "policies": result})


if __name__ == "__main__":
    main()
