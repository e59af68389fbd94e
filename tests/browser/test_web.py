"""An answer that stands on the web: asked for by a switch, cited, opened as it was read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.reader import answers, ask, expect_state
from tests.serving import Served
from tests.upstream import Upstream
from tests.websites import HERE, Web

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

KETTLE = (
    "A kettle of two kilowatts boils a litre of water in about three minutes, when its element is clean and the lid is "
    "shut. Descaling it every month keeps that time, as limestone insulates the element."
)


@pytest.fixture
def web() -> Iterator[Web]:
    with Web() as web:
        web.add("/kettle", "How kettles boil", KETTLE)
        yield web


@pytest.fixture
def reader(browser: Browser, web: Web, upstream: Upstream, tmp_path: Path) -> Iterator[Page]:
    served = Served(tmp_path, SEARXNG_URL=web.url, FETCH_PRIVATE_HOSTS=HERE)
    [key] = served.people(1, upstream.url)
    served.start()
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(15_000)
    context.add_cookies([{"name": "sessionid", "value": key, "url": served.url}])
    page = context.new_page()
    page.goto(served.url)
    yield page
    context.close()
    served.end()


def test_the_web_is_searched_cited_and_opened_as_it_was_read(reader: Page, web: Web) -> None:
    reader.get_by_role("button", name="Web", exact=True).click()
    ask(reader, "How long does a kettle take to boil a litre?", model="quotes")
    answer = answers(reader).first
    expect_state(answer, "done")
    expect(answer.locator(".prose")).to_contain_text("three minutes")
    passage = answer.get_by_label("Evidence for this answer").get_by_role("link", name="How kettles boil").first
    web.pages["/kettle"] = "<p>Nothing is left of it.</p>"
    passage.click()
    expect(reader.locator("#passage").first).to_contain_text("three minutes")
    expect(reader.get_by_role("link", name="Open it as it is now")).to_have_attribute("href", f"{web.url}/kettle")
