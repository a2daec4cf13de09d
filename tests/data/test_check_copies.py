"""Copies of pictures, against brute force, and with copies made as people make them."""

from __future__ import annotations

import io
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from scipy.fft import dctn
from scipy.ndimage import gaussian_filter

from convsmith.data import open_images
from convsmith.data.checks import copies
from convsmith.data.checks.copies import ALIKE, SAME, STANDS_OUT, find_copies, link, needed_similarity
from convsmith.data.checks.fingerprint import NOISE, fingerprints
from tests.data.samples import encode, noise, save


def scene(seed, side=48):
    """A smooth colour picture with a few edges; no two seeds are alike."""
    random = np.random.default_rng(seed)
    picture = sum(gaussian_filter(random.normal(size=(side, side, 3)), (s, s, 0)) * s for s in (2, 4, 8))
    for _ in range(4):
        top, left = random.integers(0, side - 8, 2)
        picture[top : top + random.integers(4, 20), left : left + random.integers(4, 20)] += random.normal(size=3)
    picture = (picture - picture.min()) / (picture.max() - picture.min())
    return (30 + 180 * picture).astype(np.uint8)


def again(image, quality):
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream))


def resized(image, side):
    picture = Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC)
    return np.asarray(picture.resize(image.shape[1::-1], Image.Resampling.BILINEAR))


CHANGES = {
    "compressed": lambda image: again(image, 30),
    "half the size": lambda image: resized(image, 24),
    "brighter": lambda image: np.clip(image.astype(int) + 40, 0, 255).astype(np.uint8),
    "darker": lambda image: (image * 0.6).astype(np.uint8),
    "compressed and darker": lambda image: again((image * 0.7).astype(np.uint8), 50),
    "noisy": lambda image: np.clip(image + np.random.default_rng(1).normal(0, 5, image.shape), 0, 255).astype(np.uint8),
}


def as_images(pixels, like):
    """Images of these pixels, in the manner of a set that was opened; equal ones share a group as they do there."""
    known: dict[bytes, int] = {}
    groups = [known.setdefault(image.tobytes(), index) for index, image in enumerate(pixels)]
    return replace(like, pixels=pixels, labels=np.zeros(len(pixels), np.int64), groups=np.array(groups))


@pytest.fixture(scope="module")
def digits():
    return open_images("digits")


@pytest.fixture(scope="module")
def scenes():
    return np.stack([scene(seed) for seed in range(250)])


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_copy_is_found_and_nothing_else(name, scenes, digits):
    pixels = np.concatenate([scenes, np.stack([CHANGES[name](image) for image in scenes[:40]])])
    found = find_copies(as_images(pixels, digits))
    assert [one.members for one in found] == [(index, 250 + index) for index in range(40)]
    assert not any(one.exact for one in found)
    assert all(ALIKE <= one.similarity < 1.000001 for one in found)


def test_exact_copies_are_found_however_many_there_are(scenes, digits):
    pixels = np.concatenate([scenes, scenes[:1], scenes[7:8].repeat(60, axis=0)])
    found = find_copies(as_images(pixels, digits))
    assert [one.members for one in found] == [(0, 250), (7, *range(251, 311))]
    assert all(one.exact and one.similarity == 1 for one in found)


def test_a_crowd_of_near_copies_is_one_cluster(scenes, digits):
    """More of them than the neighbours by which a copy must stand out."""
    shades = [np.clip(scenes[3].astype(int) + shade, 0, 255).astype(np.uint8) for shade in range(-25, 25) if shade]
    found = find_copies(as_images(np.concatenate([scenes, np.stack(shades)]), digits))
    assert [one.members for one in found] == [(3, *range(250, 299))]


def test_other_colours_make_another_picture(digits):
    """Equal brightness everywhere, so that colour alone tells them apart."""
    grey = scene(0)[..., :1].repeat(3, axis=2).astype(np.float64)
    tints = [np.array(tint, np.float64) for tint in ((70, 0, -184), (-70, 0, 184), (-90, 46, 0), (90, -46, 0))]
    ramps = np.linspace(-0.4, 0.4, 48)[:, None, None]
    pixels = np.stack([np.clip(grey * 0.5 + 60 + tint * ramps, 0, 255) for tint in tints]).astype(np.uint8)
    others = np.stack([scene(seed) for seed in range(1, 60)])
    assert find_copies(as_images(np.concatenate([pixels, others]), digits)) == ()


def test_look_alikes_are_not_copies_but_copies_among_them_are_found(digits):
    found = find_copies(digits)
    assert sum(len(one.members) for one in found) <= 0.02 * len(digits)
    bright = np.clip(digits.pixels[:50].astype(int) + 25, 0, 255).astype(np.uint8)
    more = find_copies(as_images(np.concatenate([digits.pixels, bright]), digits))
    together = [set(one.members) for one in more]
    assert all(any({index, len(digits) + index} <= cluster for cluster in together) for index in range(50))


def test_blank_images_resemble_nothing(scenes, digits):
    blank = np.stack([np.full((48, 48, 3), level, np.uint8) for level in (0, 90, 90, 255)])
    found = find_copies(as_images(np.concatenate([scenes, blank]), digits))
    assert [one.members for one in found] == [(251, 252)]


def test_fingerprints_are_scaled_low_frequencies():
    pixels = noise(5, 40, 12, 12, 3)
    y = pixels.astype(np.float64) @ [0.299, 0.587, 0.114]
    parts = [dctn(y, axes=(1, 2), norm="ortho")[:, :8, :8].reshape(40, -1)[:, 1:]]
    colour = np.stack([pixels[..., 0] - y, pixels[..., 2] - y], axis=-1)
    parts.append(dctn(colour, axes=(1, 2), norm="ortho")[:, :4, :4].reshape(40, -1))
    wanted = np.concatenate(parts, axis=1)
    wanted /= np.sqrt(wanted.var(axis=0) + NOISE**2)
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    found = fingerprints(pixels)
    assert np.allclose(np.sort(found @ found.T), np.sort(wanted @ wanted.T), atol=1e-4)


def test_brightness_and_contrast_leave_the_fingerprint_alone():
    base = noise(1, 20, 16, 16, 1) // 4
    changed = np.concatenate([base, base + 100, base * 3])
    found = fingerprints(changed)
    assert np.allclose((found[:20] * found[20:40]).sum(axis=1), 1, atol=1e-5)
    assert np.allclose((found[:20] * found[40:]).sum(axis=1), 1, atol=1e-5)


def brute_force(prints):
    """Clusters by comparing every pair, one after the other, and a search from each image."""
    count = len(prints)
    similar = [[float(np.dot(one, other)) for other in prints] for one in prints]
    rank = max(2, round(min(30, count / 10)))
    needed = []
    for row in similar:
        neighbour = sorted(row, reverse=True)[rank]
        limit = 1 - (STANDS_OUT * np.sqrt(max(0, 2 - 2 * neighbour))) ** 2 / 2
        needed.append(min(max(limit, ALIKE), SAME))
    linked = [{j for j in range(count) if similar[i][j] >= max(needed[i], needed[j])} for i in range(count)]
    cluster = [-1] * count
    for start in range(count):
        waiting = [start]
        while waiting:
            one = waiting.pop()
            if cluster[one] < 0:
                cluster[one] = start
                waiting += linked[one]
    return cluster


def mixed_prints():
    """Directions far apart, some with copies, a crowd, and a chain of which only neighbours are alike."""
    random = np.random.default_rng(3)
    single = random.normal(size=(60, 6))
    near = single[:12] + random.normal(size=(12, 6)) * np.linspace(0.01, 0.6, 12)[:, None]
    crowd = random.normal(size=6) * 2 + random.normal(size=(50, 6)) * np.linspace(0.1, 1, 50)[:, None]
    turns = np.arange(12) * 0.12
    chain = np.stack([np.cos(turns), np.sin(turns), *np.zeros((4, 12))], axis=1)
    prints = random.permutation(np.concatenate([single, near, crowd, chain]))
    return (prints / np.linalg.norm(prints, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("tile", [(2048, 4096), (7, 11), (40, 16)])
def test_links_are_those_of_brute_force_whatever_the_tiles(tile, monkeypatch):
    monkeypatch.setattr(copies, "_TILE", tile)
    prints = mixed_prints()
    told = []
    found = link(prints, progress=lambda *state: told.append(state))
    wanted = np.array(brute_force(prints))
    assert {tuple(np.flatnonzero(found == one)) for one in found} == {
        tuple(np.flatnonzero(wanted == one)) for one in wanted
    }
    sizes = np.bincount(wanted)
    assert sizes.max() >= 12
    assert 5 < (sizes > 1).sum() < 40
    assert told[-1][0] == told[-1][1]
    assert told == sorted(told)


def test_a_sample_of_neighbours_does_for_a_large_set(monkeypatch):
    random = np.random.default_rng(0)
    prints = random.normal(size=(4000, 12)).astype(np.float32)
    prints /= np.linalg.norm(prints, axis=1, keepdims=True)
    exact = needed_similarity(prints)
    monkeypatch.setattr(copies, "_SAMPLE", 1000)
    assert abs(needed_similarity(prints) - exact).mean() < 0.01


def test_memory_does_not_grow_with_the_square_of_the_set():
    prints = np.random.default_rng(0).normal(size=(12_000, 4)).astype(np.float32)
    prints /= np.linalg.norm(prints, axis=1, keepdims=True)
    tracemalloc.start()
    needed_similarity(prints)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 60e6  # the similarities of all would take 144 MB by the sample alone


@pytest.mark.parametrize("count", [1, 2, 3])
def test_very_few_images_are_compared_too(count, tmp_path):
    for number in range(count):
        save(tmp_path / "a" / f"{number}.png", encode(scene(0)))
    save(tmp_path / "b" / "0.png", encode(scene(1)))
    found = find_copies(open_images(tmp_path))
    assert [len(one.members) for one in found] == ([count] if count > 1 else [])
