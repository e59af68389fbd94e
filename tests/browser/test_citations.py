"""A citation in use: numbers that were given, the passage by pointer or keys, the document by a click."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.reader import answers, ask, expect_state

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

TEXT = "# The hut\n\nThe key of the mountain hut hangs behind the third beehive. Bring a lamp.\n"


@pytest.fixture
def answer(page: Page) -> Locator:
    page.get_by_role("link", name="Documents").click()
    page.get_by_text("Paste a text").click()
    page.get_by_role("textbox", name="Text", exact=True).fill(TEXT)
    page.get_by_role("button", name="Add text").click()
    expect(page.get_by_role("row", name="The hut").locator(".tag")).to_have_text("searchable by words")
    page.get_by_role("link", name="New chat").click()
    documents = page.get_by_role("button", name="Documents")
    if documents.get_attribute("aria-pressed") == "false":
        documents.click()
    ask(page, "Where does the key of the mountain hut hang?", model="cites")
    answer = answers(page).first
    expect_state(answer, "done")
    return answer


def test_only_what_was_given_is_cited_and_what_it_does_not_hold_is_marked(page: Page, answer: Locator) -> None:
    prose = answer.locator(".prose")
    expect(prose.locator(".cite")).to_have_count(2)
    expect(prose).not_to_contain_text("99")
    expect(answer).to_contain_text("1 citation dropped")
    expect(prose.locator(".unsupported").first).to_contain_text("Unicorns")
    said = answer.locator(".runline [title*=RAGTruth]")
    expect(said).to_contain_text("supported")


def test_the_passage_lights_in_the_margin_or_comes_to_its_number(page: Page, answer: Locator) -> None:
    chip, preview = answer.locator(".prose .cite").first, page.locator("passage-preview")
    page.set_viewport_size({"width": 1440, "height": 900})
    chip.hover()
    expect(answer.locator(".notes .note.on")).to_contain_text("third beehive")
    expect(preview).to_be_hidden()
    page.set_viewport_size({"width": 900, "height": 900})
    page.mouse.move(0, 0)
    chip.hover()
    expect(preview).to_be_visible()
    expect(preview).to_contain_text("third beehive")
    preview.hover()
    expect(preview).to_be_visible()
    page.keyboard.press("Escape")
    expect(preview).to_be_hidden()
    page.mouse.move(0, 0)
    chip.focus()
    expect(preview).to_be_visible()
    expect(chip).to_have_attribute("aria-describedby", "passage-preview")


def test_a_click_opens_the_document_at_the_exact_characters(page: Page, answer: Locator) -> None:
    with page.expect_popup() as opened:
        answer.locator(".prose .cite").first.click()
    marked = opened.value.locator("#passage")
    expect(marked).to_have_text("The key of the mountain hut hangs behind the third beehive. Bring a lamp.")
    expect(marked).to_be_in_viewport()
