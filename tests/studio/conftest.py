from collections.abc import Iterator

import pytest

from tests.studio.run_folders import make_runs
from tests.studio.studio_process import running

SMALL = """# a note that must stay
name = "small"
input = [3, 32, 32]

[stem]
block = "conv"
width = 8   # narrow

[[stage]]
block = "residual"
depth = 2
width = 16
stride = 2

[[stage]]
block = "inverted_residual"
depth = 1
width = 24
stride = 2

[head]
task = "classify"
classes = 10
"""

DEEP = """name = "deep"
input = [3, 64, 64]

[stem]
block = "conv"
width = 16

[[stage]]
block = "bottleneck"
depth = 111
width = 16
stride = 1

[[stage]]
block = "bottleneck"
depth = 111
width = 32
stride = 2

[[stage]]
block = "bottleneck"
depth = 111
width = 64
stride = 2

[head]
task = "classify"
classes = 10
"""
"""A thousand convolutions, and three thousand operators."""


@pytest.fixture(scope="session")
def studio(tmp_path_factory):
    """A studio on a small design, shared by the tests that leave it as it was."""
    folder = tmp_path_factory.mktemp("studio")
    (folder / "small.toml").write_text(SMALL, encoding="utf-8")
    with running(folder, "small.toml") as one:
        yield one


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A finished run of each kind; whoever changes one takes a copy."""
    return make_runs(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def browser() -> Iterator:
    from tests.studio.studio_browser import chromium  # takes long to load, and only some tests need it

    with chromium() as one:
        yield one


@pytest.fixture
def page(browser, studio) -> Iterator:
    from tests.studio.studio_browser import watched

    with watched(browser, studio) as one:
        yield one
