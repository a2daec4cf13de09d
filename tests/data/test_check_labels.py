"""Likely wrong labels: the method against plain loops and scikit-learn, the whole against labels that are wrong."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score

from convsmith.data import open_images
from convsmith.data.checks import forecast as module
from convsmith.data.checks.confident import disagree
from convsmith.data.checks.forecast import FOLDS, deal_folds, forecast
from convsmith.data.checks.patches import PatchFeatures
from convsmith.data.checks.suspects import PRECISION, SKILL, _skill, check_labels
from convsmith.errors import RunError
from tests.data.samples import noise


def random_probabilities(count, classes, seed=0):
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, count)
    scores = random.normal(size=(count, classes)) + 1.5 * np.eye(classes)[random.permutation(labels)]
    scores[: count // 2] = random.normal(size=(count // 2, classes)) + 2 * np.eye(classes)[labels[: count // 2]]
    shares = np.exp(scores)
    return (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32), labels


@pytest.mark.parametrize(("count", "classes"), [(300, 4), (50, 2), (400, 11)])
def test_suspects_are_those_of_confident_learning(count, classes):
    """Northcutt et al. (2021), equations 1 and 2, image by image."""
    probabilities, labels = random_probabilities(count, classes)
    found = disagree(probabilities, labels)
    usual = []
    for one in range(classes):
        own = [float(probabilities[i, one]) for i in range(count) if labels[i] == one]
        usual.append(sum(own) / len(own))
    for i in range(count):
        counts = [one for one in range(classes) if probabilities[i, one] >= usual[one]]
        best = max(counts, key=lambda one: probabilities[i, one]) if counts else labels[i]
        assert found.suggested[i] == best
        assert found.suspect[i] == (best != labels[i])
        assert found.confidence[i] == probabilities[i, labels[i]]
    assert 0 < found.suspect.sum() < count


def test_a_class_without_images_is_never_suggested():
    probabilities, labels = random_probabilities(200, 5)
    labels[labels == 3] = 0
    assert not (disagree(probabilities, labels).suggested == 3).any()


def test_folds_keep_copies_together_and_classes_even():
    random = np.random.default_rng(0)
    labels = random.integers(0, 4, 500)
    groups = np.arange(500)
    for start in range(0, 100, 4):
        groups[start : start + 4] = start
        labels[start : start + 4] = labels[start]
    folds = deal_folds(labels, groups, seed=1)
    for start in range(0, 100, 4):
        assert len(set(folds[start : start + 4])) == 1
    for label in range(4):
        first = [i for i in range(500) if groups[i] == i and labels[i] == label]
        counts = [sum(folds[i] == fold for i in first) for fold in range(FOLDS)]
        assert max(counts) - min(counts) <= 1
    assert np.array_equal(folds, deal_folds(labels, groups, seed=1))
    assert not np.array_equal(folds, deal_folds(labels, groups, seed=2))


def test_ridge_weights_are_those_of_scikit_learn_on_the_other_folds():
    random = np.random.default_rng(0)
    rows = np.c_[random.normal(size=(90, 7)), np.ones(90)].astype(np.float32)
    folds = random.integers(0, FOLDS, 90)
    labellings = random.integers(0, 3, (2, 90))
    chunks = iter([(0, rows[:40]), (40, rows[40:])])
    found = module._learn(chunks, labellings, folds, 3, 8)
    for fold in range(FOLDS):
        for number in range(2):
            judge = Ridge(alpha=module._PENALTY, fit_intercept=False)
            judge.fit(rows[folds != fold].astype(np.float64), np.eye(3)[labellings[number][folds != fold]])
            assert np.allclose(found[fold][:, 3 * number : 3 * number + 3].T, judge.coef_, atol=1e-5)


@pytest.mark.slow
def test_a_labelling_is_learnt_apart_from_the_others_and_nothing_is_left_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_CHUNK", 32)
    pixels, labels = noise(0, 100, 12, 12, 1), np.arange(100) % 3
    pixels[labels == 1, :6] //= 4
    folds = deal_folds(labels, np.arange(100), seed=0)
    told = []
    both = forecast(
        pixels, np.stack([labels, labels[::-1]]), folds, 3,
        seed=0, folder=tmp_path / "new", progress=lambda *state: told.append(state),
    )  # fmt: skip
    alone = forecast(pixels, labels[None], folds, 3, seed=0, folder=tmp_path)
    assert both.shape == (2, 100, 3)
    assert np.allclose(both[0], alone[0], atol=2e-3)
    assert np.allclose(both.sum(axis=2), 1, atol=1e-5)
    assert (both[0].argmax(axis=1) == 1)[labels == 1].mean() > 0.9
    assert told[-1] == (100, 100)
    assert [path.name for path in tmp_path.rglob("*")] == ["new"]


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot write"):
        forecast(
            noise(0, 60, 8, 8, 1), np.zeros((1, 60), np.int64), np.arange(60) % 5, 2, seed=0, folder=tmp_path / "file"
        )


@pytest.mark.parametrize(
    ("shape", "mirrored"), [((40, 32, 32, 3), True), ((40, 28, 28, 1), False), ((9, 3, 3, 3), True)]
)
def test_features_know_left_from_right_only_where_that_may_matter(shape, mirrored):
    pixels = noise(1, *shape)
    features = PatchFeatures.of(pixels, seed=0)
    found = features(pixels)
    assert found.shape == (shape[0], features.size)
    assert np.isfinite(found).all()
    assert np.allclose(features(pixels[:, :, ::-1]), found, atol=1e-3) == mirrored
    assert np.allclose(features(pixels[3:5]), found[3:5], atol=1e-4)


def test_features_do_not_depend_on_brightness_where_nothing_is_cut():
    pixels = noise(1, 30, 24, 24, 1) // 2
    features = PatchFeatures.of(pixels, seed=0)
    assert np.allclose(features(pixels + 90), features(pixels), atol=1e-2)


def test_blank_images_have_features_too():
    pixels = np.zeros((60, 16, 16, 3), np.uint8)
    assert np.isfinite(PatchFeatures.of(pixels, seed=0)(pixels)).all()


def test_skill_is_the_area_under_the_curve():
    random = np.random.default_rng(0)
    confidence = random.integers(0, 20, 300).astype(np.float32)  # with ties
    swapped = random.random(300) < 0.2
    given = disagree(*random_probabilities(300, 3))
    found = _skill(replace(given, confidence=confidence - 5 * swapped), swapped)
    assert found == pytest.approx(roc_auc_score(swapped, -(confidence - 5 * swapped)))


def swap(labels, share, seed):
    random = np.random.default_rng(seed)
    chosen = random.choice(len(labels), round(share * len(labels)), replace=False)
    wrong = labels.copy()
    wrong[chosen] = (labels[chosen] + random.integers(1, 10, len(chosen))) % 10
    return wrong, set(chosen.tolist())


@pytest.fixture(scope="module")
def digits():
    return open_images("digits")


@pytest.mark.slow
def test_planted_wrong_labels_are_found_and_their_share_is_told(digits, tmp_path):
    wrong, planted = swap(digits.labels, 0.03, seed=5)
    found = check_labels(replace(digits, labels=wrong), digits.groups, seed=0, folder=tmp_path)
    listed = [one.image for one in found.suspects]
    hits = [image for image in listed if image in planted]
    assert len(hits) >= 0.95 * len(listed)
    assert len(hits) >= 0.7 * len(planted)
    assert all(one.suggested == digits.labels[one.image] for one in found.suspects if one.image in planted)
    assert all(one.label == wrong[one.image] for one in found.suspects)
    assert sorted(one.confidence for one in found.suspects) == [one.confidence for one in found.suspects]
    assert 0.02 < found.trial.wrong < 0.045
    assert found.trial.precision >= PRECISION
    assert found.trial.coverage == pytest.approx(len(hits) / len(planted), abs=0.15)
    assert 0.93 < found.accuracy < 0.99
    assert found.chance == pytest.approx(np.bincount(wrong).max() / len(wrong))


@pytest.mark.slow
def test_a_sound_set_has_next_to_no_suspects(digits, tmp_path):
    found = check_labels(digits, digits.groups, seed=0, folder=tmp_path)
    assert len(found.suspects) <= 3
    assert found.trial.wrong < 0.003
    assert found.trial.skill > 0.98
    assert found.judged == len(digits)


@pytest.mark.slow
def test_labels_without_meaning_are_not_judged(digits, tmp_path):
    random = np.random.default_rng(0)
    nonsense = replace(
        digits, pixels=noise(0, 300, 12, 12, 1), labels=random.integers(0, 3, 300), groups=np.arange(300)
    )
    found = check_labels(replace(nonsense, classes=("a", "b", "c")), nonsense.groups, seed=0, folder=tmp_path)
    assert found.trial.skill < SKILL
    assert found.suspects == ()


@pytest.mark.slow
def test_too_few_images_are_not_judged_and_small_classes_are_left_out(digits, tmp_path):
    few = replace(digits, pixels=digits.pixels[:45], labels=digits.labels[:45], groups=digits.groups[:45])
    assert check_labels(few, few.groups, seed=0, folder=tmp_path) is None
    keep = np.flatnonzero(digits.labels < 3)[:120]
    labels = digits.labels[keep].copy()
    labels[:4] = 7  # four images are too few for five folds
    small = replace(digits, pixels=digits.pixels[keep], labels=labels, groups=np.arange(120))
    found = check_labels(small, small.groups, seed=0, folder=tmp_path)
    assert found.judged == 116
    same = small.groups.copy()
    same[labels == 2] = int(np.flatnonzero(labels == 2)[0])  # one picture, many times
    assert check_labels(small, same, seed=0, folder=tmp_path).judged == 116 - int((labels == 2).sum())
    assert os.listdir(tmp_path) == []


@pytest.mark.slow
def test_an_image_is_never_judged_by_its_copy(digits, tmp_path):
    """Copies with the same wrong label would confirm it, were they in another fold."""
    keep = np.flatnonzero(digits.labels < 2)[:150]
    labels = np.concatenate([digits.labels[keep], np.full(30, 1 - digits.labels[keep[5]])])
    labels[5] = labels[-1]
    pixels = np.concatenate([digits.pixels[keep], digits.pixels[keep[5]][None].repeat(30, axis=0)])
    images = replace(digits, pixels=pixels, labels=labels, groups=np.arange(180))
    together = np.concatenate([np.arange(150), np.full(30, 5)])
    apart = check_labels(images, images.groups, seed=0, folder=tmp_path)
    assert apart.accuracy > 0.95
    assert check_labels(images, together, seed=0, folder=tmp_path).accuracy == pytest.approx(149 / 180, abs=0.02)
