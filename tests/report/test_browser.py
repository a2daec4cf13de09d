"""A real browser opens the page from disk, draws every chart, and has nothing to complain about."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from convsmith.report.html import render_html
from tests.report.sample import fit_report

QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-sync", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--enable-logging=stderr",
    "--virtual-time-budget=10000",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_chromium_draws_the_page_without_a_complaint(theme, tmp_path):
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert browser, "this test needs chromium: install Debian's package chromium"
    page = tmp_path / "report.html"
    page.write_text(render_html(fit_report()), encoding="utf-8")
    colours = ["--force-dark-mode"] if theme == "dark" else []
    command = [browser, *QUIET, *colours, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert [line for line in done.stderr.splitlines() if "CONSOLE" in line] == []
    charts = re.findall(r'<div class="chart js-plotly-plot" id="chart-(\w+)"', done.stdout)
    assert charts == ["map", "rungs", "confusion"]
    assert done.stdout.count('class="main-svg"') >= 3 * 2
    assert "var(--" not in "".join(re.findall(r"<svg class=\"main-svg\".*?</svg>", done.stdout, re.DOTALL))
    assert "tinynet" in re.sub(r"<script.*?</script>", "", done.stdout, flags=re.DOTALL)
