"""What goes wrong at a provider, and what a person gets: every fault, through a whole server, over a real connection.

The table below is the promise. Each fault is met twice: by a route that has a spare (``counting``, at another
provider), and by a person who chose that very model, in whose place nothing else answers.
"""

from __future__ import annotations

import html
import json
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest

from tests.faults.talk import Talk, rows
from tests.faults.test_bad_input import expect_next_works, key_of
from tests.serving import PRICE, Served
from tests.upstream import COUNTED, MODELS, Upstream
from tests.upstream import words as words_of

pytestmark = pytest.mark.timeout(120)


def counted(said: int = 0) -> str:
    return "".join(words_of(said, COUNTED))


TEN = "".join(f"part{number} " for number in range(1, 11))
HALF = "".join(words_of(0, 10))
NOBODY, SPARE = "", "counting"


@dataclass(frozen=True)
class Row:
    """``failures`` are the codes of its calls that failed, the first and its retry; ``cause`` is what a person reads;
    ``said`` the words it had said; ``routed`` who answers by the route, and ``chosen`` who when it was chosen."""

    failures: str
    cause: str
    said: str = ""
    routed: str = SPARE
    chosen: str = NOBODY


# fmt: off
TABLE = {
    "err401":     Row("auth",                      "refused the key"),
    "err400":     Row("bad_request",               "refused the request", routed=NOBODY),
    "unsafe":     Row("refused_content",           "refused to answer this", routed=NOBODY),
    "toolong":    Row("context_overflow",          "longer than the model's window"),
    "err429":     Row("rate_limited rate_limited", "takes no more requests"),  # asks for 1 s: waited for
    "err429long": Row("rate_limited",              "takes no more requests"),  # asks for 60 s: nobody waits so long
    "err429bare": Row("rate_limited rate_limited", "takes no more requests"),
    "err500":     Row("server_error server_error", "The provider failed"),
    "html502":    Row("server_error server_error", "The provider failed"),
    "oom":        Row("out_of_memory",             "ran out of memory"),
    "hang":       Row("timeout",                   "did not answer in time"),
    "hang10":     Row("timeout",                   "did not answer in time", said=TEN),
    "cut0":       Row("cut_off cut_off",           "connection broke"),
    "cut":        Row("cut_off cut_off",           "connection broke", said=TEN),  # its retry says the same once more
    "cutonce":    Row("cut_off",                   "connection broke", said=HALF, routed="cutonce", chosen="cutonce"),
    "garbage":    Row("garbage",                   "can't be read", said="one two three "),
    "slowfirst":  Row("",                          "", routed="slowfirst", chosen="slowfirst"),
}
# fmt: on

ROUTES = json.dumps(
    {
        "routes": [
            {"name": fault, "condition": f'contains(prompt, "<{fault}>")', "model": fault, "fallbacks": [SPARE]}
            for fault in TABLE
        ],
        "fallback": SPARE,
    }
)


@pytest.fixture(scope="module")
def people() -> list[str]:
    return []


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream, people: list[str]) -> Iterator[Served]:
    """Of its own: what another test had found out of a model's health would change the rows."""
    served = Served(tmp_path_factory.mktemp("faults"), FIRST_TOKEN_DEADLINE="2", IDLE_DEADLINE="1")
    people += served.people(len(TABLE), upstream.url, routes=ROUTES)
    yield served.start()
    served.end()


@dataclass(frozen=True)
class Answered:
    """What a person saw, and what was stored."""

    frames: list[dict[str, Any]]
    state: str
    text: str
    failure: dict[str, Any] | None
    manifest: dict[str, Any]
    cost: Decimal
    why: str

    @property
    def page(self) -> str:
        return html.unescape(self.frames[-1]["html"])

    def told(self, type: str) -> list[str]:
        return [frame["text"] for frame in self.frames if frame["type"] == type]


def test_every_fault_of_the_upstream_has_its_row() -> None:
    sound = {"instant", "paced", "md", "cites", "vision", "echo", "gated", "counting", "unsteady"}
    assert TABLE.keys() == MODELS.keys() - sound


@pytest.mark.parametrize("fault", TABLE)
def test_a_fault_and_what_comes_of_it(server: Served, people: list[str], fault: str) -> None:
    row, key = TABLE[fault], people.pop()
    with Talk(server, key) as talk:
        routed = ask(server, key, talk, f"Say something, please. <{fault}>")
        expect(routed, row, fault, by=row.routed)
        expect_next_works(talk)
        chosen = ask(server, key, talk, "Say something, please.", model=fault)
        expect(chosen, row, fault, by=row.chosen)
        expect_next_works(talk)


def expect(found: Answered, row: Row, fault: str, *, by: str) -> None:
    codes = row.failures.split()
    attempts = found.manifest["attempts"]
    # Every call is recorded and billed, and the run costs what they cost together.
    assert [(a["model"], (a["failure"] or {}).get("code")) for a in attempts] == [
        *((fault, code) for code in codes),
        *([(by, None)] if by else []),
    ]
    assert found.cost == sum(Decimal(a["cost"]) for a in attempts)
    assert all(Decimal(a["cost"]) == PRICE * Decimal(tokens(a)) / 1_000_000 for a in attempts)
    assert tokens(attempts[-1]) > 0 or not by
    # Nothing that was said is lost, and nothing is said twice.
    if by == "slowfirst":
        assert found.text.count("@") == 16
    else:
        assert found.text == row.said + (counted(len(row.said.split())) if by else "")
    # The person is told: what failed while it goes on, who went on after which word, or what to do now.
    assert len(found.told("failing")) == len(codes) - (not by)
    assert all(row.cause in text for text in found.told("failing"))
    if by:
        assert (found.state, found.failure) == ("done", None)
        assert found.manifest["model"] == by and f">{by}<" in found.page
        if row.said:
            who = "it" if by == fault else by
            line = f"{fault} broke off after {len(row.said.split())} words; {who} went on."
            assert line in found.page and any("broke off" in text for text in found.told("step"))
    else:
        assert found.state == "failed" and found.failure and found.failure["code"] == codes[-1]
        assert row.cause in found.failure["cause"]
        assert found.failure["cause"] in found.page and found.failure["action"] in found.page
        assert "Retry with another model" in found.page
    assert found.why.count("<td>" + fault + "</td>") >= len(codes)


def tokens(attempt: dict[str, Any]) -> int:
    return int(attempt["usage"]["input"]) + int(attempt["usage"]["output"])


def ask(served: Served, key: str, talk: Talk, text: str, *, model: str = "") -> Answered:
    talk.ask(text, model=model)
    frames = talk.all_until("settled", "refused")
    assert frames[-1]["type"] == "settled", frames[-1]
    run = frames[-1]["run"]
    [(state, said, failure, manifest, cost)] = rows(
        served, "SELECT state, text, failure, manifest, cost FROM router_run WHERE id = ?", key_of(served, run)
    )
    return Answered(
        frames=frames,
        state=state,
        text=said,
        failure=read(failure),
        manifest=read(manifest) or {},
        cost=Decimal(str(cost)).quantize(Decimal("1e-8")),
        why=why_page(served, key, frames),
    )


def why_page(served: Served, key: str, frames: list[dict[str, Any]]) -> str:
    request = urllib.request.Request(
        f"{served.url}/runs/{frames[-1]['run']}/why", headers={"Cookie": f"sessionid={key}"}
    )
    with urllib.request.urlopen(request, timeout=20) as page:
        return str(page.read().decode())


def read(stored: Any) -> dict[str, Any] | None:
    """PostgreSQL gives JSON as values, SQLite as text."""
    return json.loads(stored) if isinstance(stored, str) else stored
