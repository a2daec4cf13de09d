from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from training_toy import NORMALISATION, SETUP, blobs, network, training_set

from convsmith.errors import TrainingError
from convsmith.processor import _quotas, available_threads
from convsmith.training.evaluate import logits, recalibrate_batchnorm
from convsmith.training.setup import Setup


def normalised(pixels: np.ndarray) -> torch.Tensor:
    return (torch.from_numpy(pixels.astype(np.float32)).permute(0, 3, 1, 2) - 64) / 64


def test_logits_are_those_of_the_network_in_eval_mode_whatever_the_batch() -> None:
    module, (pixels, _) = network(), blobs(70, seed=1)
    with torch.no_grad():
        expected = module.eval()(normalised(pixels)).numpy()
    module.train()
    for batch in (1, 32, 100):
        found = logits(module, pixels, NORMALISATION, dataclasses.replace(SETUP, batch_forward=batch))
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, atol=1e-5)
    assert module.training  # as it was given


def test_flip_averages_an_image_with_its_mirror_image() -> None:
    module, (pixels, _) = network(), blobs(20, seed=1)
    plain, mirrored = (logits(module, p, NORMALISATION, SETUP) for p in (pixels, pixels[:, :, ::-1]))
    found = logits(module, pixels, NORMALISATION, SETUP, flip_tta=True)
    np.testing.assert_allclose(found, (plain + mirrored) / 2, atol=1e-5)


def test_recalibrated_statistics_are_the_mean_over_the_batches() -> None:
    data = training_set(200)
    module = nn.Sequential(nn.BatchNorm2d(3), nn.Dropout(0.5), nn.Flatten(), nn.Linear(432, 2))
    recalibrate_batchnorm(module, data, SETUP, images=500, batch=50)
    images = normalised(data.pixels)  # four batches of 50 hold every image once
    torch.testing.assert_close(module[0].running_mean, images.mean(dim=(0, 2, 3)), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(module[0].running_var, images.var(dim=(0, 2, 3)), atol=1e-2, rtol=1e-2)
    assert module[0].momentum == 0.1
    assert not module.training


@pytest.mark.parametrize("key", ["threads", "batch_forward"])
def test_a_setup_that_cannot_be_is_refused(key: str) -> None:
    with pytest.raises(TrainingError, match=rf"setup\.{key}"):
        Setup(**{key: 0})
    with pytest.raises(TrainingError, match=r"setup\.dtype.*float16"):
        Setup(dtype="float16")  # type: ignore[arg-type]


def test_the_least_quota_of_the_control_groups_binds(tmp_path: Path) -> None:
    (tmp_path / "pod" / "box").mkdir(parents=True)
    (tmp_path / "pod" / "cpu.max").write_text("250000 100000\n")
    (tmp_path / "pod" / "box" / "cpu.max").write_text("max 100000\n")
    (tmp_path / "cpu.max").write_text("800000 100000\n")
    assert sorted(_quotas(tmp_path, "pod/box")) == [3, 8]
    assert list(_quotas(tmp_path, "")) == [8]
    assert list(_quotas(tmp_path / "missing", "a/b")) == []
    assert 1 <= available_threads() <= (os.cpu_count() or 1)
