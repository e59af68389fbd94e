"""A chat's history by hand: a flag set, gone back to, the map read, an answer made again."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.reader import answers, ask, expect_state, questions
from tests.serving import Served

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

    page.get_by_role("link", name="Replay the second").click()
    expect(page.get_by_text("echo takes no seed")).to_be_visible()
    page.get_by_role("button", name="Replay", exact=True).click()
    expect(page.get_by_text("the same, byte for byte").first).to_be_visible()
    expect(page.get_by_text("Same manifest")).to_be_visible()


def test_a_persona_is_written_chosen_and_kept_with_its_values(page: Page, served: Served) -> None:
    page.goto(f"{served.url}/personas/")
    page.get_by_label("Name").fill("Teacher")
    page.get_by_label("What the model is told").fill("You teach {audience}.")
    page.get_by_label("Variables").fill("audience = beginners")
    page.get_by_role("button", name="Keep").click()
    page.get_by_role("link", name="New chat").click()
    page.locator("persona-picker summary").click()
    page.get_by_label("Teacher").check()
    page.get_by_label("audience").fill("children")
    ask(page, "First question", model="instant")
    expect_state(answers(page).first, "done")
    page.reload()
    expect(page.locator("persona-picker [data-name]")).to_have_text("Teacher")
    answers(page).first.locator(".runline a.name").click()
    expect(page.get_by_text("variable: audience")).to_be_visible()
    expect(page.locator("#manifest")).to_contain_text("children")
