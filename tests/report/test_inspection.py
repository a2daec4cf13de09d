"""The page of an inspection: its formulas are true, it stands alone, and a browser can use it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest

from convsmith.analysis import InputSize, cost, receptive_fields
from convsmith.design import lower, zoo
from convsmith.ir import Graph, Node, TensorType
from convsmith.jobs.inspect import inspect
from convsmith.ops import ALL_OPS, Conv2d
from convsmith.report.formulas import UNITS, formulas
from convsmith.report.inspection import render_inspection
from tests.report.test_browser import QUIET


def render(model, sizes=None, **more):
    found = inspect(model)
    return render_inspection({**found.to_dict(), **more}, formulas(found.graph, found.fields), found.waste, sizes)


def both_sides(formula):
    """What a formula says on its left, worked out by Python, and on its right."""
    left, _, right = formula.rpartition(" = ")
    sum_of_products = re.sub(r"⌊(.*?) / (\d+)⌋", r"((\1) // \2)", left).replace("×", "*").replace("−", "-")
    assert left, f"{formula!r} has no left side"
    return eval(re.sub(r"[a-z]+( [a-z]+)*", "", sum_of_products)), int(right.split()[0].replace(",", ""))


def check_formulas(graph):
    """Every number of the ledger has its formula, and both sides of it are that number."""
    found = formulas(graph, receptive_fields(graph))
    for layer in cost(graph).layers:
        ledger = {"params": layer.params, **layer.terms.to_dict()}
        assert {term for term in found[layer.name] if term in UNITS} == {
            term for term, value in ledger.items() if value
        }
        for term, formula in found[layer.name].items():
            if term in UNITS:
                assert formula.endswith(f" {UNITS[term]}")
                assert both_sides(formula) == (ledger[term], ledger[term]), (layer.name, formula)


@pytest.mark.slow
@pytest.mark.parametrize("name", zoo.names())
def test_every_formula_of_the_zoo_is_what_the_ledger_says(name):
    graph = lower(zoo.load(name))
    check_formulas(graph)
    fields = receptive_fields(graph)
    for layer, found in formulas(graph, fields).items():
        if "size" in found:
            sizes = by_axis(found["size"], " rows and columns", " rows, ", " columns")
            assert sizes == [(size, size) for size in graph.types[layer].shape[-2:]]
        if "field" in found:
            seen = by_axis(found["field"], " pixels seen", " pixels seen down, ", " across")
            assert seen == [(axis.size, axis.size) for axis in (fields[layer].height, fields[layer].width)]


def by_axis(text: str, both: str, down: str, across: str) -> list[tuple[int, int]]:
    """Both sides of the formula of each axis, which may be one formula."""
    if text.endswith(both):
        return [both_sides(text.removesuffix(both))] * 2
    return [both_sides(part) for part in text.removesuffix(across).split(down)]


@pytest.mark.parametrize("op", ALL_OPS, ids=lambda op: op.__name__)
def test_every_operator_has_its_formulas(op):
    for sample in op.samples():
        inputs = tuple((f"input{number}", type) for number, type in enumerate(sample.types))
        check_formulas(Graph("one", inputs, (Node("layer", sample.op, tuple(name for name, _ in inputs)),), ("layer",)))


def test_formulas_read_as_people_would_write_them():
    found = formulas(lower(zoo.load("resnet50")), receptive_fields(lower(zoo.load("resnet50"))))["stem.conv"]
    assert found["taps"] == "64 × 112 × 112 outputs × 3 × 7 × 7 taps = 118,013,952 macs"
    assert found["params"] == "64 × 3 × 7 × 7 weight = 9,408 params"
    assert found["size"] == "⌊(224 + 3 + 3 − 7) / 2⌋ + 1 = 112 rows and columns"
    assert found["field"] == "1 + 1 × (7 − 1) = 7 pixels seen"


class Page(HTMLParser):
    """The words and references of a page, and whether its elements are nested."""

    def __init__(self, source):
        super().__init__(convert_charrefs=True)
        self.open, self.words, self.references, self.ids = [], [], [], []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag, attributes):
        if tag not in ("meta", "input"):
            self.open.append(tag)
        for name, value in attributes:
            if name in ("href", "src", "action", "poster", "srcset"):
                self.references.append(value)
            if name == "id":
                self.ids.append(value)

    def handle_endtag(self, tag):
        if tag not in ("rect", "meta", "input"):
            assert self.open.pop() == tag

    def handle_startendtag(self, tag, attributes):
        pass

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("script", "style"):
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def source():
    return render("zoo:resnet50", convention="thop", sizes=(None, InputSize((225, 225), 4_626_713_792)))


def test_the_page_stands_alone(source):
    page = Page(source)
    assert page.open == []
    assert page.references
    assert all(reference.startswith("#") and reference[1:] in page.ids for reference in page.references)
    assert "url(" not in source
    assert "@import" not in source
    (script,) = re.findall(r"<script>(.*?)</script>", source, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'" in source.replace(
        "&#x27;", "'"
    )
    assert re.search(r"<style>(.*)</style>", source, re.DOTALL)[1].isascii()
    assert script.isascii()


def test_the_page_has_every_figure_of_the_inspection(source):
    data, text = inspect("zoo:resnet50").to_dict(), Page(source).text
    for name, total in data["conventions"].items():
        assert f"{name} " in text
        assert f"{total:,}" in text
    for section in data["sections"]:
        assert f"{section['params']:,}" in text
        assert f"{section['macs']:,}" in text
    for layer in data["layers"]:
        assert layer["name"] in text
    assert "counted as thop" in text
    assert "at 225x225 nothing is lost: 4.627G macs (+13.1 %)" in text
    assert "kernel is smaller than its stride" in text
    (lines,) = re.findall(r'id="lines">(.*?)</script>', source)
    explained = json.loads(lines)
    assert [one[0] for one in explained] == [layer["name"] for layer in data["layers"]]
    assert "64 × 112 × 112 outputs × 3 × 7 × 7 taps = 118,013,952 macs" in explained[0]


def test_boxes_are_as_wide_as_their_work_and_as_high_as_their_weights(source):
    data = inspect("zoo:resnet50").to_dict()
    towers = re.findall(r'class="tower" style="height: ([\d.]+)%"', source)
    spans = re.findall(r'data-span="([\d.]+)"', source)
    most = max(section["params"] for section in data["sections"])
    assert [float(height) for height in towers] == pytest.approx(
        [100 * section["params"] / most for section in data["sections"]], abs=0.01
    )
    stages = [number for number, section in enumerate(data["sections"]) if section["kind"] == "stage"]
    first = data["sections"][stages[0]]["macs"]
    for number in stages:
        wide = float(spans[number]) / float(spans[stages[0]])
        assert wide == pytest.approx(data["sections"][number]["macs"] / first, rel=1e-3)
    assert sum(map(float, spans)) == pytest.approx(1, abs=1e-4)
    wide = [float(share) for share in re.findall(r"--wide: ([\d.]+)", source)]
    assert sum(wide) == pytest.approx(1, abs=1e-4)


def test_the_page_of_the_deepest_network_is_under_a_megabyte():
    assert len(render("zoo:resnet152").encode()) < 1_000_000


def test_names_that_try_to_break_the_page_are_shown():
    name = "<script>alert('1')</script>\n&\"</script>"
    graph = Graph(
        name, (("x", TensorType((1, 3, 8, 6))),), (Node(f"a.{name}", Conv2d(3, 2, 3), ("x",)),), (f"a.{name}",)
    )
    source = render(graph)
    page = Page(source)
    assert page.open == []
    assert "<script>alert('1')</script>\\n&\"</script>" in page.text
    assert "<script>alert" not in source


@pytest.mark.parametrize(
    "shape", [(1, 3, 8, 6), (1, 3, 1, 40), (2, 3, 5, 5)], ids=["oblong", "a row", "a batch of two"]
)
def test_images_of_any_shape_have_a_page(shape):
    nodes = (Node("conv", Conv2d(3, 2, 1), ("x",)),)
    assert Page(render(Graph("small", (("x", TensorType(shape)),), nodes, ("conv",)))).open == []


def test_warnings_stand_at_the_top():
    warning = "12 parameters are stored and never used: x"
    assert warning in Page(render("zoo:resnet18", warnings=[warning])).text.split("Where the work is")[0]


def test_the_same_network_gives_the_same_page():
    assert render("zoo:resnet18") == render("zoo:resnet18")


FINGER = """
const click = (selector) => document.querySelector(selector).click();
const visible = () => [...document.querySelectorAll(".rows tr[data-layer]:not([hidden])")];
const seen = {};
click('.box[data-section="stage3"]');
seen.chosen = visible().length;
seen.pressed = document.querySelectorAll('[aria-pressed="true"]').length;
visible()[0].focus();
document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowDown", bubbles: true }));
seen.focused = document.activeElement.cells[1].textContent;
visible()[3].focus();
seen.formula = document.getElementById("formula").textContent;
click("#everything");
click(".rows th:nth-child(7) button");
seen.sorted = visible().slice(0, 3).map((row) => row.cells[6].textContent);
click(".rows th:nth-child(2) button");
seen.named = visible()[0].cells[1].textContent;
click(".rows th:nth-child(1) button");
seen.restored = visible().map((row) => row.dataset.layer).join();
const find = document.getElementById("find");
find.value = "linear";
find.dispatchEvent(new Event("input"));
seen.found = visible().length;
seen.told = document.getElementById("shown").textContent;
document.body.dataset.seen = JSON.stringify(seen);
"""


@pytest.mark.slow
def test_a_browser_opens_sections_sorts_finds_and_explains_without_a_complaint(source, tmp_path):
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert browser, "this test needs chromium: install Debian's package chromium"
    page = tmp_path / "inspection.html"
    touched = re.sub("script-src [^;]*;", "script-src 'unsafe-inline';", source)
    for name, text in (
        ("as it is", source),
        ("touched", touched.replace("</body>", f"<script>{FINGER}</script></body>")),
    ):
        page.write_text(text, encoding="utf-8")
        command = [browser, *QUIET, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", page.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=120, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        assert [line for line in done.stderr.splitlines() if "CONSOLE" in line] == [], name
        assert '<tr tabindex="0" data-layer="' in done.stdout, "the script of the page did not run"
    seen = json.loads(re.search(r'data-seen="([^"]*)"', done.stdout)[1].replace("&quot;", '"'))
    layers = inspect("zoo:resnet50").to_dict()["layers"]
    stage = [layer for layer in layers if layer["section"] == "stage3"]
    assert (seen["chosen"], seen["pressed"]) == (len(stage), 1)
    assert seen["focused"] == stage[1]["name"]
    assert "256 × 14 × 14 outputs × 256 × 3 × 3 taps = 115,605,504 macs" in seen["formula"]
    assert seen["sorted"] == [f"{count:,}" for count in sorted((layer["params"] for layer in layers), reverse=True)[:3]]
    assert seen["named"] == min(layer["name"] for layer in layers)
    assert seen["restored"] == ",".join(map(str, range(len(layers))))
    assert (seen["found"], seen["told"]) == (1, f"1 of {len(layers)} layers")
