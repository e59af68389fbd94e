"""A checklist over several models, in the browser: started, watched, read, and its answers taken away."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

ROWS = [
    {
        "id": f"q{n}",
        "question": f"Which word comes after {n}?",
        "answers": ["word7"] if n % 2 else [],
        "evidence": [f"The word after {n} is word7, said the keeper of words."],
    }
    for n in range(8)
]
FILE = {
    "name": "words.jsonl",
    "mimeType": "application/jsonl",
    "buffer": "\n".join(map(json.dumps, ROWS)).encode(),
}


def test_a_checklist_is_measured_and_read(page: Page) -> None:
    page.get_by_role("link", name="Measure").click()
    form = page.get_by_role("form", name="New measurement")
    form.get_by_role("button", name="Start").click()
    expect(page.get_by_role("alert")).to_contain_text("No questions came")
    form.get_by_label("A file: JSON Lines").set_input_files([FILE])
    for model in ("counting", "quotes", "err400"):
        form.get_by_label(model, exact=True).check()
    form.get_by_role("button", name="Start").click()
    expect(page.locator(".going")).to_have_count(0, timeout=60_000)
    result = page.locator(".result")
    expect(result.get_by_role("row", name="counting")).to_contain_text("100%")
    expect(page.locator(".cells").get_by_role("row", name="err400")).to_contain_text("8")
    expect(page.get_by_role("heading", name="Where they differ")).to_be_visible()
    with page.expect_download() as kept:
        page.get_by_role("link", name="JSON").click()
    told = json.loads(kept.value.path().read_text())
    assert {lane["label"] for lane in told["lanes"]} == {"counting", "quotes", "err400"} and told["done"] == 24
    with page.expect_download() as table:
        page.get_by_role("link", name="CSV").click()
    assert len(table.value.path().read_text().splitlines()) >= 25
