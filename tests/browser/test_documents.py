"""A document of one's own: chosen, read, asked about, opened at the passage, deleted."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.reader import answers, ask, expect_state

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

FILE = {
    "name": "hut.md",
    "mimeType": "text/markdown",
    "buffer": b"# The hut\n\nThe key of the mountain hut hangs behind the third beehive.\n",
}


def test_an_added_document_answers_with_the_passage_it_rests_on(page: Page) -> None:
    page.get_by_role("link", name="Documents").click()
    page.get_by_label("Choose files").set_input_files([FILE, {**FILE, "name": "none.md", "buffer": b""}])
    expect(page.get_by_text("none.md is empty")).to_be_visible()
    row = page.get_by_role("row", name="hut")
    expect(row.locator(".tag")).to_have_text("searchable by words")

    page.get_by_role("link", name="New chat").click()
    documents = page.get_by_role("button", name="Documents")
    if documents.get_attribute("aria-pressed") == "false":
        documents.click()
    ask(page, "Where does the key of the mountain hut hang?", model="quotes")
    answer = answers(page).first
    expect_state(answer, "done")
    expect(answer.locator(".prose")).to_contain_text("third beehive")
    passage = answer.get_by_label("Evidence for this answer").get_by_role("link", name="hut").first
    with page.expect_popup() if passage.get_attribute("target") else page.expect_navigation():
        passage.click()
    opened = page.context.pages[-1]
    expect(opened.locator("#passage").first).to_contain_text("third beehive")
    opened.get_by_text("Delete", exact=True).click()
    opened.get_by_role("button", name="Delete for good").click()
    expect(opened.get_by_role("status").first).to_contain_text("is deleted")
    expect(opened.get_by_role("row", name="hut")).to_have_count(0)


def test_files_chosen_before_the_script_is_there_are_sent(page: Page) -> None:
    held: list[Route] = []
    page.route(re.compile("/document-drop"), lambda route: held.append(route))
    with page.expect_request(re.compile("/document-drop")):
        page.get_by_role("link", name="Documents").click()
    page.get_by_label("Choose files").set_input_files([FILE])
    for one in held:
        one.continue_()
    expect(page.get_by_role("row", name="hut")).to_be_visible()


def test_collections_are_made_filled_and_chosen_for_a_question(page: Page) -> None:
    page.get_by_role("link", name="Documents").click()
    for name, text in (("Boats", "# Ferries\n\nThe ferry leaves at dawn."), ("Trains", "# Rails\n\nThe ferry waits.")):
        page.get_by_placeholder("New collection").fill(name)
        page.get_by_role("button", name="Make it").click()
        page.get_by_text("Paste a text").click()
        page.get_by_label("Into").select_option(name)
        page.get_by_role("textbox", name="Text", exact=True).fill(text)
        page.get_by_role("button", name="Add text").click()
        expect(page.locator("#collections")).to_contain_text(text.split()[1])
    expect(page.get_by_role("row", name="Ferries").locator(".tag")).to_have_text("searchable by words")
    expect(page.get_by_role("row", name="Rails").locator(".tag")).to_have_text("searchable by words")

    page.get_by_role("link", name="New chat").click()
    documents = page.get_by_role("button", name="Documents")
    if documents.get_attribute("aria-pressed") == "false":
        documents.click()
    page.locator(".shelves summary").click()
    for shelf in page.get_by_role("checkbox").all():
        shelf.uncheck()
    ask(page, "When does the ferry leave?", model="quotes")
    expect(page.locator(".hint")).to_contain_text("No documents are chosen")
    page.get_by_role("checkbox", name="Boats").check()
    page.get_by_role("textbox", name="Message", exact=True).press("Enter")
    answer = answers(page).first
    expect_state(answer, "done")
    expect(answer.locator(".prose")).to_contain_text("at dawn")
    expect(answer.get_by_label("Evidence for this answer").get_by_role("link", name="Rails")).to_have_count(0)


def test_a_file_is_attached_to_a_question_and_kept_for_the_chat(page: Page) -> None:
    documents = page.get_by_role("button", name="Documents")
    if documents.get_attribute("aria-pressed") == "true":
        documents.click()
    prices = b"A ferry ticket costs nine euros. The ferry leaves the harbour at seven in the morning."
    upload = page.locator("chat-composer input[type=file]")
    upload.set_input_files({"name": "prices.txt", "mimeType": "text/plain", "buffer": prices})
    chip = page.locator("attached-files li")
    expect(chip).to_have_attribute("data-ready", "1")
    upload.set_input_files({"name": "empty.txt", "mimeType": "text/plain", "buffer": b""})
    expect(page.locator(".hint")).to_contain_text("empty.txt is empty")
    expect(chip).to_have_count(1)
    ask(page, "What does a ferry ticket cost?", model="quotes")
    expect_state(answers(page).first, "done")
    expect(answers(page).first.locator(".prose")).to_contain_text("nine euros")
    expect(page.locator("li.question").first).to_contain_text("prices.txt")
    expect(chip).to_have_count(0)

    upload.set_input_files({"name": "prices.txt", "mimeType": "text/plain", "buffer": prices})
    expect(chip).to_have_attribute("data-ready", "1")
    chip.get_by_role("button", name="Keep for the chat").click()
    ask(page, "When does the ferry leave?")
    expect(answers(page).nth(1).locator(".prose")).to_contain_text("at seven")
    expect(chip).to_have_count(1)
    page.reload()
    expect(chip.get_by_role("button", name="Keep for the chat")).to_have_attribute("aria-pressed", "true")
    ask(page, "And how much is it?")
    expect(answers(page).nth(2)).to_contain_text("Searched for “When does the ferry leave? And how much is it?”")


def test_search_is_tried_step_by_step(page: Page) -> None:
    page.get_by_role("link", name="Documents").click()
    page.get_by_label("Choose files").set_input_files([FILE])
    expect(page.get_by_role("row", name="hut").locator(".tag").first).to_have_text("searchable by words")
    page.get_by_role("link", name="Try search").click()
    page.locator("select[name=collection]").select_option(label="Your documents")
    page.get_by_role("textbox", name="Question").fill("Where does the key hang?")
    page.get_by_role("button", name="Search").click()
    row = page.get_by_role("row", name="third beehive")
    expect(row.locator(".tag")).to_have_text("1")
    row.get_by_role("button", name="Answers it").click()
    expect(page.get_by_role("status").first).to_contain_text("Labelled")
    expect(row.get_by_role("button", name="Answers it")).to_have_attribute("aria-pressed", "true")
