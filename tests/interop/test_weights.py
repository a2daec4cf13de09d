from __future__ import annotations

import json
import os
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from convsmith.errors import ModelError
from convsmith.interop.torch_module import build
from convsmith.interop.weights import load_weights, read_metadata, read_weights, weights_of, write_weights
from tests.interop.helpers import random_inputs, randomised, residual


def test_a_file_brings_the_same_network_back(tmp_path: Path) -> None:
    source, target = randomised(residual()), build(residual()).eval()
    path = write_weights(tmp_path / "model.safetensors", weights_of(source), {"labels": '["chat", "été"]'})
    load_weights(target, read_weights(path))
    x = torch.from_numpy(random_inputs(residual(), 3)[0])
    assert torch.equal(source(x), target(x))
    assert read_metadata(path) == {"labels": '["chat", "été"]'}
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.safetensors"]


def test_weights_are_copies_without_counters_in_the_order_of_their_indices() -> None:
    network = randomised(residual()).to(memory_format=torch.channels_last)
    weights = weights_of(network)
    assert set(weights) == {name for name in network.state_dict() if "num_batches_tracked" not in name}
    kernel = network.get_parameter("stage1.block1.conv.weight")
    assert weights["stage1.block1.conv.weight"].flags.c_contiguous
    before = kernel.detach().clone()
    with torch.no_grad():
        kernel.zero_()
    np.testing.assert_array_equal(weights["stage1.block1.conv.weight"], before.numpy())


def test_arrays_in_any_memory_order_are_stored_by_index(tmp_path: Path) -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    path = write_weights(tmp_path / "w", {"t": array.T, "f": np.asfortranarray(array), "s": np.float32(7.0)[...]})
    read = read_weights(path)
    np.testing.assert_array_equal(read["t"], array.T)
    np.testing.assert_array_equal(read["f"], array)
    assert read["s"].shape == ()
    assert read_metadata(path) == {}


def test_loading_keeps_the_batch_counter() -> None:
    network = build(residual())
    network(torch.zeros(2, 3, 8, 8))
    load_weights(network, weights_of(randomised(residual())))
    assert network.get_buffer("stem.norm.num_batches_tracked").item() == 1


def test_a_misfit_names_the_first_of_each_kind_in_one_line_and_changes_nothing() -> None:
    network = build(residual())
    weights = weights_of(network)
    before = {name: value.copy() for name, value in weights.items()}
    del weights["stem.conv.weight"], weights["head.classifier.bias"]
    weights["extra.weight"] = np.zeros(3, np.float32)
    weights["stage1.block1.conv.bias"] = np.zeros(9, np.float32)
    weights["stem.norm.bias"] = np.ones(8, np.float32)
    with pytest.raises(ModelError) as caught:
        load_weights(network, weights)
    assert str(caught.value) == (
        "weights must fit the network: missing stem.conv.weight and 1 more, unexpected extra.weight, "
        "wrong stage1.block1.conv.bias of shape (9,) instead of (8,); use the design they belong to"
    )
    for name, value in weights_of(network).items():
        np.testing.assert_array_equal(value, before[name])


class Bomb:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def raw_pickle(path: Path, bomb: Bomb) -> None:
    path.write_bytes(pickle.dumps({"state": bomb}))


def torch_file(path: Path, bomb: Bomb) -> None:
    torch.save({"weight": torch.zeros(2), "bomb": bomb}, path)
    assert zipfile.is_zipfile(path)


def old_torch_file(path: Path, bomb: Bomb) -> None:
    torch.save({"bomb": bomb}, path, _use_new_zipfile_serialization=False)


@pytest.mark.parametrize("make", [raw_pickle, torch_file, old_torch_file])
@pytest.mark.parametrize("name", ["model.pt", "model.safetensors"])
@pytest.mark.parametrize("read", [read_weights, read_metadata])
def test_a_pickle_is_refused_unread_whatever_its_name(tmp_path: Path, make: Any, name: str, read: Any) -> None:
    fired = tmp_path / "fired"
    make(tmp_path / name, Bomb(fired))
    with pytest.raises(ModelError, match="pickle") as caught:
        read(tmp_path / name)
    assert name in str(caught.value)
    assert not fired.exists()


def test_a_header_length_that_looks_like_a_pickle_is_still_read(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file({"w": np.ones(2, np.float32)}, path, {"note": ""})
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    text = json.dumps(header).encode().ljust(0x0280)
    path.write_bytes(struct.pack("<Q", 0x0280) + text + content[8 + length :])
    assert path.read_bytes().startswith(b"\x80\x02")
    np.testing.assert_array_equal(read_weights(path)["w"], [1, 1])


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"garbage that is long enough", struct.pack("<Q", 50) + b"{}", struct.pack("<Q", 2) + b"{]"],
)
def test_a_bad_file_is_one_clear_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.safetensors"
    path.write_bytes(content)
    for read in (read_weights, read_metadata):
        with pytest.raises(ModelError, match=r"bad\.safetensors: .*safetensors") as caught:
            read(path)
        assert "\n" not in str(caught.value)


def test_a_truncated_file_and_a_missing_one_are_refused(tmp_path: Path) -> None:
    path = write_weights(tmp_path / "w", weights_of(build(residual())))
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(ModelError, match="damaged"):
        read_weights(path)
    with pytest.raises(ModelError, match="No such file"):
        read_weights(tmp_path / "nothing")
    with pytest.raises(ModelError, match="directory"):
        read_weights(tmp_path)
