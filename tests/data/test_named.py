from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from convsmith.data import list_images, open_images
from convsmith.errors import DataError
from tests.data.samples import noise, save


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def install(folder: Path, packed: bool) -> tuple[np.ndarray, np.ndarray]:
    images, labels = noise(1, 12, 28, 28), np.arange(12, dtype=np.uint8) % 10
    for part, where in (("train", slice(0, 10)), ("t10k", slice(10, 12))):
        for kind, array in (("images-idx3", images[where]), ("labels-idx1", labels[where])):
            content = idx(array)
            save(
                folder / f"{part}-{kind}-ubyte{'.gz' if packed else ''}", gzip.compress(content) if packed else content
            )
    return images, labels


def test_digits_are_embedded_and_span_the_whole_range(cache: Path) -> None:
    images = open_images("digits")
    oracle = load_digits()
    assert images.pixels.shape == (1797, 8, 8, 1)
    assert (images.side, images.channels, images.fit, images.native) == (8, 1, "squash", 8)
    assert images.pixels.max() == 255
    np.testing.assert_allclose(images.pixels[..., 0] / 255, oracle.images / 16, atol=0.002)
    np.testing.assert_array_equal(images.labels, oracle.target)
    assert images.classes == tuple("0123456789")
    assert not images.pixels.flags.writeable
    assert not cache.exists()
    assert [item.path for item in list_images("digits").items] == list(images.names)


def test_digits_at_another_size_and_in_colour() -> None:
    images = open_images("digits", side=12, channels=3)
    assert images.pixels.shape == (1797, 12, 12, 3)
    assert (images.pixels[..., :1] == images.pixels).all()
    assert images.digest != open_images("digits").digest


@pytest.mark.parametrize("packed", [True, False])
def test_idx_files_are_found_in_the_share_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packed: bool
) -> None:
    pixels, labels = install(tmp_path / "b/datasets/fashion-mnist", packed)
    monkeypatch.setenv("XDG_DATA_DIRS", f"{tmp_path}/a:{tmp_path}/b")
    images = open_images("fashion-mnist")
    np.testing.assert_array_equal(images.pixels[..., 0], pixels)
    np.testing.assert_array_equal(images.labels, labels)
    assert images.declared == ("train",) * 10 + ("test",) * 2
    assert images.classes[9] == "ankle boot"


def test_what_is_not_installed_is_said_with_the_package_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_DIRS", str(tmp_path))
    with pytest.raises(DataError, match="install the Debian package dataset-fashion-mnist"):
        open_images("fashion-mnist")
    with pytest.raises(DataError, match="datasets/mnist"):
        list_images("mnist")


def test_damaged_idx_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_DIRS", str(tmp_path))
    folder = tmp_path / "datasets/mnist"
    install(folder, packed=True)
    path = folder / "t10k-labels-idx1-ubyte.gz"
    whole = path.read_bytes()
    for content, message in (
        (whole[:-9], "cannot read the file"),
        (gzip.compress(gzip.decompress(whole)[:-1]), "not a complete idx file"),
        (gzip.compress(b""), "not a complete idx file"),
        (gzip.compress(idx(np.zeros(3, np.uint8))), "do not belong together"),
    ):
        path.write_bytes(content)
        with pytest.raises(DataError, match=message):
            open_images("mnist")
    path.unlink()
    with pytest.raises(DataError, match="t10k-labels-idx1-ubyte is missing"):
        open_images("mnist")
