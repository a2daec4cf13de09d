"""Every figure of a report comes again from the log alone, and of a run that has not ended what is there."""

from __future__ import annotations

import base64
import json
import os
import shutil

import numpy as np
import pytest

from convsmith.cli.main import run
from convsmith.errors import RunError
from convsmith.jobs.fit_report import Searched, fit_report
from convsmith.jobs.recompute import recompute
from convsmith.search.candidate import Outcome, Training, Work
from convsmith.search.planning import seeds_notes
from convsmith.search.space import Field
from convsmith.search.statistics import judge
from tests.search.world import make_candidate
from tests.studio.run_folders import make_runs


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A finished run of each kind."""
    folder = tmp_path_factory.mktemp("runs")
    return make_runs(folder)


def log_only(runs, kind, target, lines=None):
    """A folder with nothing but the log, or its first lines."""
    target.mkdir()
    text = (getattr(runs, kind) / "events.ndjson").read_bytes()
    (target / "events.ndjson").write_bytes(text if lines is None else b"".join(text.splitlines(True)[:lines]))
    return target


def events_of(folder):
    return [json.loads(line) for line in (folder / "events.ndjson").read_text().splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["train", "fit", "curves"])
def test_the_log_alone_gives_the_report_and_its_page_to_the_last_digit(runs, kind, tmp_path):
    folder = log_only(runs, kind, tmp_path / "run")
    found = recompute(folder)
    for name in ("report.json", "report.html"):
        assert (folder / name).read_text() == (getattr(runs, kind) / name).read_text()
    assert json.loads(json.dumps(found.to_dict())) == json.loads((folder / "report.json").read_text())


@pytest.mark.slow
def test_the_figures_are_those_that_a_plain_loop_finds_in_the_log(runs):
    report = json.loads((runs.fit / "report.json").read_text())
    told = [event for event in events_of(runs.fit) if event["event"] == "training"]
    bits = {}
    for event in told:
        if event["final"]:
            packed = np.frombuffer(base64.b64decode(event["outcome"]["correct"]), np.uint8)
            bits.setdefault(event["candidate"], {})[event["seed"]] = np.unpackbits(packed)[:359]
    judged = [row for row in report["candidates"] if row["final"]]
    assert {row["key"] for row in judged} == set(bits)
    for row in judged:
        assert row["final"]["accuracy"] == pytest.approx(np.mean(list(bits[row["key"]].values())))
        assert row["final"]["seeds"] == len(bits[row["key"]])
    chosen = bits[report["chosen"]["key"]]
    assert report["accuracy"]["test"] <= np.mean(list(chosen.values())) + 1e-9  # less what being chosen adds
    matrix = np.array(report["confusion"]["matrix"])
    assert np.trace(matrix) == chosen[min(chosen)].sum()
    assert matrix.sum() == 359
    for row in report["candidates"]:
        own = [event for event in told if event["candidate"] == row["key"] and not event["final"]]
        assert [rung["accuracy"] for rung in row["rungs"]] == [event["outcome"]["accuracy"] for event in own]
    assert report["seconds"]["final"] == pytest.approx(sum(e["outcome"]["seconds"] for e in told if e["final"]))


def test_the_sentence_and_the_table_say_the_same_of_the_best_rule():
    rng, networks = (
        np.random.default_rng(3),
        [make_candidate(0, "draw:0", "depth"), make_candidate(1, "rule:dwr", "width")],
    )
    finals = tuple(
        Training(
            Work(one, 1000, seed, True),
            Outcome(0.9, 0.1, 1.0, 1000, np.packbits(rng.random(400) < share).tobytes(), 400),
        )
        for one, share in zip(networks, (0.93, 0.91), strict=True)
        for seed in (1, 2, 3)
    )
    judgement = judge(finals, seed=7)
    field = Field(networks[0].design, tuple(networks), {"dwr": networks[1].key}, {})
    report = fit_report(Searched({"notes": []}, (), finals, {}), judgement, field, seed=7)
    assert judgement.against_rule is not None
    assert 0.5 < judgement.against_rule.probability < 1
    assert report["rules"]["dwr"]["probability_chosen_is_better"] == judgement.against_rule.probability


@pytest.mark.parametrize(("planned", "had"), [(1, 3), (2, 3), (3, 3), (3, 1), (1, 1), (3, 2)])
def test_the_notes_say_how_many_seeds_there_were_and_not_how_many_were_planned(planned, had):
    candidate, rng = make_candidate(0, "draw:0", "depth"), np.random.default_rng(0)
    finals = tuple(
        Training(
            Work(candidate, 1000, seed, True),
            Outcome(0.9, 0.1, 1.0, 1000, np.packbits(rng.random(400) < 0.9).tobytes(), 400),
        )
        for seed in range(1, had + 1)
    )
    plan = {"notes": ["7 networks left out", *seeds_notes(planned)], "finals": {"seeds": planned}}
    field = Field(candidate.design, (candidate,), {}, {})
    report = fit_report(Searched(plan, (), finals, {}), judge(finals, seed=7), field, seed=7)
    expected = {1: "one seed", 2: "2 of 3 seeds", 3: ""}[had]
    assert report["notes"][0] == "7 networks left out"
    assert len(report["notes"]) == (2 if expected else 1)
    assert expected in report["notes"][-1]
    so_far = fit_report(Searched(plan, (), (), {}), None, field, seed=7)
    assert so_far["notes"] == plan["notes"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["train", "fit", "curves"])
def test_a_run_under_way_has_a_report_after_every_event(runs, kind, tmp_path):
    count = len(events_of(getattr(runs, kind)))
    names = [event["event"] for event in events_of(getattr(runs, kind))]
    first = next(number for number, name in enumerate(names) if name in ("fit", "curves", "run"))
    told = [n for n, name in enumerate(names, start=1) if name not in ("point", "train", "trained") and n > first]
    for lines in sorted({first + 1, *told[:: max(1, len(told) // 12)], *told[-4:]} - {count}):
        folder = log_only(runs, kind, tmp_path / f"run{lines}", lines)
        found = recompute(folder)
        assert found.report["unfinished"]
        sentence = found.report["sentence"]
        assert any(word in sentence for word in ("ot finished", "not exported yet"))
        assert sentence.split("&")[0][:40] in (folder / "report.html").read_text()
        assert not (folder / "report.json").exists()


@pytest.mark.slow
def test_a_search_under_way_names_the_best_so_far(runs, tmp_path):
    names = [event["event"] for event in events_of(runs.fit)]
    second = [number for number, name in enumerate(names) if name == "training"][1]
    folder = log_only(runs, "fit", tmp_path / "run", second + 1)
    events = [event for event in events_of(folder) if event["event"] == "training"]
    best = min(events, key=lambda event: event["outcome"]["log_loss"])
    sentence = recompute(folder).report["sentence"]
    assert f"{100 * best['outcome']['accuracy']:.1f} %" in sentence
    assert "2 trainings are done" in sentence


@pytest.mark.slow
def test_a_half_written_last_line_is_left_out(runs, tmp_path):
    folder = log_only(runs, "fit", tmp_path / "run")
    whole = (folder / "events.ndjson").read_bytes()
    expected = recompute(log_only(runs, "fit", tmp_path / "cut", len(whole.splitlines()) - 1)).report["sentence"]
    last = len(whole) - len(whole.splitlines(True)[-1])
    for size in (last + 1, last + 30, len(whole) - 1):
        (folder / "events.ndjson").write_bytes(whole[:size])
        assert recompute(folder).report["sentence"] == expected


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["train", "fit", "curves"])
def test_a_log_of_a_newer_version_is_refused_by_its_number(runs, kind, tmp_path):
    folder = log_only(runs, kind, tmp_path / "run")
    text = (folder / "events.ndjson").read_text().replace('"convsmith/events/1"', '"convsmith/events/2"')
    (folder / "events.ndjson").write_text(text)
    with pytest.raises(RunError, match=r"newer convsmith \(received 'convsmith/events/2'\); update convsmith"):
        recompute(folder)
    assert [entry.name for entry in folder.iterdir()] == ["events.ndjson"]


@pytest.mark.slow
def test_a_copy_of_the_log_in_a_read_only_folder_is_one_clear_line(runs, tmp_path, capsys):
    folder = log_only(runs, "curves", tmp_path / "run")
    (folder / "results.png").mkdir()
    (folder / "results.png" / "in the way").touch()
    assert run(["report", str(folder)]) == 2
    assert "cannot write" in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_prints_the_sentence_and_as_json_only_the_figures(runs, tmp_path, capsys):
    folder = shutil.copytree(runs.train, tmp_path / "run")
    os.remove(folder / "report.html")
    assert run(["report", str(folder)]) == 0
    assert "test images" in capsys.readouterr().out
    assert (folder / "report.html").exists()
    assert run(["report", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads((folder / "report.json").read_text())


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        (None, "no such log"),
        ("", "does not say what was run"),
        ('{"event": "fit", "time": 1.0, "budget": {}}\n', "go on with the run by --resume"),
        ('{"event": "fit", "schema": "other/1"}\n', "go on with the run by --resume"),
        ('{"event": "fit", "schema": "convsmith/events/2"}\n', "newer convsmith"),
        ("no json\n", "each line must be a JSON object"),
    ],
)
def test_what_is_no_log_of_ours_is_one_clear_line(log, expected, tmp_path, capsys):
    if log is not None:
        (tmp_path / "events.ndjson").write_text(log)
    assert run(["report", str(tmp_path)]) == 2
    captured = capsys.readouterr()
    assert expected in captured.err
    assert captured.err.count("\n") == 1
    assert run(["report", str(tmp_path / "nowhere")]) == 2
    assert "no such run folder" in capsys.readouterr().err
