"""S14: layers of a stage are alike, stages differ, and ghosts can be made from other features."""

import json

import numpy as np
import pytest

from convsmith.cli.main import run
from tests.explain.explain_digits import train_digits

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    import contextlib
    import io

    folder = tmp_path_factory.mktemp("s14")
    run_folder, text = train_digits(folder), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(text):
        patch.setenv("CONVSMITH_CACHE", str(folder / "cache"))
        assert run(["similarity", str(run_folder), "digits", "--json", "--out", str(folder / "out")]) == 0
    return json.loads(text.getvalue()) | {"out": folder / "out"}


def test_the_border_of_the_stages_is_seen_from_layer_to_layer(found):
    stages = [layer["section"] for layer in found["layers"]]
    table = np.array(found["cka"], float)
    within = [table[i, j] for i in range(len(table)) for j in range(i) if stages[i] == stages[j] == "stage1"]
    across = [
        table[i, j] for i in range(len(table)) for j in range(i) if {stages[i], stages[j]} == {"stage1", "stage2"}
    ]
    assert np.mean(within) > np.mean(across)


def test_the_claim_is_one_figure_with_an_interval(found):
    claim = found["contrast"]
    assert claim["interval"][0] > 0
    assert claim["difference"] == pytest.approx(claim["within"] - claim["between"])
    assert (found["out"] / "layers.png").is_file()


def test_how_much_of_a_layer_could_be_made_from_the_rest(found):
    for row in found["ghostable"]:
        assert row["kept"] * 2 >= next(one["shape"][0] for one in found["layers"] if one["name"] == row["name"])
        assert row["macs_saved_single"] < row["macs"] / 2
    assert max(row["restored"] for row in found["ghostable"]) > 0.3
