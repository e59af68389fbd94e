"""Nothing that crosses the wire before a blind vote tells who wrote what: not to whom asked, not to others in the chat.

Every request, page, header and websocket frame of the browsers is kept and searched for the names of the models, and so
is what the admin's pages tell who administers. What may name them is what names every model there is, whatever was
asked: the list to pick from, and the asker's own question. That the search finds a name is shown after the vote.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from urllib.parse import urljoin

import pytest
from playwright.sync_api import Browser, Page, Response, WebSocket, expect

from tests.browser.conftest import BOASTS, FAILING
from tests.browser.reader import answers, ask, composer
from tests.browser.test_compare import choose_lanes, lane
from tests.browser.test_documents import FILE
from tests.browser.test_sharing import share
from tests.serving import ROOT, Served

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

FIGURES = re.compile(r"tok/s|to first|first_token|tokens_output|server-timing|finish_reason")
PICKERS = re.compile(r"<(model-picker|lane-list|select)\b.*?</\1>", re.DOTALL)
EARLIER = re.compile(r'<li class="turn answer done".*?</footer>', re.DOTALL)  # the answer before the comparison


class Wire:
    """All that one browser and the server said to each other since ``begin``."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.said: list[tuple[str, str]] = []
        page.on("response", self._answered)
        page.on("websocket", self._opened)

    def begin(self) -> None:
        self.said.clear()

    def fetch(self, path: str) -> int:
        answer = self.page.request.get(urljoin(self.page.url, path))
        self._keep(f"GET {path}", f"{answer.headers}\n{answer.text()}")
        return answer.status

    def look(self) -> None:
        """The page as it stands now, and its title."""
        self._keep("page", self.page.content())
        self._keep("title", self.page.title())

    def found(self, pattern: re.Pattern[str]) -> list[str]:
        """Where the pattern stands in what was said, and around what. Usage and exports tell what the earlier answer
        took."""
        return [
            f"{where}: …{said[max(0, hit.start() - 60) : hit.end() + 60]}…"
            for where, said in self.said
            if pattern is not FIGURES or not re.search(r"usage|export|admin", where)
            for hit in [pattern.search(EARLIER.sub("", PICKERS.sub("", said)))]
            if hit
        ]

    def _keep(self, where: str, said: str) -> None:
        self.said.append((where, said))

    def _answered(self, answer: Response) -> None:
        request = answer.request
        self._keep(f"{request.method} {request.url}", f"{request.url}\n{request.headers}\n{request.post_data or ''}")
        self._keep(f"answer of {request.url}", str(answer.headers))
        if answer.ok and answer.headers.get("content-type", "").startswith(("text/html", "application/json")):
            self._keep(f"body of {request.url}", answer.text())

    def _opened(self, socket: WebSocket) -> None:
        socket.on("framereceived", lambda data: self._keep("told", str(data)))
        socket.on("framesent", lambda data: self._keep("asked", str(data)))


@pytest.fixture
def owner(browser: Browser, served: Served) -> Iterator[Page]:
    made = subprocess.run(
        [sys.executable, "manage.py", "sign_in_link"],
        cwd=ROOT, env=served.environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    context = browser.new_context()
    page = context.new_page()
    page.goto(made.stdout.strip())
    expect(composer(page)).to_be_visible()
    yield page
    context.close()


def names(models: Sequence[str]) -> re.Pattern[str]:
    return re.compile("|".join([*(name.removeprefix("boast-") for name in models), "openai", "chatgpt"]), re.I)


def administer(wire: Wire, runs: Sequence[str | None]) -> None:
    for path in ("run/", *(f"run/{run}/change/" for run in runs), "loggeddecision/", "dailyusage/"):
        assert wire.fetch(f"/admin/router/{path}") == 200


def test_nothing_names_a_lane_before_the_vote(page: Page, guest: Page, owner: Page) -> None:
    ask(page, "Hello", model="echo")
    expect(answers(page).first).to_have_attribute("data-state", "done")
    share(page, guest, "read")
    wires, admin, secret = [Wire(page), Wire(guest)], Wire(owner), names(BOASTS)
    guest.goto(page.url)
    page.reload()
    choose_lanes(page, *BOASTS)
    page.get_by_role("button", name="Blind").click()
    for wire in wires:
        wire.begin()
    composer(page).fill("Who are you?")
    composer(page).press("Enter")
    guest.goto(page.url)  # one who comes in the middle
    for each in (page, guest):
        for letter in "AB":
            expect(lane(each, letter)).to_have_attribute("data-state", "done")
            expect(lane(each, letter)).to_contain_text("████████")
        assert each.locator(".board .mark, .board .m1, .board .m2, .board a[href*=runs]").count() == 0
    chat = page.url
    runs = [page.locator(".lane").nth(at).get_attribute("data-run") for at in range(2)]
    messages = [page.locator(".lane").nth(at).get_attribute("data-message") for at in range(2)]
    for wire in wires:
        wire.look()
        for path in ("", "history/", "export/md/", f"export/jsonl/?message={messages[0]}"):
            assert wire.fetch(f"{chat}{path}") == 200
        assert wire.fetch(f"{chat}history/?a={messages[0]}&b={messages[1]}") == 404
        for run in runs:
            for view in ("why/", "manifest.json", "answer.md"):
                assert wire.fetch(f"/runs/{run}/{view}") == 404
        for path in ("/", "/compare/", "/leaderboard/", "/account/usage/", "/account/usage/?format=csv", "/documents/"):
            assert wire.fetch(path) == 200
        wire.page.reload()
        expect(lane(wire.page, "B")).to_contain_text("████████")
        own = [(where, said) for where, said in wire.said if where == "asked" and '"compare"' in said]
        assert len(own) == (wire.page is page)
        wire.said = [one for one in wire.said if one not in own]
        assert len(wire.said) > 20 and any(where == "told" and "settled" in said for where, said in wire.said)
        assert wire.found(secret) == []
        assert wire.found(FIGURES) == []
    administer(admin, runs)
    assert admin.found(secret) == []

    page.locator("#title").click()
    page.keyboard.press("1")
    page.get_by_role("button", name=re.compile("^Vote")).click()
    for wire in wires:
        expect(wire.page.get_by_role("region", name="The lanes in figures")).to_contain_text(BOASTS[0])
        wire.page.reload()
        assert wire.found(secret) and wire.found(FIGURES)
    administer(admin, runs)
    assert {where for where, _ in admin.said if any(where in hit for hit in admin.found(secret))} >= {
        "GET /admin/router/run/", f"GET /admin/router/run/{runs[0]}/change/", "GET /admin/router/dailyusage/",
    }  # fmt: skip


def test_neither_evidence_nor_a_failure_names_a_lane(page: Page) -> None:
    page.get_by_role("link", name="Documents").click()
    page.get_by_label("Choose files").set_input_files([FILE])
    expect(page.get_by_role("row", name="hut").locator(".tag")).to_have_text("searchable by words")
    wire, secret = Wire(page), names(FAILING)
    page.get_by_role("link", name="New chat").click()
    documents = page.get_by_role("button", name="Documents")
    if documents.get_attribute("aria-pressed") == "false":
        documents.click()
    choose_lanes(page, *FAILING)
    page.get_by_role("button", name="Blind").click()
    wire.begin()
    composer(page).fill("Where does the key of the mountain hut hang?")
    composer(page).press("Enter")
    expect(page.locator(".lane[data-state=done]")).to_contain_text("████████")
    expect(page.locator(".lane[data-state=failed]")).to_contain_text("Why is told after the vote")
    expect(page.get_by_label("Evidence for every lane")).to_contain_text("hut")
    page.reload()
    expect(page.locator(".lane[data-state=failed]")).to_contain_text("Why is told after the vote")
    wire.look()
    own = [(where, said) for where, said in wire.said if where == "asked" and '"compare"' in said]
    wire.said = [one for one in wire.said if one not in own]
    assert any(where == "told" and "third beehive" in said for where, said in wire.said), "passages crossed the wire"
    assert wire.found(secret) == [] and wire.found(FIGURES) == []
    page.locator("#title").click()
    page.keyboard.press("0")
    page.keyboard.press("Enter")
    expect(page.locator(".lane[data-state=failed]")).to_contain_text("boast-broken-otter")
    wire.look()
    assert wire.found(secret)
