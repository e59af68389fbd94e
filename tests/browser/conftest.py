"""One server and one Chromium for all browser tests; a page of its own, signed in, for each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.chromium import chromium
from tests.serving import Served
from tests.upstream import Upstream

expect.set_options(timeout=15_000)  # milliseconds: a busy machine is no fault of the page
BOASTS = ("boast-quick-heron", "boast-slow-badger")  # models that say who they are, and those of another test
FAILING = ("boast-tall-crane", "boast-broken-otter")
PEOPLE = 80  # each test takes the next one, so no test sees the chats of another


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Served]:
    served = Served(tmp_path_factory.mktemp("data"))
    served.people(PEOPLE, upstream.url, (*BOASTS, *FAILING))
    served.start()
    served.start_worker()
    yield served
    served.end()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(autouse=True)
def shut_gate(upstream: Upstream) -> None:
    """Words that another test released are not for this one."""
    upstream.shut()


@contextmanager
def signed_in(browser: Browser, served: Served, key: str) -> Iterator[BrowserContext]:
    """A script error or a breach of the page's policy fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(15_000)
    cookie: Any = {"name": "sessionid", "value": key, "url": served.url}
    context.add_cookies([cookie])
    problems: list[str] = []
    context.on("weberror", lambda error: problems.append(str(error.error)))
    context.on(
        "console", lambda message: problems.append(message.text) if "Content Security Policy" in message.text else None
    )
    yield context
    context.close()
    assert problems == []


@pytest.fixture
def context(browser: Browser, served: Served, keys: list[str]) -> Iterator[BrowserContext]:
    """Somebody new, signed in."""
    with signed_in(browser, served, keys.pop()) as context:
        yield context


@pytest.fixture
def page(context: BrowserContext, served: Served) -> Page:
    page = context.new_page()
    page.goto(served.url)
    return page


@pytest.fixture
def guest(browser: Browser, served: Served, keys: list[str]) -> Iterator[Page]:
    """Somebody else, in a browser of their own."""
    with signed_in(browser, served, keys.pop()) as context:
        page = context.new_page()
        page.goto(served.url)
        yield page


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    from PIL import Image

    path = tmp_path / "kettle.png"
    Image.new("RGB", (64, 48), "teal").save(path)
    return path
