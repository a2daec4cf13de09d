"""Views of chosen images against NumPy's own indexing, other resolutions against ``resample``."""

from __future__ import annotations

import ctypes
import errno
import itertools
import mmap
import os
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from convsmith.data import Images, Normalisation, Rows, open_images, resample
from convsmith.data.memory import _left_in_groups, free_memory
from convsmith.data.pixel_file import PixelWriter, read_pixels
from convsmith.data.rows import _runs, announce, chunks, take
from convsmith.errors import DataError, RunError
from tests.data.samples import noise, two_classes

PIXELS = noise(1, 50, 6, 6, 3)


def stored(path: Path, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The same pixels in a memory map."""
    with path.open("wb") as stream:
        writer = PixelWriter(stream, pixels.shape[1:])
        for row in pixels:
            writer.append(row.data)
        writer.finish()
    found = read_pixels(path, pixels.shape)
    assert isinstance(found, np.memmap)
    return found


@given(st.lists(st.integers(0, 49), max_size=60), st.data())
def test_a_view_is_indexed_like_the_array_it_stands_for(chosen: list[int], data: st.DataObject) -> None:
    indices = np.array(chosen, np.int64)
    view, copy = Rows(PIXELS, indices), PIXELS[indices]
    assert (view.shape, view.dtype, view.ndim, view.nbytes) == (copy.shape, copy.dtype, copy.ndim, copy.nbytes)
    assert len(view) == len(copy)
    key = data.draw(st.slices(len(chosen)))
    np.testing.assert_array_equal(view[key], copy[key])
    if chosen:
        places = np.array(data.draw(st.lists(st.integers(-len(chosen), len(chosen) - 1), max_size=9)), np.int64)
        np.testing.assert_array_equal(view[places], copy[places])
        np.testing.assert_array_equal(take(view, places), copy[places])
        np.testing.assert_array_equal(view[chosen.index(chosen[-1])], PIXELS[chosen[-1]])


def test_a_view_of_a_map_gives_arrays_of_its_own(tmp_path: Path) -> None:
    pixels = stored(tmp_path / "x.npy", PIXELS)
    view = Rows(pixels, np.array([7, 3, 49, 0]))
    for found in (view[:], view[1:3], take(pixels, np.array([3])), view[np.array([0])]):
        assert type(found) is np.ndarray
        found[:] = 0
    np.testing.assert_array_equal(pixels, PIXELS)


def test_views_of_views_and_other_resolutions() -> None:
    outer = Rows(Rows(PIXELS, np.arange(40, 10, -1)), np.array([0, 5, 5]), resolution=4)
    assert (outer.shape, outer.nbytes) == ((3, 4, 4, 3), 3 * 4 * 4 * 3)
    np.testing.assert_array_equal(outer[:], resample(PIXELS[[40, 35, 35]], 4))
    np.testing.assert_array_equal(outer[1], resample(PIXELS[[35]], 4)[0])


@pytest.mark.parametrize("indices", [[-1], [50], [0, 3, 99]])
def test_indices_out_of_range_are_refused(indices: list[int]) -> None:
    with pytest.raises(DataError, match="from 0 to 49"):
        Rows(PIXELS, np.array(indices))


@given(st.lists(st.integers(0, 30)))
def test_runs_cover_the_rows_and_nothing_else(rows: list[int]) -> None:
    runs = _runs(np.array(rows, np.int64))
    assert [row for low, high in runs for row in range(low, high)] == sorted(set(rows))
    assert all(before[1] < after[0] for before, after in itertools.pairwise(runs))


def pages_in_memory(pixels: NDArray[np.uint8], row: int) -> list[bool]:
    """The kernel's account of the pages that hold a row of a memory map."""
    size = pixels[row].nbytes
    start = pixels.ctypes.data + row * size
    begin = start - start % mmap.PAGESIZE
    length = start + size - begin
    found = (ctypes.c_ubyte * -(-length // mmap.PAGESIZE))()
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.mincore(ctypes.c_void_p(begin), ctypes.c_size_t(length), found) == 0
    return [bool(page & 1) for page in found]


def test_announced_rows_are_read_before_they_are_asked_for(tmp_path: Path) -> None:
    pixels = stored(tmp_path / "x.npy", noise(2, 256, 64, 64, 3))
    with (tmp_path / "x.npy").open("rb") as stream:
        os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    rows = [0, 100, 101, 255]
    announce(pixels, np.array(rows))
    deadline = time.monotonic() + 20
    while not all(all(pages_in_memory(pixels, row)) for row in rows) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert all(all(pages_in_memory(pixels, row)) for row in rows)
    np.testing.assert_array_equal(pixels, noise(2, 256, 64, 64, 3))


def test_announcing_nothing_or_what_is_in_memory_does_nothing(tmp_path: Path) -> None:
    pixels = stored(tmp_path / "x.npy", PIXELS)
    for held in (pixels, pixels[3:], np.array(pixels), Rows(pixels, np.array([4])), Rows(PIXELS, np.array([4]))):
        announce(held, np.array([], np.int64))
        announce(held, np.array([0]))


def test_chunks_are_all_of_it_in_order() -> None:
    parts = list(chunks(PIXELS, 7 * 108))
    assert [len(part) for part in parts] == [7] * 7 + [1]
    np.testing.assert_array_equal(np.concatenate(parts), PIXELS)
    assert [len(part) for part in chunks(PIXELS, 1)] == [1] * 50
    assert list(chunks(PIXELS[:0], 100)) == []


@pytest.fixture
def images(tmp_path: Path) -> Images:
    return open_images(two_classes(tmp_path / "images", 30), side=20)


@pytest.fixture
def crowded(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if memory were full."""
    monkeypatch.setattr("convsmith.data.memory.free_memory", lambda: 1000)


def test_few_images_are_resampled_in_memory(images: Images) -> None:
    assert images.at(20) is images.pixels
    small = images.at(8)
    assert type(small) is np.ndarray
    np.testing.assert_array_equal(small, resample(images.pixels, 8))
    assert images.folder is not None
    assert len(list(images.folder.iterdir())) == 2


@pytest.mark.usefixtures("crowded")
def test_many_images_are_resampled_into_a_file_once(images: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convsmith.data.derived._CHUNK_BYTES", 7 * 20 * 20 * 3)
    small = images.at(8)
    assert isinstance(small, np.memmap)
    assert not small.flags.writeable
    np.testing.assert_array_equal(small, resample(np.array(images.pixels), 8))
    monkeypatch.setattr("convsmith.data.derived.resample", None)  # whatever calls it now fails
    np.testing.assert_array_equal(images.at(8), small)


@pytest.mark.usefixtures("crowded")
def test_a_damaged_file_is_made_again(images: Images) -> None:
    whole = np.array(images.at(8))
    (path,) = Path(str(images.folder)).glob("resampled*")
    path.write_bytes(path.read_bytes()[:-5])
    np.testing.assert_array_equal(images.at(8), whole)


@pytest.mark.usefixtures("crowded")
def test_only_the_last_used_files_are_kept(images: Images) -> None:
    maps = [images.at(side) for side in (3, 4, 5, 6)]
    images.at(3)
    maps.append(images.at(7))
    assert {path.name for path in Path(str(images.folder)).glob("resampled*")} == {
        f"resampled-{side}.npy" for side in (3, 5, 6, 7)
    }
    np.testing.assert_array_equal(maps[1], resample(images.pixels, 4))  # its map outlives it
    assert open_images(images.root, side=20).digest == images.digest


@pytest.mark.usefixtures("crowded")
def test_a_full_disk_is_one_line_and_leaves_nothing(images: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("convsmith.data.pixel_file.os.fsync", full)
    with pytest.raises(RunError, match=r"No space left on device.*free some space"):
        images.at(8)
    assert {path.name for path in Path(str(images.folder)).iterdir()} == {"pixels.npy", "images.json"}


@pytest.mark.usefixtures("crowded")
def test_several_at_once_make_the_same_file(images: Images) -> None:
    found: list[bytes] = []
    threads = [threading.Thread(target=lambda: found.append(bytes(images.at(9)[:]))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [resample(images.pixels, 9).tobytes()] * 4


@pytest.mark.usefixtures("crowded")
def test_a_set_without_a_folder_stays_in_memory() -> None:
    digits = open_images("digits")
    assert type(digits.at(6)) is np.ndarray
    np.testing.assert_array_equal(digits.rows(np.array([5, 1]), 6)[:], resample(digits.pixels[[5, 1]], 6))


def test_normalisation_reads_a_little_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    digits = replace(open_images("digits"), pixels=noise(3, 3000, 5, 5, 3), channels=3)
    whole = Normalisation.of(digits, np.arange(0, 3000, 3))
    monkeypatch.setattr("convsmith.data.normalise._CHUNK_BYTES", 100)
    assert Normalisation.of(digits, np.arange(0, 3000, 3)) == whole


def test_free_memory_heeds_the_groups_limits(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    for folder, limit, taken in ((inner, "1000", 300), (tmp_path / "a", "max", 800), (tmp_path, "900", 700)):
        (folder / "memory.max").write_text(limit)
        (folder / "memory.current").write_text(str(taken))
        (folder / "memory.stat").write_text("anon 5\nactive_file 30\ninactive_file 20\n")
    assert list(_left_in_groups(tmp_path, "a/b")) == [750, 250]
    assert list(_left_in_groups(tmp_path / "none", "")) == []
    assert free_memory() > 0
