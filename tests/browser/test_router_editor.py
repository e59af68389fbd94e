"""The router's file in the browser: a mistake is shown at its line as it is typed, a draft is compared and decides."""

from __future__ import annotations

import re
import time

import pytest
from playwright.sync_api import Page, expect

from tests.browser.reader import answers, ask, expect_state
from tests.browser.test_joining import Open, open_page, owner, site

__all__ = ["open_page", "owner", "site"]  # fixtures

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

WRONG = """{
  "routes": [
    {"name": "short", "condition": "len(promt) < 200", "model": "echo"}
  ],
  "fallback": "quotes"
}
"""
LONG = (
    '    {"name": "route %d", "condition": "len(prompt) == %d and not has_image and turn > 1 and hour >= 8 and '
    'hour < 18 and interactive and tokens > 100 and tokens < 40000 and not web", "model": "echo"}'
)


def open_editor(page: Page, site: str) -> None:
    page.goto(f"{site}/admin/router/routerconfiguration/")
    page.get_by_role("link", name="default", exact=True).click()
    expect(page.locator(".file-frame")).to_be_visible()  # its script has come
    expect(page.locator(".file-said")).not_to_be_empty()


def test_a_file_is_mended_drafted_compared_used_and_left(owner: Page, site: str) -> None:
    open_editor(owner, site)
    source, said = owner.get_by_label("File:", exact=True), owner.locator(".file-said")
    expect(said).to_contain_text("It reads well")
    source.fill(WRONG)
    expect(said).to_contain_text("Line 3, column")
    expect(said).to_contain_text("There is no fact “promt”")
    expect(owner.locator(".file-frame li.bad")).to_have_count(1)
    assert owner.evaluate("[...document.querySelectorAll('.file-frame li')].findIndex(x => x.matches('.bad'))") == 2
    said.get_by_role("button").first.click()
    owner.keyboard.press("Delete")  # the caret stands at the wrong word
    for _ in range(len("romt")):
        owner.keyboard.press("Delete")
    owner.keyboard.type("prompt")
    expect(said).to_contain_text("It reads well: 1 route")
    owner.keyboard.press("Control+z")
    owner.keyboard.press("Control+y")
    expect(said).to_contain_text("It reads well: 1 route")
    owner.get_by_role("button", name="Save as a draft").click()
    expect(owner.get_by_text(re.compile(r"is kept as a draft; version \d+ stays in use"))).to_be_visible()
    owner.get_by_role("link", name="Compare the two").click()
    expect(owner.locator(".compare-lines tr.new").first).to_be_visible()
    owner.get_by_role("button", name=re.compile("^Use version")).click()
    expect(owner.get_by_text(re.compile("now uses version"))).to_be_visible()
    owner.goto(f"{site}/")
    ask(owner, "Are you there?")
    expect_state(answers(owner).first, "done")
    expect(answers(owner).first).to_contain_text("short")  # the route that chose
    open_editor(owner, site)
    owner.locator(".inline-group").get_by_role("button", name="Use version 1", exact=True).click()
    expect(owner.get_by_text(re.compile("now uses version 1"))).to_be_visible()


def test_tab_indents_and_after_escape_leaves(owner: Page, site: str) -> None:
    open_editor(owner, site)
    source = owner.get_by_label("File:", exact=True)
    source.fill("")
    source.press("Tab")
    expect(source).to_have_value("  ")
    source.press("Escape")
    source.press("Tab")
    expect(source).not_to_be_focused()


def test_words_are_written_where_the_caret_stands(owner: Page, site: str) -> None:
    open_editor(owner, site)
    source = owner.get_by_label("File:", exact=True)
    source.fill("ab")
    source.press("ArrowLeft")
    owner.get_by_text("What may stand in the file").click()
    owner.get_by_role("button", name="has_image", exact=True).click()
    expect(source).to_have_value("ahas_imageb")


def test_a_long_file_stays_quick_to_write(owner: Page, site: str) -> None:
    """200 routes, 50 kB: a key is drawn within a frame or a few, whatever is asked of the server meanwhile."""
    open_editor(owner, site)
    source = owner.get_by_label("File:", exact=True)
    source.fill('{"routes": [\n' + ",\n".join(LONG % (n, n) for n in range(200)) + '\n], "fallback": "quotes"}')
    expect(owner.locator(".file-said")).to_contain_text("It reads well: 200 routes", timeout=15_000)
    assert len(source.input_value()) > 36_000
    source.press("Control+Home")
    began = time.monotonic()
    for _ in range(40):
        source.press("Space")
    assert (time.monotonic() - began) / 40 < 0.2
    expect(owner.locator(".file-said")).to_contain_text("It reads well: 200 routes", timeout=15_000)


def test_two_at_once_lose_nothing(owner: Page, open_page: Open, site: str) -> None:
    open_editor(owner, site)
    second = owner.context.new_page()
    open_editor(second, site)
    second.get_by_label("File:", exact=True).fill(WRONG.replace("promt", "prompt").replace("200", "201"))
    second.get_by_role("button", name="Save as a draft").click()
    expect(second.get_by_text("is kept as a draft")).to_be_visible()
    mine = WRONG.replace("promt", "prompt").replace("200", "202")
    owner.get_by_label("File:", exact=True).fill(mine)
    owner.get_by_role("button", name="Save and use").click()
    expect(owner.get_by_text(re.compile("saved version .* while you were here"))).to_be_visible()
    expect(owner.get_by_label("File:", exact=True)).to_have_value(mine)
    second.close()
