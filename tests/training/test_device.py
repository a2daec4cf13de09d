"""Training on a card, pretended by tensors that meet no others, beside training on the processor."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from training_card import Calls, CardTensor, pretended_card
from training_toy import (
    NORMALISATION,
    POLICY,
    Crash,
    assert_same,
    blobs,
    logged,
    network,
    run,
    stop_after,
    training_set,
)

from convsmith.errors import TrainingError
from convsmith.jobs.settings import setup_of
from convsmith.training import distributed
from convsmith.training.budget import Budget
from convsmith.training.candidates import ways
from convsmith.training.checkpoint import State, copies_of, load_latest
from convsmith.training.device import LossScaler
from convsmith.training.evaluate import EvaluationSet, logits, recalibrate_batchnorm
from convsmith.training.events import read_events
from convsmith.training.parts import Parts
from convsmith.training.probe import choose_setup, race_setups
from convsmith.training.recipe import Recipe
from convsmith.training.setup import Setup

HERE = Setup(threads=1, batch_forward=64)
CARD = dataclasses.replace(HERE, device="cuda")
SGD = Recipe(batch=16, policy=POLICY, optimizer="sgd", learning_rate=0.3)
ADAMW = Recipe(batch=16, policy=POLICY, optimizer="adamw", learning_rate=1e-3)
SHORT = {"recipe": SGD, "budget": Budget(images=330)}


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Iterator[Calls]:
    with pretended_card(monkeypatch) as calls:
        yield calls


def is_here(module: nn.Module) -> bool:
    return not any(isinstance(tensor, CardTensor) for tensor in module.state_dict().values())


def test_the_pretended_card_refuses_what_a_card_refuses(card: Calls) -> None:
    there = torch.ones(3).to("meta")
    assert isinstance(there + 1, CardTensor)
    assert (there * torch.tensor(2.0)).sum().item() == 6
    with pytest.raises(RuntimeError, match="same device"):
        there + torch.ones(3)


@pytest.mark.slow
@pytest.mark.parametrize(
    "recipe",
    [
        dataclasses.replace(SGD, balance=1.0),
        dataclasses.replace(ADAMW, policy=dataclasses.replace(POLICY, mixup=0.5), whiten=True),
        Recipe(batch=16, policy=POLICY, optimizer="muon", learning_rate=0.02, ema=0.0),
    ],
    ids=lambda recipe: recipe.optimizer,
)
def test_a_training_on_the_card_is_that_on_the_processor(recipe: Recipe, card: Calls) -> None:
    """To the bit, as the pretended card computes with the processor; every tensor was where it had to be."""
    arguments = {**SHORT, "recipe": recipe, "select": EvaluationSet(*blobs(40, seed=1))}
    expected, found = run(setup=HERE, **arguments), run(setup=CARD, **arguments)
    assert_same(expected, found)
    assert found.accuracy == expected.accuracy
    assert is_here(found.module)
    assert {"manual_seed", "get_rng_state", "set_rng_state", "pin_memory"} <= card.names()
    assert ("pin_memory", (16, 3, 12, 12)) in card  # images
    assert any(call[:2] == ("pin_memory", (16,)) or call[:2] == ("pin_memory", (16, 2)) for call in card)  # targets


def test_judging_borrows_a_network_and_gives_it_back(card: Calls) -> None:
    pixels, data = blobs(70, seed=1)[0], training_set(100)
    mine, theirs = network(), network()
    for module, setup in ((mine, HERE), (theirs, CARD)):
        recalibrate_batchnorm(module, data, setup)
    assert is_here(theirs)
    np.testing.assert_array_equal(*(logits(m, pixels, NORMALISATION, s) for m, s in ((mine, HERE), (theirs, CARD))))
    assert is_here(theirs)


@pytest.mark.slow
def test_a_training_on_a_card_goes_on_without_one_close_not_exact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its checkpoint knows no device; AdamW also keeps a number for each parameter."""
    arguments = {**SHORT, "recipe": ADAMW}
    straight = run(setup=HERE, **arguments)
    with monkeypatch.context() as patch, pretended_card(patch), pytest.raises(Crash):
        logged(tmp_path, setup=CARD, progress=stop_after(9, Crash), checkpoint_seconds=0.0, **arguments)
    found = load_latest(tmp_path / "checkpoints")
    assert found is not None
    assert found.checkpoint.conditions["card"] == "Pretended"
    lines: list[str] = []
    resumed = logged(tmp_path, setup=HERE, resume=True, tell=lines.append, **arguments)
    assert "close, not exact" in lines[0]
    assert "setup device was 'cuda' and is 'cpu'" in lines[0]
    assert_same(straight, resumed)  # but for what a real card would add up in another order


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:for .*copying from a non-meta parameter")  # it is none, and is copied to
def test_the_same_card_is_not_called_exact_and_keeps_its_optimizer(card: Calls, tmp_path: Path) -> None:
    arguments = {**SHORT, "recipe": ADAMW}
    straight = run(setup=CARD, **arguments)
    with pytest.raises(Crash):
        logged(tmp_path, setup=CARD, progress=stop_after(9, Crash), checkpoint_seconds=0.0, **arguments)
    lines: list[str] = []
    resumed = logged(tmp_path, setup=CARD, resume=True, tell=lines.append, **arguments)
    assert "close, not exact" in lines[0]
    (event,) = [event for event in read_events(tmp_path / "events.ndjson") if event["event"] == "resumed"]
    assert event["exact"] is False
    assert_same(straight, resumed)


@pytest.mark.slow
@pytest.mark.parametrize(("bfloat16", "half"), [(True, "bfloat16"), (False, "float16")])
def test_where_there_is_a_card_the_race_is_run_on_it(bfloat16: bool, half: str, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CONVSMITH_CACHE", str(tmp_path))
    without = choose_setup(network, (3, 12, 12), 8, seconds=0.0)
    with monkeypatch.context() as patch, pretended_card(patch, bfloat16=bfloat16) as calls:
        offered = ways(network(), 8)
        assert {(setup.device, setup.dtype, setup.kernels) for setup in offered} == {
            ("cuda", half, False),
            ("cuda", "float32", False),
        }
        chosen = choose_setup(network, (3, 12, 12), 8, seconds=0.0)  # another than was remembered without the card
        assert {row.device for row in chosen.measured} == {chosen.device} == {"cuda"}
        assert "synchronize" in calls.names()
        assert ("autocast", "cuda", getattr(torch, half), True) in calls
        assert Setup(**{**chosen.to_dict(), "measured": ()}) == chosen
    assert without.device == "cpu"
    assert choose_setup(network, (3, 12, 12), 8, seconds=0.0).measured == without.measured


def test_a_setup_for_a_card_is_refused_where_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="trains on a graphics card, and torch finds none here; train where there"):
        CARD.place(network())
    with pytest.raises(TrainingError, match=r"setup\.device: kernels are for the processor"):
        dataclasses.replace(CARD, kernels=True)
    with pytest.raises(TrainingError, match=r"setup\.device.*'tpu'"):
        dataclasses.replace(CARD, device="tpu")

    class Folder:
        events = tmp_path / "events.ndjson"

    for setup, usable in ((CARD, False), (HERE, True)):
        Folder.events.write_text(json.dumps({"event": "train", "setup": setup.to_dict()}) + "\n")
        assert setup_of(Folder) == (setup if usable else None)  # type: ignore[arg-type]


class Narrow(nn.Module):
    """A network on a machine that has memory for so many images."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.net, self.most = network(), most

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if len(images) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return self.net(images)


@pytest.mark.parametrize(("most", "part"), [(1000, {None, 64}), (64, {64}), (40, {None}), (1, {None})])
def test_what_memory_does_not_suffice_for_drops_out_of_the_race(most: int, part: set[int | None]) -> None:
    """With 40 not even half of the 128 images fit: those of the first round decide, and a training cuts for itself."""
    chosen = race_setups(lambda: Narrow(most), (3, 12, 12), 128, seconds=0.0)
    assert chosen.micro_batch in part
    assert all(np.isfinite(row.seconds) for row in chosen.measured)
    assert bool(chosen.measured) is (most > 1)


def scaled(patch: pytest.MonkeyPatch, scale: float) -> None:
    patch.setattr(Setup, "make_scaler", lambda self: LossScaler("cpu", init_scale=scale))


def coarse() -> nn.Module:
    """The toy, with gradients that overflow where those of float16 would."""
    module = network()
    for parameter in module.parameters():
        parameter.register_hook(lambda gradient: torch.where(gradient.abs() > 65504, torch.inf, gradient))
    return module


def test_a_scaled_loss_gives_the_same_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = run(**SHORT)
    scaled(monkeypatch, 2.0**10)  # a power of two changes no bit
    assert_same(plain, run(**SHORT))


def test_an_overflow_skips_the_step_and_halves_the_scale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scaled(monkeypatch, 2.0**24)
    (tmp_path / "whole").mkdir()
    before, skipped, module = network().state_dict(), [], coarse()

    def watch(_: object) -> None:
        skipped.append(all(torch.equal(mine, before[name]) for name, mine in module.named_parameters()))

    straight = logged(tmp_path / "whole", module=module, progress=watch, **SHORT)
    assert skipped[:4] == [True] * 4
    assert not skipped[-1]
    assert not straight.incidents
    found = load_latest(tmp_path / "whole" / "checkpoints")
    assert found is not None
    assert found.checkpoint.state.figures["scaler"]["scale"] == 2.0 ** (24 - sum(skipped))
    with pytest.raises(Crash):
        logged(tmp_path, module=coarse(), progress=stop_after(3, Crash), checkpoint_seconds=0.0, **SHORT)
    assert_same(straight, logged(tmp_path, module=coarse(), resume=True, **SHORT))


def test_gradients_that_are_not_finite_at_scale_one_are_a_divergence(monkeypatch: pytest.MonkeyPatch) -> None:
    scaled(monkeypatch, 1.0)
    module = network()
    module[0].weight.register_hook(lambda gradient: gradient * torch.inf)
    with pytest.raises(TrainingError, match="the gradient norm must stay finite"):
        run(module=module, rollbacks=0, **SHORT)


def test_processes_meet_through_gloo_and_cards_through_nccl(monkeypatch: pytest.MonkeyPatch) -> None:
    assert distributed._backend() == "gloo"
    chosen: list[int] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert distributed._backend() == "cpu:gloo,cuda:nccl"
    assert chosen == [1]
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    with pytest.raises(TrainingError, match=r"needs a card of its own, and there are 2 \(received 3\); start fewer"):
        distributed._backend()


def test_a_checkpoint_holds_copies_from_the_processors_memory(card: Calls) -> None:
    module = CARD.place(network())
    copies = copies_of(State(module.state_dict(), {}))
    assert {tensor.device.type for tensor in copies.values()} == {"cpu"}
    assert not any(isinstance(tensor, CardTensor) for tensor in copies.values())
    module[0].weight.data.zero_()
    assert copies["0.weight"].any()
    assert copies["0.weight"].is_contiguous()


def test_parts_move_their_own_images_only(card: Calls) -> None:
    """The batch stays in the processor's memory; the card sees as much at once as the setup says."""
    setup = dataclasses.replace(CARD, micro_batch=4)
    parts = Parts(setup.place(network()), setup, batch=8, classes=2, label_smoothing=0.0)
    parts.gradients(torch.randn(8, 3, 12, 12), torch.zeros(8, dtype=torch.int64), lambda _: None)
    assert [tuple(call[1]) for call in card if call[0] == "pin_memory"] == [(4, 3, 12, 12), (4,)] * 2
