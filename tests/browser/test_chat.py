"""The first hour with a chat: ask, read, stop, retry, edit, attach."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.reader import answers, ask, choose, composer, expect_state, expect_working_composer, questions
from tests.upstream import WORDS, Upstream

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]


def test_first_answer_is_grounded_in_the_guide_and_its_citation_opens_the_passage(page: Page) -> None:
    documents = page.get_by_role("button", name="Documents")
    if documents.get_attribute("aria-pressed") == "false":
        documents.click()
    ask(page, "How do I add a language model?", model="quotes")
    answer = answers(page).first
    expect_state(answer, "done")
    expect(answer.locator("a.cite, .cite").first).to_be_visible()
    passage = answer.get_by_label("Evidence for this answer").get_by_role("link").first
    with page.expect_popup() if passage.get_attribute("target") else page.expect_navigation():
        passage.click()
    expect(page.context.pages[-1].locator("#passage").first).to_be_visible()


def test_a_long_answer_is_whole_and_the_same_after_a_reload(page: Page) -> None:
    ask(page, "How does a kettle boil water?", model="md")
    answer = answers(page).first
    expect_state(answer, "done")
    for part in ("h1, h2, h3", "ol li", "table td", "pre code", "math", "blockquote"):
        expect(answer.locator(".prose").locator(part).first).to_be_visible()
    streamed = answer.locator(".prose").inner_html()
    page.reload()
    assert answers(page).first.locator(".prose").inner_html() == streamed


def test_stop_keeps_what_was_said(page: Page, upstream: Upstream) -> None:
    ask(page, "Count.", model="gated")
    answer = answers(page).first
    upstream.release(3)
    expect(answer.locator(".prose")).to_have_text(re.compile("word3"))
    answer.get_by_role("button", name="Stop").click()
    expect_state(answer, "stopped")
    expect(answer.locator(".prose")).to_have_text("word1 word2 word3")
    expect_working_composer(page)


def test_retry_with_another_model_adds_a_version(page: Page) -> None:
    ask(page, "Repeat this after me.", model="echo")
    expect_state(answers(page).first, "done")
    answers(page).first.get_by_role("button", name="Retry").click()
    page.locator('[role=option][data-model="md"]').click()
    answer = answers(page).first
    expect(answer.get_by_role("group", name="Version 2 of 2 of this answer")).to_be_visible()
    expect(answer.locator(".prose")).to_contain_text("How a kettle boils water")
    answer.get_by_role("button", name="Earlier version").click()
    expect(answers(page).first.locator(".prose")).to_have_text("Repeat this after me.")


def test_an_edit_is_a_version_and_both_stay(page: Page) -> None:
    ask(page, "First wording", model="echo")
    expect_state(answers(page).first, "done")
    questions(page).first.get_by_role("button", name="Edit the question").click()
    expect(composer(page)).to_have_value("First wording")
    ask(page, "Second wording")
    expect(answers(page)).to_have_count(1)
    expect(answers(page).first.locator(".prose")).to_have_text("Second wording")
    expect_state(answers(page).first, "done")
    page.reload()  # the page as anybody sees it who comes later
    question = questions(page).first
    expect(question.get_by_role("group", name="Version 2 of 2 of this question")).to_be_visible()
    question.get_by_role("button", name="Earlier version").click()
    expect(questions(page).first.locator(".ask")).to_have_text("First wording")
    expect(answers(page).first.locator(".prose")).to_have_text("First wording")


def test_an_edited_question_shows_its_versions_at_once(page: Page) -> None:
    ask(page, "First wording", model="echo")
    expect_state(answers(page).first, "done")
    questions(page).first.get_by_role("button", name="Edit the question").click()
    ask(page, "Second wording")
    expect(questions(page).first.get_by_role("group", name="Version 2 of 2 of this question")).to_be_visible()


def test_an_image_reaches_a_model_that_sees(page: Page, picture: Path) -> None:
    page.get_by_label("Files", exact=True).set_input_files(picture)
    expect(page.get_by_role("button", name="Remove the image")).to_be_visible()
    expect(page.get_by_role("list", name="Attached images")).not_to_contain_text("…")
    ask(page, "What is this?", model="vision")
    expect_state(answers(page).first, "done")
    expect(answers(page).first.locator(".prose")).to_have_text("I was given 1 image.")
    expect(questions(page).first.get_by_alt_text("Attached picture")).to_be_visible()


def test_an_image_is_refused_for_a_model_that_does_not_see(page: Page, picture: Path) -> None:
    page.get_by_label("Files", exact=True).set_input_files(picture)
    expect(page.get_by_role("list", name="Attached images").get_by_role("listitem")).to_have_count(1)
    page.locator("model-picker > button").click()
    blind = page.locator('[role=option][data-model="echo"]')
    expect(blind).to_have_attribute("aria-disabled", "true")
    expect(blind).to_contain_text("echo takes no images")


def test_a_phone_shows_and_sends_everything(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 780})
    ask(page, "How does a kettle boil water?", model="md")
    expect_state(answers(page).first, "done")
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= 390, f"The page is {wide} px wide"
    page.get_by_role("button", name="Open the index").click()
    expect(page.get_by_role("link", name="Documents")).to_be_in_viewport()


def test_the_thread_goes_on_under_the_first_answer(page: Page, upstream: Upstream) -> None:
    ask(page, "One", model="echo")
    expect_state(answers(page).first, "done")
    ask(page, "Two")
    expect(answers(page)).to_have_count(2)
    expect_state(answers(page).last, "done")
    choose(page, "gated")
    ask(page, "Three")
    upstream.release(WORDS)
    expect(answers(page)).to_have_count(3)
    expect_state(answers(page).last, "done")
    page.reload()
    expect(questions(page).locator(".ask")).to_have_text(["One", "Two", "Three"])


def test_copy_gives_the_answer_as_its_model_wrote_it(page: Page, context: BrowserContext) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    ask(page, "Some **bold** words", model="echo")
    expect_state(answers(page).first, "done")
    answers(page).first.get_by_role("button", name="Copy").click()
    expect(page.locator("#announce")).to_have_text("Copied.")
    assert page.evaluate("navigator.clipboard.readText()").strip() == "Some **bold** words"
