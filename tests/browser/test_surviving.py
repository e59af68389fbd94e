"""An answer survives what happens to the page that shows it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.reader import answers, ask, composer, expect_state, expect_working_composer
from tests.faults.talk import wait_for_journal
from tests.serving import Served
from tests.upstream import WORDS, Upstream

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

ALL = " ".join(f"word{number}" for number in range(1, WORDS + 1))


def test_a_reload_in_the_middle_loses_and_repeats_nothing(page: Page, upstream: Upstream) -> None:
    ask(page, "Count.", model="gated")
    upstream.release(5)
    expect(answers(page).first.locator(".prose")).to_have_text(re.compile("word5"))
    page.reload()
    expect(answers(page).first.locator(".prose")).to_have_text("word1 word2 word3 word4 word5")
    upstream.release(WORDS - 5)
    expect_state(answers(page).first, "done")
    expect(answers(page).first.locator(".prose")).to_have_text(ALL)


def test_two_tabs_show_the_same_and_either_stops(page: Page, context: BrowserContext, upstream: Upstream) -> None:
    ask(page, "Count.", model="gated")
    upstream.release(4)
    expect(answers(page).first.locator(".prose")).to_have_text(re.compile("word4"))
    other = context.new_page()
    other.goto(page.url)
    upstream.release(2)
    for tab in (page, other):
        expect(answers(tab).first.locator(".prose")).to_have_text("word1 word2 word3 word4 word5 word6")
    other.get_by_role("button", name="Stop").click()
    for tab in (page, other):
        expect_state(answers(tab).first, "stopped")
        expect(answers(tab).first.locator(".prose")).to_have_text("word1 word2 word3 word4 word5 word6")


def test_a_question_in_one_tab_comes_to_the_other(page: Page, context: BrowserContext) -> None:
    ask(page, "One", model="echo")
    expect_state(answers(page).first, "done")
    other = context.new_page()
    other.goto(page.url)
    ask(page, "Two")
    expect(answers(other)).to_have_count(2)
    expect(answers(other).last.locator(".prose")).to_have_text("Two")


def test_a_lost_network_comes_back_with_what_was_missed(
    page: Page, context: BrowserContext, upstream: Upstream
) -> None:
    """Chromium leaves open sockets alone when it goes offline, so the page's own socket is closed too."""
    page.add_init_script(
        "const Real = WebSocket;"
        "window.WebSocket = class extends Real { constructor(...all) { super(...all); window.socket = this; } };"
    )
    page.reload()
    ask(page, "Count.", model="gated")
    upstream.release(3)
    expect(answers(page).first.locator(".prose")).to_have_text(re.compile("word3"))
    context.set_offline(True)
    page.evaluate("window.socket.close()")
    expect(page.locator("#link-state")).not_to_be_empty()
    upstream.release(WORDS - 3)
    context.set_offline(False)
    expect_state(answers(page).first, "done")
    expect(answers(page).first.locator(".prose")).to_have_text(ALL)
    expect(page.locator("#link-state")).to_be_empty()


def test_a_killed_server_keeps_the_text_and_goes_on(browser: Browser, upstream: Upstream, tmp_path: Path) -> None:
    served = Served(tmp_path)
    key = served.people(1, upstream.url)[0]
    served.start()
    context = browser.new_context()
    context.add_cookies([{"name": "sessionid", "value": key, "url": served.url}])
    page = context.new_page()
    try:
        page.goto(served.url)
        ask(page, "Count.", model="gated")
        upstream.release(6)
        expect(answers(page).first.locator(".prose")).to_have_text(re.compile("word6"))
        wait_for_journal(served, "word6 ")
        served.kill()
        served.start()
        answer = answers(page).first
        # Beside other processes a dead one is found by its silence, so this may take its time.
        expect(answer).to_have_attribute("data-state", "interrupted", timeout=30_000)
        expect(answer.locator(".prose")).to_have_text("word1 word2 word3 word4 word5 word6")
        answer.get_by_role("button", name="Continue").click()
        upstream.release(WORDS)
        expect_state(answers(page).first, "done")
        expect(answers(page).first.locator(".prose")).to_have_text(ALL)
        expect_working_composer(page)
    finally:
        context.close()
        served.end()


def test_a_draft_survives_a_reload(page: Page) -> None:
    composer(page).fill("Half a thought")
    page.reload()
    expect(composer(page)).to_have_value("Half a thought")
