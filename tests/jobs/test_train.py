"""One network trained, judged, used and exported, for real on the embedded digits."""

import hashlib
import html
import json
import os
import shutil
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest
import torch
from jobs_digits import TINY, digit_folder, digit_pixels
from PIL import Image
from safetensors.numpy import load_file, save_file
from scipy.special import softmax
from sklearn.datasets import load_digits

from convsmith import kernels
from convsmith.cli.main import run
from convsmith.data import open_images, split_images
from convsmith.deploy.parity import Parity
from convsmith.errors import ConvsmithError, RunError
from convsmith.jobs.evaluate import evaluate
from convsmith.jobs.predict import predict
from convsmith.jobs.recompute import recompute
from convsmith.jobs.run_folder import RunFolder
from convsmith.jobs.train import train
from convsmith.training.events import read_events
from convsmith.training.recipe import Recipe
from convsmith.training.setup import Setup


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A finished run; tests that change it work on a copy."""
    folder = tmp_path_factory.mktemp("train")
    (folder / "tiny.toml").write_text(TINY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("convsmith.jobs.settings.choose_setup", lambda *_, **__: Setup(threads=1))
        done = train(folder / "tiny.toml", "digits", out=folder / "run", epochs=4, seed=3)
    return SimpleNamespace(folder=folder / "run", report=done.report)


@pytest.fixture
def copy(trained, tmp_path):
    return shutil.copytree(trained.folder, tmp_path / "run")


def onnx_scores(folder, pixels):
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"pixels": pixels})[0])


def test_the_run_folder_holds_what_the_contract_says(trained):
    assert {entry.name for entry in trained.folder.iterdir()} >= {
        "report.html", "report.json", "design.toml", "model.safetensors", "model.onnx", "model_card.md", "results.png",
        "events.ndjson", "checkpoints",
    }  # fmt: skip
    stored = json.loads((trained.folder / "report.json").read_text())
    assert stored == json.loads(json.dumps(trained.report))
    assert set(stored) >= {
        "schema", "kind", "name", "sentence", "budget", "chosen", "accuracy", "ties", "rules", "candidates",
        "confusion", "rejected", "data", "recipe", "plan", "notes", "seconds", "machine", "versions", "parity", "seed",
    }  # fmt: skip
    assert stored["kind"] == "train"
    assert stored["parity"]["passed"]
    assert stored["chosen"]["latency_ms"] > 0


def test_the_curve_of_the_report_is_that_of_the_events(trained):
    points = [event for event in read_events(trained.folder / "events.ndjson") if event["event"] == "point"]
    curve = trained.report["history"]
    assert [[point[key] for key in curve[0]] for point in points] == [list(point.values()) for point in curve]
    assert "How it learnt" in (trained.folder / "report.html").read_text()


def test_the_reported_accuracy_is_that_of_the_exported_file_on_the_test_images(trained):
    test = split_images(open_images("digits"), seed=3).test
    digits = load_digits()
    right = onnx_scores(trained.folder, digit_pixels()[test]).argmax(1) == digits.target[test]
    accuracy = trained.report["accuracy"]
    assert accuracy["test"] == np.mean(right) > 0.7
    assert accuracy["images"] == len(test) == sum(map(sum, trained.report["confusion"]["matrix"]))
    low, high = accuracy["ci95"]
    z, n, p = 1.959964, len(test), np.mean(right)  # both ends of Wilson's interval are z deviations from p
    assert [abs(p - end) / np.sqrt(end * (1 - end) / n) for end in (low, high)] == pytest.approx([z, z], rel=1e-5)


def test_evaluate_recognises_the_images_of_the_training_and_judges_only_the_test_images(trained):
    found = evaluate(trained.folder, "digits")
    assert found.judged_on == "the run's own test images"
    assert found.accuracy == trained.report["accuracy"]["test"]
    assert found.log_loss == pytest.approx(trained.report["accuracy"]["log_loss"], rel=1e-6)
    assert found.confusion.tolist() == trained.report["confusion"]["matrix"]


def test_evaluate_and_predict_read_picture_files_as_the_exported_file_reads_pixels(trained, tmp_path):
    rows = np.arange(0, 1797, 20)
    digit_folder(tmp_path / "digits", rows)
    scores = onnx_scores(trained.folder, digit_pixels()[rows])
    truth = load_digits().target[rows]

    found = evaluate(trained.folder, tmp_path / "digits")
    assert (found.judged_on, found.images) == ("all images", len(rows))
    assert found.accuracy == np.mean(scores.argmax(1) == truth)

    files = [tmp_path / "digits" / str(truth[at]) / f"{row}.png" for at, row in enumerate(rows)]
    said = predict(trained.folder, files, top=10).predictions
    assert [one.path for one in said] == [str(path) for path in files]
    for single in (files[3], str(files[3])):
        assert [one.path for one in predict(trained.folder, single).predictions] == [str(files[3])]
    for one, expected in zip(said, softmax(scores.astype(np.float64), axis=1), strict=True):
        assert [share for _, share in one.labels] == sorted((share for _, share in one.labels), reverse=True)
        assert dict(one.labels) == pytest.approx({str(label): share for label, share in enumerate(expected)}, abs=1e-5)


@pytest.mark.slow
def test_names_that_no_utf8_can_say_are_trained_on_reported_and_exported(design, tmp_path):
    images, name = digit_folder(tmp_path / "digits", np.arange(150)), os.fsdecode(b"9\xff")
    (images / "9").rename(images / name)
    (images / name / os.fsdecode(b"broken \xe9.png")).write_bytes(b"no picture")
    done = train(design, images, out=tmp_path / "run", epochs=1)
    classes = [*map(str, range(9)), name]
    stored = json.loads((done.folder / "report.json").read_text(encoding="utf-8"))
    session = onnxruntime.InferenceSession(done.folder / "model.onnx", providers=["CPUExecutionProvider"])
    assert stored["data"]["classes"] == classes
    assert stored["rejected"][0]["path"] == os.path.join(name, os.fsdecode(b"broken \xe9.png"))
    assert json.loads(session.get_modelmeta().custom_metadata_map["convsmith.classes"]) == classes
    assert evaluate(done.folder, images).classes == tuple(classes)
    assert recompute(done.folder).report == done.report


def test_evaluate_finds_classes_by_name_and_refuses_one_it_does_not_know(trained, tmp_path):
    rows = np.flatnonzero(load_digits().target >= 7)[:60]
    digit_folder(tmp_path / "few", rows)
    found = evaluate(trained.folder, tmp_path / "few")
    assert found.confusion.sum(axis=1)[:7].tolist() == [0] * 7
    scores = onnx_scores(trained.folder, digit_pixels()[rows])
    assert found.accuracy == np.mean(scores.argmax(1) == load_digits().target[rows])
    assert found.to_dict()["classes"][0]["recall"] is None
    (tmp_path / "few" / "7").rename(tmp_path / "few" / "seven")
    with pytest.raises(ConvsmithError, match=r"does not know this class.*'seven'"):
        evaluate(trained.folder, tmp_path / "few")


def test_evaluate_judges_the_declared_test_images_of_other_sets(trained, tmp_path):
    digit_folder(tmp_path / "set" / "train", np.arange(100))
    digit_folder(tmp_path / "set" / "test", np.arange(100, 150))
    found = evaluate(trained.folder, tmp_path / "set")
    assert (found.judged_on, found.images) == ("the declared test images", 50)


def manifest(folder, splits=None, invert=False):
    """A CSV file of sixty digits, perhaps with a column of splits."""
    lines = ["path,label" + (",split" if splits else "")]
    for row, (pixels, label) in enumerate(zip(digit_pixels()[:60], load_digits().target, strict=False)):
        Image.fromarray(255 - pixels[..., 0] if invert else pixels[..., 0]).save(folder / f"{row}.png")
        lines.append(f"{row}.png,{label}" + (f",{splits[row]}" if splits else ""))
    (folder / "set.csv").write_text("\n".join(lines))
    return folder / "set.csv"


@pytest.mark.slow
def test_images_that_were_divided_anew_or_are_others_are_not_taken_for_those_of_the_run(tmp_path, design):
    images, out = manifest(tmp_path), tmp_path / "run"
    train(design, images, out=out, epochs=1)
    assert evaluate(out, images).judged_on == "the run's own test images"
    learnt = split_images(open_images(images), seed=0).train
    manifest(tmp_path, ["test" if row in learnt[:20] else "train" for row in range(60)])
    assert evaluate(out, images).judged_on == "the declared test images, of which the run may have learnt from any"
    before = fingerprint(out)
    for invert in (False, True):
        manifest(tmp_path, invert=invert, splits=None if invert else ["test"] * 20 + ["train"] * 40)
        with pytest.raises(ConvsmithError, match="must keep its images"):
            train(design, images, out=out, epochs=1, resume=True)
    assert fingerprint(out) == before


def test_a_last_step_that_destroys_the_network_is_one_clear_line(tmp_path, design):
    recipe = Recipe(optimizer="sgd", learning_rate=1e30, clip_norm=0.0)
    with pytest.raises(ConvsmithError, match=r"must give finite scores.* lower learning_rate .* now 1e\+30"):
        train(design, "digits", out=tmp_path / "run", epochs=0.05, recipe=recipe)


def stopped_at(fraction):
    """A ``show`` that presses Ctrl-C."""

    def show(step):
        if step.task == "training" and step.fraction >= fraction:
            raise KeyboardInterrupt

    return show


@pytest.mark.slow
def test_a_stopped_training_goes_on_and_ends_with_the_same_bits(trained, design, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(design, "digits", out=tmp_path / "run", epochs=4, seed=3, show=stopped_at(0.4))
    assert not (tmp_path / "run" / "model.safetensors").exists()
    with pytest.raises(ConvsmithError, match="not finished; go on with it by --resume"):
        evaluate(tmp_path / "run", "digits")
    train(design, "digits", out=tmp_path / "run", epochs=4, seed=3, resume=True)
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == (trained.folder / "model.safetensors").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_bits_are_the_same_with_compiled_kernels_and_several_threads(dtype, design, tmp_path, monkeypatch):
    setup = Setup(threads=2, dtype=dtype, kernels=kernels.available())
    monkeypatch.setattr("convsmith.jobs.settings.choose_setup", lambda *_, **__: setup)
    train(design, "digits", out=tmp_path / "whole", epochs=2)
    with pytest.raises(KeyboardInterrupt):
        train(design, "digits", out=tmp_path / "run", epochs=2, show=stopped_at(0.4))
    lines = []
    train(design, "digits", out=tmp_path / "run", epochs=2, resume=True, tell=lines.append)
    assert any("going on from step 15, exactly" in line for line in lines)
    first, second = (tmp_path / name / "model.safetensors" for name in ("whole", "run"))
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.slow
def test_going_on_takes_the_setup_that_the_training_began_with(design, tmp_path, monkeypatch):
    with pytest.raises(KeyboardInterrupt):
        train(design, "digits", out=tmp_path / "run", epochs=2, show=stopped_at(0.4))
    monkeypatch.setattr("convsmith.jobs.settings.choose_setup", lambda *_, **__: pytest.fail("measured again"))
    done = train(design, "digits", out=tmp_path / "run", epochs=2, resume=True)
    assert done.report["plan"]["threads"] == 1


@pytest.mark.slow
def test_what_went_wrong_and_was_mended_is_told_and_in_the_report(design, tmp_path, monkeypatch):
    limits = iter([None] * 9 + [1.0])
    monkeypatch.setattr("convsmith.training.guard.Guard.spike", lambda *_: next(limits, None))
    lines = []
    run = train(design, "digits", out=tmp_path / "run", epochs=1, tell=lines.append)
    (incident,) = run.report["incidents"]
    assert (incident["kind"], incident["step"]) == ("rollback", 10)
    (event,) = [e for e in read_events(tmp_path / "run" / "events.ndjson") if e["event"] == "rollback"]
    assert event["cause"] == incident["cause"]
    assert incident["cause"].startswith("the loss jumped from about")
    (note,) = run.report["notes"]
    assert note.startswith(f"Step 10: {incident['cause']}; went on from step 0 with 0.5 of")
    assert html.escape(note) in (tmp_path / "run" / "report.html").read_text()
    assert f"warning: {note}" in lines


def test_a_training_without_incidents_says_so(trained):
    assert trained.report["incidents"] == trained.report["notes"] == []


@pytest.mark.slow
def test_going_on_elsewhere_is_close_and_says_what_differs(design, tmp_path, monkeypatch):
    with pytest.raises(KeyboardInterrupt):
        train(design, "digits", out=tmp_path / "run", epochs=1, show=stopped_at(0.4))
    monkeypatch.setattr("convsmith.training.conditions.processor_name", lambda: "another one")
    lines = []
    train(design, "digits", out=tmp_path / "run", epochs=1, resume=True, tell=lines.append)
    (line,) = [line for line in lines if "going on" in line]
    assert "close, not exact: processor was" in line
    assert "and is 'another one'" in line


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "holds a run already"),
        ({"resume": True, "seed": 4}, "must keep its seed"),
        ({"resume": True, "epochs": 5}, "must keep its budget"),
        ({"resume": True, "design": TINY.replace("stride = 2", "stride = 1")}, "must keep its design"),
    ],
)
def test_a_run_is_not_mixed_with_another(changes, expected, copy, design):
    before = fingerprint(copy)
    if "design" in changes:
        design.write_text(changes.pop("design"))
    with pytest.raises(ConvsmithError, match=expected):
        train(design, "digits", out=copy, **{"epochs": 4, "seed": 3, **changes})
    assert fingerprint(copy) == before  # its log, too: a report made of it again is still that of a finished run


def test_the_folder_of_a_search_is_left_as_it_is(design, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "events.ndjson").write_text('{"event": "fit", "time": 1.0}\n')
    before = fingerprint(tmp_path / "run")
    with pytest.raises(RunError, match=r"a run of another command.*choose another --out"):
        train(design, "digits", out=tmp_path / "run", epochs=1, resume=True)
    assert fingerprint(tmp_path / "run") == before


def fingerprint(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.slow
def test_the_image_folder_is_never_written_to(design, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    digit_folder(tmp_path / "digits", np.arange(200))
    before = fingerprint(tmp_path / "digits")
    with pytest.raises(ConvsmithError, match="must not lie in the image folder"):
        train(design, "./digits", out=tmp_path / "digits" / "run", epochs=1)
    train(design, "./digits", out=tmp_path / "run", epochs=1)
    assert fingerprint(tmp_path / "digits") == before


@pytest.mark.parametrize(
    ("line", "other", "expected"),
    [
        ("[1, 8, 8]", "[3, 8, 8]", r"grey and have 1 channels.*set input = \[1, 8, 8\]"),
        ("classes = 10", "classes = 4", r"have 10 classes.*set classes = 10"),
        ("[1, 8, 8]", "[1, 8, 16]", "square images"),
        ("stride = 2", "stride = 16", "below 1x1"),
        ('"classify"', '"segment"', r"whose task is classify can be trained \(received 'segment'\)"),
    ],
)
def test_a_design_that_does_not_fit_the_images_is_told_how_to(line, other, expected, design, tmp_path):
    design.write_text(TINY.replace(line, other))
    with pytest.raises(ConvsmithError, match=expected):
        train(design, "digits", out=tmp_path / "run", epochs=1)
    assert not (tmp_path / "run").exists()


def damage(folder, kind):
    weights = folder / "model.safetensors"
    if kind == "pickle":
        torch.save({"weights": torch.zeros(2)}, weights)
    elif kind == "cut":
        weights.write_bytes(weights.read_bytes()[:-10])
    elif kind == "mute":
        save_file(load_file(weights), weights)
    elif kind == "other design":
        (folder / "design.toml").write_text(TINY.replace("width = 16", "width = 24"))
    elif kind == "no design":
        (folder / "design.toml").unlink()
    elif kind == "empty":
        shutil.rmtree(folder)
        folder.mkdir()
    elif kind == "gone":
        shutil.rmtree(folder)
    elif kind == "report":
        (folder / "report.json").write_text("{")


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("pickle", "pickle"),
        ("cut", "damaged"),
        ("mute", "do not say what they were trained on"),
        ("other design", "stage1.block1"),
        ("no design", "no design.toml"),
        ("empty", "not a run"),
        ("gone", "no such run folder"),
        ("report", "the report cannot be read"),
    ],
)
def test_a_run_that_is_not_whole_is_one_clear_line(kind, expected, copy, capsys):
    damage(copy, kind)
    assert run(["evaluate", str(copy), "digits"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = [line for line in captured.err.splitlines() if line.startswith("convsmith: error")]
    assert expected in line


def test_a_run_without_its_report_can_be_used_but_is_judged_on_all_images(copy):
    (copy / "report.json").unlink()
    assert evaluate(copy, "digits").judged_on == "all images"


@pytest.mark.slow
def test_json_is_all_there_is_on_standard_output(trained, design, tmp_path, capsys):
    picture = tmp_path / "two\nlines.png"
    Image.fromarray(digit_pixels()[0, ..., 0]).save(picture)
    for arguments, key in (
        (["train", str(design), "digits", "--epochs", "1", "--out", str(tmp_path / "run")], "accuracy"),
        (["evaluate", str(trained.folder), "digits"], "confusion"),
        (["predict", str(trained.folder), str(picture)], "predictions"),
        (["export", str(trained.folder), "--out", str(tmp_path / "x.onnx")], "parity"),
    ):
        assert run([*arguments, "--json"]) == 0
        assert key in json.loads(capsys.readouterr().out)
        if arguments[0] != "train":
            assert run(arguments) == 0
            assert "\\nlines" in capsys.readouterr().out or arguments[0] != "predict"


def test_predict_says_which_files_it_left_out_and_fails_only_if_that_is_all_of_them(trained, tmp_path, capsys):
    good, bad = tmp_path / "good.png", tmp_path / "bad.png"
    Image.fromarray(digit_pixels()[0, ..., 0]).save(good)
    bad.write_bytes(good.read_bytes()[:60])
    assert run(["predict", str(trained.folder), str(bad), str(good), "--json"]) == 0
    captured = capsys.readouterr()
    said = json.loads(captured.out)
    assert [one["path"] for one in said["predictions"]] == [str(good)]
    assert len(said["predictions"][0]["labels"]) == 3
    assert [one["path"] for one in said["unreadable"]] == [str(bad)]
    assert f"{bad}: left out" in captured.err
    assert run(["predict", str(trained.folder), str(bad), str(tmp_path / "none.png")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_export_writes_the_same_file_again_and_its_gate_leaves_none(trained, copy, tmp_path, monkeypatch, capsys):
    before = (copy / "model.onnx").read_bytes()
    (copy / "model.onnx").unlink()
    assert run(["export", str(copy), "--images", "digits"]) == 0
    assert "64 images (digits)" in capsys.readouterr().out
    assert (copy / "model.onnx").read_bytes() == before
    wrong = Parity(images=64, batches=(1,), absolute=1.0, relative=0.5, agreement=0.2, tolerance=1e-4)
    given = []
    monkeypatch.setattr("convsmith.deploy.export.check_parity", lambda *values: given.append(values[-1]) or wrong)
    assert run(["export", str(copy), "--images", "digits", "--out", str(tmp_path / "x.onnx")]) == 1
    known = {image.tobytes() for image in digit_pixels()}
    assert all(image.tobytes() in known for image in given[0])
    assert "same answers" in capsys.readouterr().err
    assert not (tmp_path / "x.onnx").exists()
    assert run(["export", str(copy), "--to", "tflite"]) == 2
    assert "'tflite'" in capsys.readouterr().err


def test_a_folder_that_cannot_be_made_is_refused_before_any_work(design, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("important")
    for out, expected in (("file/run", "choose a folder"), ("file", "choose a folder"), ("full", "empty folder")):
        with pytest.raises(ConvsmithError, match=expected):
            train(design, "digits", out=tmp_path / out, epochs=1)
    monkeypatch.setattr("convsmith.jobs.train.open_images", lambda *_, **__: pytest.fail("images were read"))
    with pytest.raises(ConvsmithError, match="empty folder"):
        train(design, "digits", out=tmp_path / "full", epochs=1)
    with pytest.raises(ConvsmithError, match="not both"):
        train(design, "digits", out=tmp_path / "new", epochs=1, minutes=1)
    assert [entry.name for entry in (tmp_path / "full").iterdir()] == ["thesis.txt"]


def test_a_network_read_back_gives_the_scores_it_was_saved_with(trained):
    network = RunFolder(trained.folder).read_network()
    assert not network.module.training
    assert network.classes == tuple("0123456789")
    preparation = network.preparation
    pixels = digit_pixels()[:50]
    images = preparation.normalisation.apply(torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy()).float())
    with torch.inference_mode():
        scores = network.module(images).numpy()
    assert scores == pytest.approx(onnx_scores(trained.folder, pixels), abs=1e-4)
