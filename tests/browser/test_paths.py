"""Two paths in a real browser: words behind the cursor from the fast model, long answers that nobody waits for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.serving import Served
from tests.upstream import WORDS, Upstream

pytestmark = pytest.mark.browser

DUAL = """{"routes": [
  {"name": "short", "condition": "len(prompt) < 30", "model": "echo"},
  {"name": "long", "condition": "default", "model": "gated", "mode": "background"}
], "fallback": "echo", "autocomplete": "md"}"""
LONG = "Count to twenty, one word after the other."


@pytest.fixture(scope="module")
def two_paths(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[tuple[Served, list[str]]]:
    served = Served(tmp_path_factory.mktemp("paths"))
    keys = served.people(4, upstream.url)
    served.configure(DUAL)
    served.start()
    served.start_worker()
    yield served, keys
    served.end()


@pytest.fixture
def page(browser: Browser, two_paths: tuple[Served, list[str]]) -> Iterator[Page]:
    served, keys = two_paths
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(15_000)
    context.add_cookies([{"name": "sessionid", "value": keys.pop(), "url": served.url}])
    page = context.new_page()
    page.goto(served.url)
    yield page
    context.close()


def test_a_long_answer_lands_while_the_chat_goes_on(page: Page, upstream: Upstream) -> None:
    text = page.get_by_role("textbox", name="Message")
    text.fill(LONG)
    text.press("Enter")
    waiting = page.locator(".answer[data-mode=background]")
    expect(waiting).to_be_visible()
    text.fill("And now?")
    text.press("Enter")
    expect(page.locator(".answer.done .prose")).to_contain_text("And now?")
    page.goto(page.url.split("/c/")[0] + "/")  # somewhere else
    upstream.release(WORDS)
    notice = page.locator(".toast.landed")
    expect(notice).to_contain_text("An answer has landed")
    notice.get_by_role("link", name="Show").click()
    expect(page.locator(".answer.done .prose").first).to_contain_text("word20")


def test_a_background_answer_can_be_stopped_in_its_place(page: Page, upstream: Upstream) -> None:
    text = page.get_by_role("textbox", name="Message")
    text.fill(LONG)
    text.press("Enter")
    upstream.release(3)
    answer = page.locator(".answer[data-mode=background]")
    expect(answer.locator(".prose")).to_contain_text("word3")
    answer.get_by_role("button", name="Stop").click()
    expect(page.locator(".answer.stopped")).to_contain_text("word3")


def test_words_behind_the_cursor_are_taken_with_tab_and_turned_off_with_one_press(page: Page) -> None:
    text = page.get_by_role("textbox", name="Message")
    text.press_sequentially("Explain to me how")
    ghost = page.locator("ghost-text .ghost span")
    expect(ghost).to_have_text("# How a kettle boils water")
    text.press("Tab")
    expect(text).to_have_value("Explain to me how# How a kettle boils water")
    page.get_by_role("button", name="Suggest").click()
    expect(ghost).to_have_count(0)
    text.fill("")
    text.press_sequentially("Explain to me why")
    expect(text).to_have_value("Explain to me why")
    page.wait_for_timeout(400)
    expect(ghost).to_have_count(0)
