"""What is said of a picture: as ``predict`` and ``saliency`` say it, and a clear word where there is no picture."""

from __future__ import annotations

import io
import json
import math
import time
from threading import Thread

import numpy as np
import pytest
import torch
from PIL import Image

from convsmith.errors import DataError, RunError
from convsmith.jobs.evaluate import judge_images
from convsmith.jobs.features import features
from convsmith.jobs.predict import predict
from convsmith.jobs.run_folder import RunFolder
from convsmith.jobs.saliency import saliency
from convsmith.report.seen import exciters_shot
from convsmith.studio import behind, seeing
from convsmith.studio.bodies import StudioError
from convsmith.studio.pictures import MOST_BYTES, SAMPLE, Pictures
from tests.jobs.jobs_digits import digit_pixels
from tests.studio.run_folders import started

pytestmark = pytest.mark.slow


def png(pixels) -> bytes:
    target = io.BytesIO()
    Image.fromarray(pixels).save(target, format="PNG")
    return target.getvalue()


@pytest.mark.parametrize("kind", ["train", "fit"])
def test_the_answer_is_what_predict_says(made, kind, tmp_path):
    run = getattr(made, kind)
    for number in (3, 40, 700):
        content = png(digit_pixels()[number, ..., 0])
        (tmp_path / "one.png").write_bytes(content)
        wanted = predict(run, [tmp_path / "one.png"], top=seeing.TOP).predictions[0].labels
        found = seeing.answer(run, content)
        assert [one["label"] for one in found["labels"]] == [label for label, _ in wanted]
        assert [one["share"] for one in found["labels"]] == pytest.approx([share for _, share in wanted], rel=1e-4)
        assert found["size"] == "8 × 8"
        json.dumps(found, allow_nan=False)


def test_saliency_is_that_of_the_command_with_its_pictures_kept(made, tmp_path):
    content, shown = png(digit_pixels()[12, ..., 0]), Pictures(100)
    (tmp_path / "one.png").write_bytes(content)
    wanted = saliency(made.train, tmp_path / "one.png", target="7")
    found = seeing.explain(made.train, "saliency", content, "7", shown)
    assert found["title"].endswith("7")
    scores = {row[0]: row[1] for row in found["parts"][-1]["tables"][0]["rows"]}
    for one in wanted.maps:
        if not one.empty:
            assert scores[one.title] == f"{one.score.deletion:.3f}"
    shots = [shot for part in found["parts"] for shot in part["shots"]]
    assert len(shots) == 2 + len(wanted.maps)
    for shot in shots:
        picture = Image.open(io.BytesIO(shown.png(shot["id"], tuple(shot["size"]))))
        assert picture.size == (shot["size"][1], shot["size"][0])
    assert not list(tmp_path.glob("convsmith-*"))


def test_features_and_similarity_are_pages_with_pictures(made):
    for what, sign in (("features", "maps of"), ("similarity", "")):
        shown = Pictures(100)
        found = seeing.explain(made.train, what, png(digit_pixels()[5, ..., 0]), "", shown)
        json.dumps(found, allow_nan=False)
        captions = [shot["caption"] for part in found["parts"] for shot in part["shots"]]
        assert any(sign in caption for caption in captions)


@pytest.mark.parametrize("unit", [(0, 3), (2, 1)])
def test_a_unit_depends_on_the_pixels_that_autograd_says(made, unit):
    layer, picture = "stage1.block1.act", digit_pixels()[5, ..., 0]
    shown = Pictures(10)
    found = seeing.effective(made.train, png(picture), layer, unit, shown)
    network = RunFolder(made.train).read_network()
    with torch.no_grad():
        pixels = torch.tensor(np.asarray(picture, np.float32))[None, None]
        image = network.preparation.normalisation.apply(pixels)
    kept = {}
    network.module.get_submodule(layer).register_forward_hook(lambda *given: kept.update(value=given[-1]))
    energy = torch.zeros(8, 8, dtype=torch.float64)
    for channel in range(16):
        one = image.clone().requires_grad_()
        network.module(one)
        kept["value"][0, channel, unit[0], unit[1]].backward()
        energy += one.grad[0, 0].double() ** 2
    least, total = 0.0, float(energy.sum())
    values, pixels = sorted(energy.flatten().tolist(), reverse=True), 0
    while least < 0.95 * total:
        least += values[pixels]
        pixels += 1
    assert found["pixels"] == pixels
    drawn = np.asarray(Image.open(io.BytesIO(shown.png(found["id"], (8, 8)))))[..., 0]
    wanted = (255 * energy.sqrt() / energy.sqrt().max()).numpy()
    assert np.abs(drawn - wanted).max() <= 1
    for wrong in ((9, 0), (0, -1)):
        with pytest.raises(StudioError, match="within its map"):
            seeing.effective(made.train, png(picture), layer, wrong, shown)


def test_patches_are_those_of_features_on_the_runs_own_images(made, tmp_path):
    shown, content = Pictures(10), png(digit_pixels()[5, ..., 0])
    found = seeing.explain(made.train, "excites", content, "", shown)
    (tmp_path / "one.png").write_bytes(content)
    view = features(made.train, tmp_path / "one.png", among="digits", channels=8)
    (part,) = found["parts"]
    assert [shot["caption"].split(":")[0] for shot in part["shots"]] == [one.name for one in view.excited.found.wanted]
    shots = [exciters_shot(view.excited.found, one, view.excited.pixels, 8) for one in view.excited.found.wanted]
    for shot, wanted in zip(part["shots"], shots, strict=True):
        drawn = np.asarray(Image.open(io.BytesIO(shown.png(shot["id"], tuple(shot["size"])))))
        assert np.array_equal(drawn, wanted.pixels)


def test_confidence_is_held_against_how_often_it_was_right(made):
    found = behind.reliability(made.train)
    judged = judge_images(made.train, "digits")
    shares = torch.from_numpy(judged.scores).double().softmax(dim=1)
    sure, said = (one.tolist() for one in shares.max(dim=1))
    right = [answer == truth for answer, truth in zip(said, judged.truth.tolist(), strict=True)]
    groups = {}
    for share, hit in zip(sure, right, strict=True):
        groups.setdefault(math.ceil(10 * share), []).append((share, hit))
    points = found["chart"]["lines"][1]["points"]
    assert len(points) == len(groups)
    gap = 0.0
    for point, (_, group) in zip(points, sorted(groups.items()), strict=True):
        confidence, accuracy = (sum(values) / len(group) for values in zip(*group, strict=True))
        assert point["at"] == pytest.approx([confidence, accuracy], abs=1e-4)
        assert point["bar"][0] < accuracy + 1e-4
        assert point["bar"][1] > accuracy - 1e-4
        assert point["text"].endswith(f", {len(group):,} ×")
        gap += abs(confidence - accuracy) * len(group) / len(right)
    assert found["gap"] == f"{100 * gap:.1f} %"


def test_what_is_no_picture_or_no_finished_run_is_said(made, tmp_path):
    for content in (b"", b"no picture", png(np.zeros((8, 8), np.uint8))[:40]):
        with pytest.raises(DataError, match="not a readable picture"):
            seeing.answer(made.train, content)
    half = started(made.train, tmp_path / "half", 9)
    for ask in (lambda: seeing.answer(half, b""), lambda: seeing.explain(half, "features", b"", "", Pictures())):
        with pytest.raises(RunError, match="not finished"):
            ask()
    with pytest.raises(DataError, match="does not know this class"):
        seeing.explain(made.train, "saliency", png(digit_pixels()[5, ..., 0]), "eleven", Pictures())
    with pytest.raises(StudioError, match="explained by"):
        seeing.explain(made.train, "magic", png(digit_pixels()[5, ..., 0]), "", Pictures())


class Slow(bytes):
    """A file that is long in saying its size, so that another request is served meanwhile."""

    def __len__(self) -> int:
        time.sleep(1e-4)
        return super().__len__()


def test_pictures_may_come_from_several_requests_at_once():
    some, content, failures = Pictures(8), Slow(png(np.zeros((2, 2), np.uint8))), []

    def bring() -> None:
        try:
            for _ in range(20):
                some.add(content)
        except Exception as error:
            failures.append(error)

    threads = [Thread(target=bring) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert some._files.keys() == some._pictures.keys()


def test_files_of_pictures_are_kept_as_long_as_there_is_room(monkeypatch):
    some = Pictures(3)
    names = [some.add(png(np.full((4, 4), value, np.uint8))) for value in range(5)]
    assert [some.png(name, (4, 4)) is not None for name in names] == [False, False, True, True, True]
    for name in names[:2]:
        with pytest.raises(StudioError, match="no longer there"):
            some.file(name)
    assert Image.open(io.BytesIO(some.file(names[4]))).getpixel((0, 0)) == 4
    assert Image.open(io.BytesIO(some.file(SAMPLE))).size == (256, 256)
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
    monkeypatch.setattr("convsmith.studio.pictures._MOST_FILES", 2 * len(png(noise)) + 10)
    few = Pictures(10)
    names = [few.add(png(noise)) for _ in range(4)]
    kept = [name for name in names if name in few._files]
    assert kept == names[-2:]
    assert MOST_BYTES <= 32_000_000
