"""Ways in, and the wall."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.reader import answers, ask, composer, expect_state
from tests.serving import Served

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]


def test_the_link_signs_in_once(browser: Browser, served: Served) -> None:
    first, second = browser.new_context().new_page(), browser.new_context().new_page()
    first.goto(served.link)
    expect(composer(first)).to_be_focused()
    second.goto(served.link)
    expect(composer(second)).to_have_count(0)
    expect(second.get_by_text("sign_in_link")).to_be_visible()


def test_without_a_session_every_page_asks_to_sign_in(browser: Browser, served: Served) -> None:
    page = browser.new_context().new_page()
    page.goto(served.url)
    expect(page).to_have_url(re.compile("/sign-in/"))
    page.get_by_label("Name").fill("owner")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("alert")).to_be_visible()


def test_somebody_elses_chat_is_not_there(page: Page, browser: Browser, served: Served, keys: list[str]) -> None:
    ask(page, "A secret", model="echo")
    expect_state(answers(page).first, "done")
    stranger = browser.new_context()
    stranger.add_cookies([{"name": "sessionid", "value": keys.pop(), "url": served.url}])
    there = stranger.new_page()
    response = there.goto(page.url)
    assert response is not None and response.status == 404
    assert "secret" not in there.content()
    stranger.close()
