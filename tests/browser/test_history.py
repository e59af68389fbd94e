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
    expect(answers(page)).to_have_count(2)
    expect_state(answers(page).last, "done")

    page.get_by_role("link", name="History of this chat").click()
    expect(page.get_by_role("listitem").filter(has_text="you are here")).to_contain_text("instant")
    page.get_by_role("link", name="Checkpoints").click()
    page.get_by_role("button", name="Go back here").click()
    expect(questions(page)).to_have_count(1)
    ask(page, "Another second question", model="echo")
    expect(answers(page)).to_have_count(2)
    expect_state(answers(page).last, "done")

    page.locator("#title").click()
    page.keyboard.press("m")
    rows = page.locator("chat-map li.row")
    expect(rows.filter(has_text="2/2")).to_contain_text("Another second question")
    rows.filter(has_text="instant").locator(".go").focus()
    page.keyboard.press("d")
    rows.filter(has_text="echo").locator(".go").focus()
    page.keyboard.press("d")
    expect(page.get_by_role("row", name="model")).to_contain_text("echo")
    page.get_by_role("link", name="Side by side").click()
    expect(page.locator(".said.beside .one")).to_have_count(2)

    page.get_by_role("link", name="Replay", exact=True).click()
    expect(page.get_by_text("echo takes no seed")).to_be_visible()
    page.get_by_role("button", name="Replay", exact=True).click()
    expect(page.get_by_text("the same, byte for byte").first).to_be_visible()
    expect(page.get_by_text("Same manifest")).to_be_visible()


def test_a_branch_is_named_pruned_and_restored_by_keys(page: Page) -> None:
    ask(page, "First question", model="counting")
    expect_state(answers(page).first, "done")
    page.locator("#title").click()
    page.keyboard.press("r")
    page.locator('[role=option][data-model="echo"]').click()
    expect_state(answers(page).first, "done")
    expect(answers(page).first.locator(".switch b")).to_have_text("2/2")
    page.get_by_role("link", name="History of this chat").click()
    old = page.locator("chat-map li.row").filter(has_text="counting")
    old.hover()
    old.get_by_role("button", name="What can be done here").click()
    dialog = page.get_by_role("dialog", name="What can be done here")
    dialog.get_by_label("Name of the branch").fill("first try")
    dialog.get_by_role("button", name="Name it").click()
    expect(old.locator(".tag")).to_have_text("first try")
    old.locator(".go").focus()
    page.keyboard.press("p")
    expect(page.get_by_role("status").filter(has_text="Branch “first try” pruned.")).to_be_visible()
    expect(old).to_have_count(0)
    expect(page.get_by_text("1 branch pruned: first try")).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    expect(old).to_be_visible()


def test_an_answer_is_brought_in_and_a_second_tab_follows(page: Page) -> None:
    ask(page, "First question", model="counting")
    expect_state(answers(page).first, "done")
    page.locator("#title").click()
    page.keyboard.press("r")
    page.locator('[role=option][data-model="echo"]').click()
    expect(answers(page).first.locator(".switch b")).to_have_text("2/2")
    expect_state(answers(page).first, "done")
    second = page.context.new_page()
    second.goto(page.url)
    expect(answers(second)).to_have_count(1)
    page.get_by_role("link", name="History of this chat").click()
    old = page.locator("chat-map li.row").filter(has_text="counting")
    old.hover()
    old.get_by_role("button", name="What can be done here").click()
    page.get_by_role("button", name="Bring this answer to where you are").last.click()
    expect(page.locator("chat-map li.row").filter(has_text="you are here")).to_contain_text("brought in")
    expect(answers(second)).to_have_count(2)
    expect(answers(second).last).to_contain_text("Brought in from another branch")
    page.get_by_role("button", name="Undo").click()
    expect(answers(second)).to_have_count(1)


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
