"""Every page, in both themes, held against axe's rules for WCAG 2.2 AA: nothing that a machine can find is wrong."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.browser.reader import answers, ask, composer, expect_state
from tests.browser.test_compare import choose_lanes, lane
from tests.browser.test_measure import FILE
from tests.serving import ROOT, Served
from tests.upstream import Upstream

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

RULES = {
    "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
}
COLOURS = {"runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}}  # what a theme changes
OURS = [
    "/", "/account/", "/account/usage/", "/account/tokens/", "/account/password/first/", "/account/app/",
    "/account/passkeys/new/", "/account/connected/", "/documents/", "/documents/search/?q=model", "/compare/",
    "/leaderboard/", "/personas/", "/import/", "/measure/", "/no/such/page/",
]  # fmt: skip
LANES = ("counting", "instant")
JUDGE = "judges-length"
LONG = "Huts of the mountains in the north, and how to reach them"  # a name that no phone has room for
HUT = {
    "name": "hut.md",
    "mimeType": "text/markdown",
    "buffer": b"# The hut\n\nThe key of the mountain hut hangs behind the third beehive. Wood lies under its eaves.\n",
}
ROOM: Any = {"viewport": {"width": 1280, "height": 900}, "bypass_csp": True}
SIZES = ((1440, 900), (390, 844))  # a wide screen and a phone
STANDS_OUT = "document.documentElement.scrollWidth - document.documentElement.clientWidth"  # pixels, at the side
OUTSIDE = ["/sign-in/", "/join/no-such-invitation/", "/sign-in/no-such-link/", "/sign-in/off/"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Served]:
    served = Served(tmp_path_factory.mktemp("axe"))
    served.people(1, upstream.url, [JUDGE])
    served.start()
    served.start_worker()
    yield served
    served.end()


@pytest.fixture(scope="module")
def admin_pages(site: Served) -> list[str]:
    made = subprocess.run(
        [sys.executable, "-m", "tests.admin.rows"],
        cwd=ROOT, env=site.environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found: list[str] = json.loads(made.stdout)
    return found


@pytest.fixture(scope="module")
def entered(browser: Browser, site: Served) -> Any:
    """The owner's cookies, of one sign-in for all."""
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(site.link)
        expect(composer(page)).to_be_visible()
        return context.storage_state()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """Of nobody who is signed in."""
    with browser.new_context(**ROOM) as context:
        context.set_default_timeout(15_000)
        yield context.new_page()


@pytest.fixture
def owner(browser: Browser, entered: Any) -> Iterator[Page]:
    with browser.new_context(**ROOM, storage_state=entered) as context:
        context.set_default_timeout(15_000)
        yield context.new_page()


def home(site: Served) -> str:
    """By the name that the sign-in link has: a cookie belongs to one."""
    return f"http://localhost:{site.port}"


def go(page: Page, site: Served, address: str) -> None:
    """There, and not at the door."""
    page.goto(home(site) + address)
    assert page.url.endswith(address), page.url


def wrong(page: Page, where: str = "") -> list[str]:
    """What axe finds in both themes, with the first element that shows it."""
    found = []
    for theme, rules in (("light", RULES), ("dark", COLOURS)):
        page.emulate_media(color_scheme=theme, reduced_motion="reduce")  # type: ignore[arg-type]
        for one in Axe().run(page, options=rules).response["violations"]:
            places = [node["target"][0] for node in one["nodes"]][:3]
            found.append(f"{where} {theme} {one['id']}: {one['help']} {places}")
    return found


def wrong_anywhere(page: Page, where: str) -> list[str]:
    """The same on a wide screen and on a phone, where nothing may stand beside the page either.

    Each is as high as its page: what the bars cover of a longer one is a matter of where it is scrolled to."""
    found = []
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        high = page.evaluate("document.documentElement.scrollHeight")
        page.set_viewport_size({"width": width, "height": high})
        if (over := page.evaluate(STANDS_OUT)) > 0:
            found.append(f"{where} {width} wide: {over} pixels stand out at the side")
        found += wrong(page, f"{where} {width}")
    return found


def test_pages_for_nobody_yet(page: Page, site: Served) -> None:
    found = []
    for address in OUTSIDE:
        page.goto(home(site) + address)
        found += wrong(page, address)
    assert not found, "\n".join(found)


def test_pages_of_a_person(owner: Page, site: Served) -> None:
    found = []
    for address in OURS:
        go(owner, site, address)
        found += wrong(owner, address)
    assert not found, "\n".join(found)


def test_a_chat_with_an_answer(owner: Page, site: Served) -> None:
    owner.goto(home(site))
    ask(owner, "How does Onepane stay up?", model="quotes")
    expect_state(answers(owner).first, "done")
    assert not (found := wrong(owner, "chat")), "\n".join(found)


def test_a_comparison_its_difference_and_its_history(owner: Page, site: Served) -> None:
    owner.goto(home(site))
    choose_lanes(owner, *LANES)
    composer(owner).fill("Which is it?")
    composer(owner).press("Enter")
    expect(owner.get_by_role("region", name="The lanes in figures")).to_be_visible()
    owner.get_by_role("button", name="Good answer, lane A").click()
    expect(owner.get_by_role("group", name="Why lane A is good")).to_be_visible()
    owner.get_by_role("button", name="Add a lane").click()
    owner.locator(f'[role=option][data-model="{LANES[0]}"]').click()
    owner.get_by_role("form", name="Add a lane").get_by_label("Settings of this lane").click()
    owner.get_by_role("button", name="Fuse all lanes").click()
    found = wrong_anywhere(owner, "comparison")
    owner.goto(owner.url + "history/")
    found += wrong(owner, "history")
    owner.locator("chat-map li.row .more").first.click(force=True)
    found += wrong(owner, "what can be done with a row")
    owner.keyboard.press("Escape")
    ids = [owner.locator("chat-map li.row").filter(has_text=one).get_attribute("data-message") for one in LANES]
    history = owner.url.partition("?")[0]
    pair = f"?a={ids[0]}&b={ids[1]}"
    for query in (pair, f"{pair}&view=side", f"{pair}&of=branches", "?show=steps", "?show=checkpoints"):
        owner.goto(history + query)
        owner.locator("details").evaluate_all("all => all.forEach((one) => { one.open = true; })")
        found += wrong(owner, f"history {query}")
    freeze = history.partition("/history/")[0].removeprefix(home(site)) + "/freeze/"
    for address in ("/compare/", freeze):
        go(owner, site, address)
        found += wrong_anywhere(owner, address)
    assert not found, "\n".join(found)


def test_a_blind_comparison_before_its_vote_and_after(owner: Page, site: Served) -> None:
    owner.goto(home(site))
    choose_lanes(owner, *LANES)
    owner.get_by_role("button", name="Blind").click()
    found = wrong_anywhere(owner, "lanes that are chosen")
    composer(owner).fill("Which is it?")
    composer(owner).press("Enter")
    for letter in "AB":
        expect(lane(owner, letter)).to_have_attribute("data-state", "done")
    owner.locator("#title").click()
    owner.keyboard.press("1")
    found += wrong_anywhere(owner, "blind, before the vote")
    owner.get_by_role("button", name="Vote for A").click()
    expect(owner.get_by_role("region", name="The lanes in figures")).to_contain_text("vote kept as blind")
    found += wrong_anywhere(owner, "blind, after the vote")
    assert not found, "\n".join(found)


def test_a_leaderboard_of_many_votes(owner: Page, site: Served) -> None:
    subprocess.run([sys.executable, "-m", "tests.chat.votes"], cwd=ROOT, env=site.environment, check=True)
    found = []
    for query in ("", "?votes=sighted&by=settings&held=style", "?topic=code"):
        go(owner, site, f"/leaderboard/{query}")
        expect(owner.get_by_role("row", name=re.compile("counting")).first).to_be_visible()
        found += wrong_anywhere(owner, f"leaderboard {query}")
    expect(owner.get_by_role("img", name=re.compile("Strength and"))).to_have_count(2)
    assert not found, "\n".join(found)


def begin(owner: Page, *models: str, judge: str = "", again: str = "") -> None:
    """A measurement, by its form."""
    form = owner.get_by_role("form", name="New measurement")
    form.get_by_label("A file: JSON Lines").set_input_files([FILE])
    for model in models:
        form.get_by_label(model, exact=True).check()
    if not form.get_by_label("A model that judges").is_visible():
        owner.get_by_text("More: repeats").click()
    form.get_by_label("A model that judges").select_option(judge)
    form.get_by_label("It says which of two answers is better").set_checked(bool(judge))
    form.get_by_label("Again").select_option(again)
    form.get_by_role("button", name="Start").click()


def test_a_report_of_a_measurement_and_what_it_leads_to(owner: Page, site: Served) -> None:
    go(owner, site, "/measure/")
    owner.get_by_text("More: repeats").click()
    found = wrong_anywhere(owner, "a new measurement")
    for judge in ("", JUDGE):
        go(owner, site, "/measure/")
        begin(owner, "counting", "quotes", "err400", judge=judge)
        expect(owner.locator(".going")).to_have_count(0, timeout=60_000)
        expect(owner.get_by_role("heading", name="Where they differ")).to_be_visible()
    expect(owner.get_by_role("heading", name=f"Which answer is better, says {JUDGE}")).to_be_visible()
    owner.get_by_text("Export").click()
    found += wrong_anywhere(owner, "report")
    report = owner.url.removeprefix(home(site))
    owner.set_viewport_size({"width": SIZES[0][0], "height": SIZES[0][1]})
    owner.get_by_role("link", name="Compare with the run before").click()
    expect(owner.get_by_role("heading", name="Beside the run")).to_be_visible()
    found += wrong_anywhere(owner, "two reports")
    for address in ("items/", "items/?show=differ", "items/2/"):
        go(owner, site, report + address)
        found += wrong_anywhere(owner, address)
    expect(owner.get_by_role("heading", name=f"Which answer is better, says {JUDGE}")).to_be_visible()
    assert not found, "\n".join(found)


def test_a_measurement_on_its_way_one_that_is_paused_and_the_list_of_them(
    owner: Page, site: Served, upstream: Upstream
) -> None:
    go(owner, site, "/measure/")
    begin(owner, "gated", "counting")
    expect(owner.locator(".going")).to_contain_text("running")
    found = wrong_anywhere(owner, "on its way")
    owner.get_by_role("button", name="Pause").click()
    upstream.shut()  # ends whoever waits, and with it the answer on its way
    expect(owner.get_by_role("button", name="Go on")).to_be_visible()
    found += wrong_anywhere(owner, "paused")
    go(owner, site, "/measure/")
    begin(owner, "counting", again="24")
    expect(owner.get_by_role("heading", name="Again and again")).to_be_visible()
    found += wrong_anywhere(owner, "what is measured")
    owner.get_by_role("button", name="End it").click()
    assert not found, "\n".join(found)


def test_a_replay_its_report_and_a_shared_branch(owner: Page, site: Served) -> None:
    owner.goto(home(site))
    ask(owner, "Count.", model="counting")
    expect_state(answers(owner).first, "done")
    chat = owner.url.partition("?")[0].partition("#")[0]
    owner.goto(f"{chat}replay/")
    expect(owner.get_by_role("button", name="Replay", exact=True)).to_be_visible()
    found = wrong(owner, "what can be replayed")
    owner.get_by_role("button", name="Replay", exact=True).click()
    expect(owner.get_by_text("the same, byte for byte").first).to_be_visible()
    found += wrong(owner, "what drifted")
    owner.goto(f"{chat}links/")
    owner.get_by_role("button", name="Make a link").click()
    link = owner.locator("#made")
    expect(link).to_be_visible()
    found += wrong(owner, "links")
    owner.goto(link.input_value())
    expect(owner.get_by_text("word15")).to_be_visible()
    found += wrong(owner, "a branch that is shared")
    assert not found, "\n".join(found)


def test_what_came_of_an_import(owner: Page, site: Served, tmp_path: Path) -> None:
    found = []
    good = [{"name": "Tea", "uuid": "1", "chat_messages": [{"uuid": "a", "sender": "human", "text": "Why?"}]}]
    for name, text, words in (("broken.json", "{", "not JSON"), ("good.json", json.dumps(good), "1 chat")):
        go(owner, site, "/import/")
        (tmp_path / name).write_text(text)
        owner.locator("input[type=file]").set_input_files(tmp_path / name)
        owner.get_by_role("button", name="Import", exact=True).click()
        expect(owner.locator("main")).to_contain_text(words)
        found += wrong(owner, name)
    assert not found, "\n".join(found)


def test_a_collection_its_documents_and_what_a_search_finds_in_it(owner: Page, site: Served) -> None:
    go(owner, site, "/documents/")
    owner.get_by_placeholder("New collection").fill(LONG)
    owner.get_by_role("button", name="Make it").click()
    broken = {"name": "broken.pdf", "mimeType": "application/pdf", "buffer": b"none"}
    owner.get_by_label("Into").first.select_option(index=1)
    owner.get_by_label("Choose files").set_input_files([HUT, broken])
    expect(owner.get_by_role("row", name="hut").locator(".tag")).to_have_text("searchable by words")
    expect(owner.get_by_text("the file is none")).to_be_visible()
    owner.evaluate("() => document.querySelectorAll('main details').forEach((one) => { one.open = true; })")
    found = wrong(owner, "documents and a collection")
    owner.get_by_role("row", name="hut").get_by_role("link").click()
    expect(owner.locator("main").get_by_text("third beehive").first).to_be_visible()
    found += wrong(owner, "document")
    go(owner, site, "/documents/search/?q=key")
    owner.locator("select[name=collection]").select_option(label=LONG)
    owner.get_by_role("button", name="Search", exact=True).click()
    owner.locator("table.scores a").first.wait_for()
    owner.get_by_role("button", name="Test", exact=True).click()
    expect(owner.get_by_role("region", name="Tests")).to_be_visible()
    found += wrong(owner, "search and self-test")
    owner.set_viewport_size({"width": 390, "height": 844})
    for address in ("/", "/documents/", "/documents/search/?q=key"):
        owner.goto(home(site) + address)
        assert owner.evaluate(STANDS_OUT) <= 0, address
        if address == "/":  # with a choice of collections, as much as may stand beside it
            expect(owner.get_by_role("button", name="Send", exact=True)).to_be_in_viewport(ratio=1)
    owner.locator("table.scores a").first.click()
    expect(owner.locator("#passage").first).to_be_visible()
    found += wrong(owner, "document at a passage")
    assert not found, "\n".join(found)


def test_every_page_of_the_admin(owner: Page, site: Served, admin_pages: list[str]) -> None:
    assert len(admin_pages) > 40
    found = []
    for address in admin_pages:
        go(owner, site, address)
        found += wrong(owner, address)
    assert not found, "\n".join(found)


def test_a_page_that_is_wrong_would_be_found(page: Page) -> None:
    """The premise of the tests above."""
    page.set_content("<main><h1>x</h1><img src=x><input></main>")
    assert len(wrong(page)) >= 4
