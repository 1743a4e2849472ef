"""Pages that everybody can use: axe's checks in a real browser."""

import json

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

__all__ = ["assert_no_serious_fault"]


def assert_no_serious_fault(page: Page, what: str) -> None:
    """Nothing on the page, once it is whole, is a serious or critical fault to axe."""
    page.wait_for_load_state()
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    serious = [
        (one["id"], one["nodes"][0]["html"][:200], one["nodes"][0].get("failureSummary", "")[:200])
        for one in found
        if one["impact"] in ("serious", "critical")
    ]
    assert serious == [], (what, json.dumps(serious, indent=1))
