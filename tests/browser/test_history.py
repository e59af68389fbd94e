"""A chat's history by hand: a flag set, gone back to, the map read, an answer made again."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.reader import answers, ask, expect_state, questions

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]


def test_a_checkpoint_is_set_and_gone_back_to(page: Page) -> None:
    ask(page, "First question", model="counting")
    expect_state(answers(page).first, "done")
    page.locator("#title").click()
    page.keyboard.press("b")
    dialog = page.get_by_role("dialog", name="Checkpoint")
    dialog.get_by_label("Name").fill("numbers agreed")
    dialog.get_by_role("button", name="Set it").click()
    expect(answers(page).first.locator(".flagged")).to_have_text("numbers agreed")
    ask(page, "Second question", model="instant")
    expect_state(answers(page).last, "done")

    page.get_by_role("link", name="History of this chat").click()
    expect(page.get_by_role("listitem").filter(has_text="you are here")).to_contain_text("instant")
    expect(page.get_by_role("heading", name="What happened")).to_be_visible()
    page.get_by_role("button", name="Go back here").click()
    expect(questions(page)).to_have_count(1)
    ask(page, "Another second question", model="echo")
    expect_state(answers(page).last, "done")

    page.locator("#title").click()
    page.keyboard.press("m")
    rows = page.locator("chat-map li.row")
    expect(rows.filter(has_text="2/2")).to_contain_text("Another second question")
    rows.filter(has_text="instant").get_by_label("old").check(force=True)
    rows.filter(has_text="echo").get_by_label("new").check(force=True)
    page.get_by_role("button", name="Show the difference").click()
    expect(page.get_by_role("row", name="upstream model")).to_contain_text("echo")

    page.get_by_role("button", name="Replay the second").click()
    expect(page.get_by_text("Word for word the same")).to_be_visible()
