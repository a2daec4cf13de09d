"""The command line as a user meets it: results, streams, exit codes and what mistakes get."""

import importlib
import json
import subprocess
import sys
from importlib.metadata import version

import pytest

import convsmith
from convsmith.cli.main import COMMANDS, run
from convsmith.design import parse_design, zoo
from convsmith.scaling import price


def test_help_lists_every_command_with_its_own_summary(capsys):
    assert run(["--help"]) == 0
    shown = capsys.readouterr().out
    for name, summary in COMMANDS.items():
        assert name in shown
        assert summary in shown
        assert run([name, "--help"]) == 0
        assert " ".join(summary.split()) in " ".join(capsys.readouterr().out.split())


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["--help"], ["inspect", "zoo:resnet18"]])
def test_help_and_inspect_start_without_torch(arguments):
    program = f"import sys; from convsmith.cli.main import run; run({arguments}); assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "resnet18" in done.stdout or "inspect" in done.stdout


def test_the_installed_program_prints_its_version():
    done = subprocess.run([sys.executable, "-m", "convsmith", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"convsmith {version('convsmith')}\n"


def test_inspect_prints_exact_totals(capsys):
    assert run(["inspect", "zoo:resnet50", "--layers"]) == 0
    shown = capsys.readouterr().out
    assert "25,557,032" in shown
    assert "4,089,184,256" in shown
    assert "stage2.block1.shortcut.conv" in shown


def test_inspect_json_holds_the_contract_and_nothing_else_is_printed(capsys):
    assert run(["inspect", "zoo:mobilenet-v2", "--json"]) == 0
    captured = capsys.readouterr()
    table = json.loads(captured.out)
    assert captured.err == ""
    assert table["input"] == [1, 3, 224, 224]
    assert table["totals"]["macs"] == 300_774_272 == sum(layer["macs"] for layer in table["layers"])
    assert {part["kind"] for part in table["sections"]} == {"stem", "stage", "head"}
    first = table["layers"][0]
    assert (first["op"], first["section"], first["stride"]) == ("Conv2d", "stem", [2, 2])
    assert first["terms"]["taps"] == first["macs"]
    assert first["receptive_field"] == {
        "size": [3, 3], "min_size": [3, 3], "jump": [2, 2], "center": [0, 0], "padding": [1, 1], "global": False
    }  # fmt: skip
    last_map = next(layer for layer in table["layers"] if layer["name"] == "head.expand.act")
    assert last_map["receptive_field"]["size"] == [491, 491]
    assert [part["jump"] for part in table["sections"]][:3] == [[2, 2], [2, 2], [4, 4]]


def test_inspect_takes_another_input(capsys):
    assert run(["inspect", "zoo:resnet50", "--input", "3x225x225", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["totals"]["macs"] == 4_626_713_792


def test_a_gate_that_fails_exits_with_one_after_the_table(capsys):
    assert run(["inspect", "zoo:vgg16", "--max-macs", "300M"]) == 1
    captured = capsys.readouterr()
    assert "138,357,544" in captured.out
    assert captured.err.count("\n") == 1
    assert run(["inspect", "zoo:vgg16", "--max-macs", "16G", "--max-params", "139M"]) == 0


def test_scale_by_factors_gives_efficientnet_b1(capsys):
    assert run(["scale", "zoo:efficientnet-b0", "--depth", "1.1", "--resolution", "1.0714", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["params"] == 7_794_184
    assert result["before"]["params"] == 5_288_548
    assert parse_design(result["design"]).input == (3, 240, 240)
    assert sum(result["shares"].values()) == pytest.approx(1)


def test_scale_to_a_budget_writes_a_design_that_costs_what_it_says(tmp_path, capsys):
    path = tmp_path / "larger.toml"
    assert run(["scale", "zoo:resnet18", "--macs", "4G", "--rule", "dwr", "--out", str(path), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert 0.97 * 4e9 <= result["macs"] <= 4e9
    assert price(parse_design(path.read_text())).macs == result["macs"]


def test_the_zoo_is_listed_and_a_design_file_is_printed(capsys):
    assert run(["zoo", "--json"]) == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out)["networks"]] == list(zoo.names())
    assert run(["zoo", "resnet18"]) == 0
    assert parse_design(capsys.readouterr().out) == zoo.load("resnet18")


BAD_DESIGN = 'name = "x"\ninput = [3, 8, 8]\n[stem]\nblock = "conv"\nwidth = 0\n'


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["insect"], "did you mean inspect?"),
        (["inspect"], "argument"),
        (["inspect", "--bogus"], "--bogus"),
        (["inspect", "zoo:resnet5O"], "did you mean zoo:resnet50?"),
        (["inspect", "weights.pt"], "never read"),
        (["inspect", "."], "design.toml"),
        (["inspect", "no_such_package:factory"], "cannot import no_such_package"),
        (["inspect", "zoo:vgg16", "--input", "3xx"], "3x224x224"),
        (["inspect", "zoo:vgg16", "--input", "3x8x8"], "below 1x1"),
        (["inspect", "zoo:vgg16", "--max-macs", "many"], "'many'"),
        (["scale", "zoo:vgg16", "--macs", "1k", "--rule", "width_only"], "the narrowest costs"),
        (["scale", "zoo:resnet18", "--macs", "1k"], "resnet18: cannot be 1.000k MACs: the rule efficientnet asks for"),
        (["scale", "zoo:resnet18", "--macs", "1"], "raise the budget"),
        (["scale", "zoo:vgg16", "--macs", "1G", "--depth", "2"], "not both"),
        (["scale", "zoo:vgg16", "--macs", "1G", "--rule", "magic"], "efficientnet"),
        (["scale", "zoo:vgg16", "--width", "0"], "above zero"),
        (["zoo", "nothing"], "`convsmith zoo` lists them"),
    ],
)
def test_bad_input_gets_one_clear_line_and_exit_code_two(arguments, expected, capsys):
    assert run(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("convsmith: error: ")
    assert captured.err.count("\n") == 1
    assert expected in captured.err


def test_a_bad_design_file_is_named_with_its_key(tmp_path, capsys):
    path = tmp_path / "two\nlines 汉字.toml"
    path.write_text(BAD_DESIGN)
    assert run(["inspect", str(path)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "stem.width" in error
    assert "汉字" in error


def test_a_file_that_cannot_be_written_is_one_clear_line(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert run(["scale", "zoo:resnet18", "--out", str(tmp_path / "file" / "x.toml")]) == 2
    assert "cannot write" in capsys.readouterr().err


def test_public_names_exist_and_are_the_jobs():
    for name in convsmith.__all__:
        assert getattr(convsmith, name) is not None
    assert convsmith.inspect is importlib.import_module("convsmith.jobs.inspect").inspect
    assert convsmith.inspect("zoo:resnet18", input=(3, 224, 224)).cost.params == 11_689_512
    with pytest.raises(AttributeError, match="nothing"):
        _ = convsmith.nothing
