"""What a reader's browser pays: the first page, the way from Enter to the first token, and a whole stream."""

from __future__ import annotations

import statistics
import time
from typing import Any

from playwright.sync_api import Browser, CDPSession, Page

from tests.browser.chromium import chromium
from tests.serving import Served
from tests.upstream import log_of

STREAM = "pace-50-20-200"
FIRST_TOKEN = """() => {
  const composer = document.querySelector("chat-composer");
  const pressed = (event) => { if (event.key === "Enter") window.pressed = performance.now(); };
  composer.addEventListener("keydown", pressed, true);
  new MutationObserver(() => {
    const answer = [...document.querySelectorAll(".answer .prose")].at(-1);
    if (window.pressed && !window.seen && answer?.textContent.includes("@")) window.seen = performance.now();
  }).observe(document.body, { subtree: true, childList: true, characterData: true });
}"""
LATENCY = "() => window.seen && window.seen - window.pressed"


def measure(served: Served, upstream: str) -> dict[str, Any]:
    with chromium() as browser:
        context = browser.new_context(viewport={"width": 1280, "height": 800})
        page = context.new_page()
        page.goto(served.link)
        page.get_by_role("textbox", name="Message", exact=True).wait_for()
        state: Any = context.storage_state()
        url = served.link.partition("sign-in/")[0]  # the session's cookie belongs to this name
        found = first_page(browser, url, state)
        found["enter_to_first_token_over_upstream_ms"] = enter_to_first(page, url, upstream)
        found["main_thread_busy_percent"] = busy_share(page, url)
        context.close()
        return found


def first_page(browser: Browser, url: str, state: Any) -> dict[str, Any]:
    """With an empty cache, five times; each in a context of its own."""
    times: list[float] = []
    for _ in range(5):
        context = browser.new_context(storage_state=state)
        page = context.new_page()
        session = context.new_cdp_session(page)
        session.send("Network.enable")
        sizes: list[float] = []
        session.on("Network.loadingFinished", lambda event, sizes=sizes: sizes.append(event["encodedDataLength"]))
        begun = time.monotonic()
        page.goto(url, wait_until="commit")
        page.locator("chat-composer:defined textarea:not([disabled])").wait_for()
        times.append(1e3 * (time.monotonic() - begun))
        page.wait_for_load_state("networkidle")
        context.close()
    return {
        "first_page_kb": round(sum(sizes) / 1e3, 1),
        "requests": len(sizes),
        "usable_ms": round(statistics.median(times)),
    }


def enter_to_first(page: Page, url: str, upstream: str) -> float:
    times = []
    for number in range(7):
        page.goto(url)
        choose(page, "pace-50-20-8")
        log_of(upstream)
        page.evaluate(FIRST_TOKEN)
        ask(page, f"Say something. rid:page.{number}")
        page.wait_for_function(LATENCY)
        total = page.evaluate(LATENCY)
        line = next(line for line in log_of(upstream) if line["rid"] == f"page.{number}")
        times.append(total - 1e3 * (line["first"] - line["received"]))
    return round(statistics.median(times), 1)


def busy_share(page: Page, url: str) -> float:
    """Task time of the page's main thread, as a share of one paced stream."""
    page.goto(url)
    choose(page, STREAM)
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    ask(page, "Say something. rid:page.busy")
    page.wait_for_function("() => document.querySelector('.answer .prose')?.textContent.includes('@')")
    before = task_seconds(session)
    begun = time.monotonic()
    page.wait_for_timeout(3000)
    return round(100 * (task_seconds(session) - before) / (time.monotonic() - begun), 1)


def choose(page: Page, model: str) -> None:
    page.locator("model-picker button.chosen").click()
    page.get_by_role("option").and_(page.locator(f'[data-model="{model}"]')).click()


def ask(page: Page, text: str) -> None:
    field = page.get_by_role("textbox", name="Message", exact=True)
    field.fill(text)
    field.press("Enter")


def task_seconds(session: CDPSession) -> float:
    metrics = session.send("Performance.getMetrics")["metrics"]
    return float(next(m["value"] for m in metrics if m["name"] == "TaskDuration"))
