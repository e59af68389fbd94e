"""What a person does on the chat page, and where they look: by role and label, as they would say it."""

from __future__ import annotations

from playwright.sync_api import Locator, Page, expect


def composer(page: Page) -> Locator:
    return page.get_by_role("textbox", name="Message", exact=True)


def choose(page: Page, model: str) -> None:
    page.locator("model-picker > button").click()
    page.get_by_role("combobox", name="Model for this message").fill(model)
    page.locator(f'[role=option][data-model="{model}"]').click()


def ask(page: Page, text: str, *, model: str = "") -> None:
    if model:
        choose(page, model)
    composer(page).fill(text)
    composer(page).press("Enter")


def questions(page: Page) -> Locator:
    return page.locator("li.question")


def answers(page: Page) -> Locator:
    return page.locator("li.answer")


def expect_state(answer: Locator, state: str) -> None:
    expect(answer).to_have_attribute("data-state", state)


def expect_working_composer(page: Page) -> None:
    expect(composer(page)).to_be_enabled()
    expect(page.get_by_role("button", name="Send", exact=True)).to_be_visible()
