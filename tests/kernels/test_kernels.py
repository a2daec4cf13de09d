"""The kernels against torch's modules in float64."""

from __future__ import annotations

import copy
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from convsmith import kernels
from convsmith.kernels import (
    Activation,
    activation_of,
    depthwise,
    normalise,
    normed_depthwise,
    takes_depthwise,
    takes_map,
)
from tests.kernels.kernels_maps import (
    ACTIVATIONS,
    TOLERANCE,
    a_map,
    a_norm,
    away_from_corners,
    close,
    doubled,
    dtypes,
    maps,
    moved_from_corners,
)


def test_this_machine_has_what_the_readme_asks_for():
    assert kernels.why_unavailable() == ""


@settings(max_examples=120)
@given(
    shape=maps,
    dtype=dtypes,
    which=st.integers(0, len(ACTIVATIONS) - 1),
    adds=st.booleans(),
    affine=st.booleans(),
    shift=st.sampled_from([0.0, 3.0, -40.0]),
    seed=st.integers(0, 99),
)
def test_a_normalisation_is_torchs_with_what_is_added_and_its_activation(
    shape: tuple[int, int, int, int], dtype: torch.dtype, which: int, adds: bool, affine: bool, shift: float, seed: int
):
    activation = ACTIVATIONS[which]
    kind = activation_of(activation)
    assert kind is not None
    adds = adds and kind.clips
    x = a_map(shape, dtype, seed, shift)
    more = a_map(shape, dtype, seed + 1) if adds else None
    norm = a_norm(shape[1], seed, affine=affine)
    reference = copy.deepcopy(norm).double()

    exact = [doubled(x), *([doubled(more)] if more is not None else [])]
    inner = reference(exact[0])
    inner = inner + exact[1] if adds else inner
    wanted = activation(inner)
    # where the derivative jumps, float32 may fall on the other side
    steady = away_from_corners(activation, inner.detach(), TOLERANCE[dtype])
    gradient = a_map(shape, dtype, seed + 2) * steady.to(dtype)
    gradient = gradient.contiguous(memory_format=torch.channels_last)
    wanted.backward(gradient.double())

    inputs = [x.clone().requires_grad_(), *([more.clone().requires_grad_()] if more is not None else [])]
    found = normalise(inputs[0], norm, kind, *inputs[1:])
    found.backward(gradient)

    tolerance = TOLERANCE[dtype]
    assert found.dtype == dtype
    assert found.is_contiguous(memory_format=torch.channels_last)
    close(found, wanted.detach(), tolerance)
    # few numbers per channel make 1 / deviation, and so the gradient, large
    for mine, theirs in zip(inputs, exact, strict=True):
        close(mine.grad, theirs.grad, 5 * tolerance)
    for name, parameter in norm.named_parameters():
        close(parameter.grad, reference.get_parameter(name).grad, 5 * tolerance)
    for name, buffer in norm.named_buffers():
        close(buffer, reference.get_buffer(name).double(), 1e-5 if dtype is torch.float32 else 1e-3)


@pytest.mark.parametrize("options", [{"momentum": None}, {"momentum": 0.3}, {"track_running_stats": False}])
def test_running_statistics_follow_as_in_torch(options: dict[str, object]):
    norm = a_norm(5, 3, **options)
    reference = copy.deepcopy(norm).double()
    for seed in range(3):
        x = a_map((4, 5, 3, 3), torch.float32, seed, 2.0)
        normalise(x, norm, Activation(0))
        reference(x.double())
    for name, buffer in norm.state_dict().items():
        close(buffer, reference.state_dict()[name].double(), 1e-5)


def test_a_constant_channel_and_one_far_from_zero_keep_their_digits():
    x = a_map((8, 2, 6, 6), torch.float32, 0) * 1e-3 + 1e3
    x[:, 1] = 7.0
    norm = a_norm(2, 0)
    wanted = copy.deepcopy(norm).double()(x.double())
    close(normalise(x, norm, Activation(0)), wanted.detach(), 1e-3)


@pytest.mark.parametrize("dtype", list(TOLERANCE))
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_not_finite_stays_so(dtype: torch.dtype, bad: float):
    x = a_map((2, 3, 4, 4), dtype, 0)
    x[0, 1, 2, 3] = bad
    found = normalise(x, a_norm(3, 0), Activation(0))
    assert not found[:, 1].isfinite().any()
    assert found[:, [0, 2]].isfinite().all()
    assert not depthwise(x, torch.ones(3, 1, 3, 3), 1, 1)[0, 1, 2, 3].isfinite()


@pytest.mark.slow
@settings(max_examples=120)
@given(
    shape=maps,
    dtype=dtypes,
    kernel=st.integers(2, 7),
    stride=st.integers(1, 3),
    padding=st.integers(0, 6),
    seed=st.integers(0, 99),
)
def test_a_depthwise_convolution_is_torchs(
    shape: tuple[int, int, int, int], dtype: torch.dtype, kernel: int, stride: int, padding: int, seed: int
):
    channels = shape[1]
    padding = min(padding, kernel - 1)
    if min(shape[2:]) + 2 * padding < kernel:
        return
    module = nn.Conv2d(channels, channels, kernel, stride, padding, groups=channels, bias=False)
    assert takes_depthwise(module) == (channels > 1 or module.groups == 1)
    x = a_map(shape, dtype, seed)
    exact, weight = doubled(x), doubled(module.weight)
    wanted = nn.functional.conv2d(exact, weight, None, stride, padding, groups=channels)
    gradient = a_map(tuple(wanted.shape), dtype, seed + 1)
    wanted.backward(gradient.double())

    mine = x.clone().requires_grad_()
    found = depthwise(mine, module.weight, stride, padding)
    found.backward(gradient)
    close(found, wanted.detach(), TOLERANCE[dtype])
    close(mine.grad, exact.grad, TOLERANCE[dtype])
    close(module.weight.grad, weight.grad, 2e-5)


@pytest.mark.slow
@settings(max_examples=150)
@given(
    shape=maps,
    dtype=dtypes,
    which=st.integers(0, len(ACTIVATIONS) - 1),
    kernel=st.integers(2, 7),
    stride=st.integers(1, 3),
    padding=st.integers(0, 6),
    affine=st.booleans(),
    seed=st.integers(0, 99),
)
def test_a_normalisation_and_the_depthwise_convolution_after_it_are_torchs(
    shape: tuple[int, int, int, int],
    dtype: torch.dtype,
    which: int,
    kernel: int,
    stride: int,
    padding: int,
    affine: bool,
    seed: int,
):
    activation, channels, padding = ACTIVATIONS[which], shape[1], min(padding, kernel - 1)
    kind = activation_of(activation)
    assert kind is not None
    if min(shape[2:]) + 2 * padding < kernel:
        return
    norm = a_norm(channels, seed, affine=affine)
    x = moved_from_corners(a_map(shape, dtype, seed), norm, activation)
    weight = torch.randn(channels, 1, kernel, kernel, generator=torch.Generator().manual_seed(seed)).requires_grad_()
    exact, exact_weight, reference = doubled(x), doubled(weight), copy.deepcopy(norm).double()
    wanted = nn.functional.conv2d(activation(reference(exact)), exact_weight, None, stride, padding, groups=channels)
    gradient = a_map(tuple(wanted.shape), dtype, seed + 1)
    wanted.backward(gradient.double())

    mine = x.clone().requires_grad_()
    found = normed_depthwise(mine, norm, kind, weight, stride, padding)
    found.backward(gradient)
    tolerance = TOLERANCE[dtype]
    assert found.dtype == dtype
    close(found, wanted.detach(), tolerance)
    close(mine.grad, exact.grad, 5 * tolerance)
    close(weight.grad, exact_weight.grad, tolerance)
    for name, parameter in norm.named_parameters():
        close(parameter.grad, reference.get_parameter(name).grad, 5 * tolerance)
    for name, buffer in norm.named_buffers():
        close(buffer, reference.get_buffer(name).double(), 1e-5 if dtype is torch.float32 else 1e-3)


@pytest.mark.parametrize(
    "apply",
    [
        lambda x, norm, weight: depthwise(normalise(x, norm, Activation(2)), weight, 1, 1),
        lambda x, norm, weight: normed_depthwise(x, norm, Activation(2), weight, 1, 1),
    ],
    ids=["one after the other", "together"],
)
def test_results_do_not_depend_on_the_number_of_threads(apply: Callable[..., Tensor]):
    x = a_map((9, 24, 17, 13), torch.bfloat16, 0)
    gradient = a_map((9, 24, 17, 13), torch.bfloat16, 1)
    results: list[list[Tensor]] = []
    before = torch.get_num_threads()
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        norm, weight = a_norm(24, 0), torch.linspace(-1, 1, 24 * 9).view(24, 1, 3, 3).requires_grad_()
        start = x.clone().requires_grad_()
        end = apply(start, norm, weight)
        end.backward(gradient)
        assert start.grad is not None
        assert weight.grad is not None
        assert norm.weight.grad is not None
        results.append([end.detach(), start.grad, weight.grad, norm.weight.grad, *norm.buffers()])
    torch.set_num_threads(before)
    for others in results[1:]:
        assert all(map(torch.equal, results[0], others))


@pytest.mark.parametrize(
    "module",
    [
        nn.Conv2d(8, 16, 3, groups=8, bias=False),
        nn.Conv2d(8, 8, 3, bias=False),
        nn.Conv2d(8, 8, 3, groups=8),
        nn.Conv2d(8, 8, 3, groups=8, bias=False, dilation=2),
        nn.Conv2d(8, 8, (3, 5), groups=8, bias=False),
        nn.Conv2d(8, 8, 9, groups=8, bias=False),
        nn.Conv2d(8, 8, 3, groups=8, bias=False, padding=3),
        nn.Conv2d(8, 8, 3, groups=8, bias=False, padding=1, padding_mode="reflect"),
        nn.Conv2d(8, 8, 3, groups=8, bias=False, padding="same"),
    ],
)
def test_other_convolutions_are_left_to_torch(module: nn.Conv2d):
    assert not takes_depthwise(module)


def test_other_maps_are_left_to_torch():
    x = torch.rand(2, 8, 4, 4)
    assert takes_map(x.contiguous(memory_format=torch.channels_last))
    assert not takes_map(x)
    assert not takes_map(x.double().contiguous(memory_format=torch.channels_last))
    assert not takes_map(torch.rand(2, 8))
    assert activation_of(nn.GELU()) is None


def test_the_floating_point_mode_of_the_process_is_left_alone():
    assert kernels.available()
    tiny = torch.tensor([1e-40])
    assert (tiny * 1.0).item() != 0.0


def run(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


WHY = "from convsmith import kernels; print(kernels.why_unavailable())"


@pytest.mark.slow
def test_without_a_compiler_or_with_a_broken_one_the_reason_is_told(tmp_path: Path):
    assert "no C compiler" in run(WHY, CC="no-such-compiler", CONVSMITH_CACHE=str(tmp_path))
    broken = tmp_path / "cc"
    broken.write_text('#!/bin/sh\n[ "$1" = --version ] && exit 0\necho "cannot do that" >&2\nexit 1\n')
    broken.chmod(0o755)
    assert "cannot do that" in run(WHY, CC=str(broken), CONVSMITH_CACHE=str(tmp_path))
    assert not list((tmp_path / "kernels").iterdir())


@pytest.mark.slow
def test_kernels_are_compiled_once_and_refused_where_others_can_write(tmp_path: Path):
    assert run(WHY, CONVSMITH_CACHE=str(tmp_path)) == ""
    (made,) = (tmp_path / "kernels").iterdir()
    first = made.stat().st_mtime_ns
    assert run(WHY, CONVSMITH_CACHE=str(tmp_path)) == ""
    assert made.stat().st_mtime_ns == first
    made.chmod(made.stat().st_mode | stat.S_IWOTH)
    assert "others can write" in run(WHY, CONVSMITH_CACHE=str(tmp_path))
