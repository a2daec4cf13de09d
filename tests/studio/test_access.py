"""Whether everybody can use the page: axe-core's rules, in a real browser, on every view in light and dark."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.studio.views import VIEWS, all_views, open_view

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_view_breaks_a_rule_of_axe(browser, made, scheme):
    with all_views(browser, made.folder, scheme=scheme) as (page, studio):
        for name in VIEWS:
            open_view(page, studio, name)
            found = Axe().run(page).response
            broken = [(one["impact"], one["id"], one["nodes"][0]["html"][:200]) for one in found["violations"]]
            assert broken == [], name
            assert len(found["passes"]) > 20, name  # the rules were really applied
