"""Two people with two tabs each do to one chat what chance has them do, over real websockets and pages, all at once.

An answer that broke off when the server stopped is gone on with by all four at once, and once.

In the end no message is lost, every tab has heard how every answer on its path ended and shows by that alone what a
page does that is opened now, both tabs of a person show the same thread, and the chain of digests verifies.
"""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.faults.talk import Talk, rows, wait_for_journal
from tests.serving import ROOT, Served
from tests.upstream import WORDS, Upstream

TURN = re.compile(r'<li class="turn[^>]*id="(m-[0-9a-f-]{36}|board-[0-9a-f-]{36})"[^>]*>')
AT = re.compile(r'data-at="([0-9a-f-]{36})"')
OURS = """
    SELECT id FROM chat_message WHERE role = 'model' AND origin_id IS NULL AND settled
    AND chat_id NOT IN (SELECT chat_id FROM chat_imported)
    AND run_id NOT IN (SELECT run_id FROM chat_replayed WHERE run_id IS NOT NULL)
"""  # answers that were asked for here: what is kept of a replay, or comes as a file or a copy, settles beside the chat
MESSAGE = re.compile(r'data-message="([0-9a-f-]{36})"')


@dataclass(frozen=True)
class Turn:
    """What stands in a thread; ``at`` is the message that a question below it follows."""

    id: str
    messages: frozenset[str]
    at: str


def turns(html: str) -> list[Turn]:
    tags = list(TURN.finditer(html))
    found = []
    for tag, after in zip_longest(tags, tags[1:]):
        messages = MESSAGE.findall(html[tag.start() : after.start() if after else len(html)])
        at = AT.search(tag[0])
        found.append(Turn(tag[1], frozenset(messages), at[1] if at else tag[1].removeprefix("m-")))
    return found


class Thread:
    """What a tab shows, by the frames alone that it heard, as ``chat-thread.js`` has it."""

    def __init__(self, reload: Callable[[str], str]) -> None:
        self._reload = reload
        self.turns: list[Turn] = []

    def redraw(self) -> None:
        self.turns = turns(self._reload(self.turns[0].at if self.turns else ""))

    def hear(self, frame: dict[str, Any]) -> None:
        match frame["type"]:
            case "changed":
                self.redraw()
            case "moved" if not self._has(frame["tip"]):
                self.redraw()
            case "started" if not self._has(frame["answer"]):
                self._begun(frame, Turn(f"m-{frame['answer']}", frozenset([frame["answer"]]), frame["answer"]))
            case "compared":
                [board] = turns(frame["html"])
                if board.id not in [turn.id for turn in self.turns]:
                    self._begun(frame, board)

    def _begun(self, frame: dict[str, Any], turn: Turn) -> None:
        parent, question, sibling = frame["parent"], frame["question"], frame.get("sibling_of")
        tip = self.turns[-1].at if self.turns else None
        if question and parent == tip:
            asked = Turn(f"m-{question['id']}", frozenset([question["id"]]), question["id"])
            self.turns += [asked, turn]
        elif self._has(sibling) if sibling else not parent or self._has(parent):
            self.redraw()

    def _has(self, message: str) -> bool:
        return any(message in turn.messages for turn in self.turns)


class Tab:
    """One tab: a socket that listens, and the pages it asks for. It keeps what it heard begin and end."""

    def __init__(self, served: Served, key: str, seed: int) -> None:
        self.chance = random.Random(seed)
        self.chat = ""
        self.asked: set[str] = set()  # client ids
        self.begun: dict[str, str] = {}  # client id or run -> answer
        self.refused: dict[str, str] = {}
        self.ended: dict[str, str] = {}  # answer -> state
        self.changed = self.followed = 0
        self.tip = ""
        self.replay = ""  # the address of its report
        self._served, self._key = served, key
        self.browser = httpx.Client(base_url=served.url, cookies={"sessionid": key}, timeout=30)
        self.browser.get("/")
        self._listener = httpx.Client(base_url=served.url, cookies=self.browser.cookies, timeout=30)
        self.headers = {"X-CSRFToken": self.browser.cookies["csrftoken"], "Referer": served.url}
        self.shown = Thread(self._place)

    def __enter__(self) -> Tab:
        self.talk = Talk(self._served, self._key).__enter__()
        self._ended = threading.Event()
        self._ear = threading.Thread(target=self._listen, daemon=True)
        return self

    def __exit__(self, *_: Any) -> None:
        self._ended.set()
        self.talk.__exit__(None, None, None)
        if self._ear.is_alive():
            self._ear.join(timeout=35)
        self.browser.close()
        self._listener.close()

    def open(self, chat: str) -> None:
        self.chat = chat
        self.talk.send("open", chat=chat, seen={})
        self.talk.until("opened")
        self.shown.redraw()
        self._ear.start()

    def act(self) -> None:
        """One thing that somebody does: mostly asks and retries, then the history's own."""
        known = self.messages()
        deeds = [
            "send",
            "send",
            "edit",
            "retry",
            "switch",
            "prune",
            "restore",
            "merge",
            "flag",
            "star",
            "undo",
            "compare",
            "fork",
            "link",
            "replay",
            "keep",
            "continue",
            "import",
        ]
        deed, one = self.chance.choice(deeds), self.chance.choice(known or [""])
        if not known:  # all of it is pruned: there is nothing to do but to begin again
            deed = "send"
        match deed:
            case "send" | "edit":
                parents = [""] if not known else [self.tip, one]
                self._ask(
                    "send", parent=parents[deed == "edit" and len(parents) > 1] or None, text=f"Say {len(self.asked)}"
                )
            case "retry":
                self._ask("retry", message=one)
            case "compare":
                self._ask(
                    "compare", parent=self.tip or None, text="Which?", lanes=[{"model": "counting"}, {"model": "echo"}]
                )
            case "switch":
                self.post("place/", message=one)
            case "prune" | "restore" | "star":
                self.post("branch/", message=one, do=deed)
            case "merge":
                self.post("merge/", message=one, whole=self.chance.choice(["", "1"]))
            case "fork":
                self.post("fork/", message=one)
            case "link":
                self.post("links/", message=one, days="7")
            case "replay":
                self.make_again(one)
            case "keep" if self.replay:
                self.keep()
            case "continue":
                self.go_on(one)
            case "import":
                self.bring_in()
            case "flag":
                self.post("checkpoints/", message=one, name=f"Flag {len(self.asked)}")
            case "undo":
                steps = re.findall(r"/steps/([0-9a-f-]{36})/undo/", self.get("history/?show=steps"))
                if steps:
                    self.post(f"steps/{self.chance.choice(steps)}/undo/")

    def go_on(self, answer: str) -> None:
        self.talk.send("continue", chat=self.chat, message=answer)

    def make_again(self, answer: str) -> None:
        begun = self.post("replay/", refused=400, answer=answer)
        self.replay = begun.headers.get("location", self.replay)

    def keep(self) -> bool:
        """Bring what was made again into the chat; False while it is not there."""
        kept = self.post(self.replay.removeprefix(f"/c/{self.chat}/"), refused=400, keep="0")
        return kept.status_code == 302

    def bring_in(self) -> None:
        """The chat as it is now, as one more of their own; the same file comes in once."""
        files = {"file": ("chat.jsonl", self.get("export/jsonl/").encode(), "application/jsonl")}
        response = self.browser.post("/import/", files=files, headers=self.headers)
        assert response.status_code == 200, re.findall(r'role="alert".*', response.text)

    def begin_anew(self) -> None:
        """A new beginning of the chat: the other person goes on where they stand."""
        self._ask("send", parent=None, text="Begin anew")

    def thread(self) -> list[str]:
        """The thread as a page that is opened now shows it."""
        return [turn.id for turn in turns(self.get(""))]

    def shows_it(self) -> bool:
        """The page may begin further down."""
        thread = self.thread()
        return [turn.id for turn in self.shown.turns][-len(thread) :] == thread

    def messages(self) -> list[str]:
        page = self.get("")
        found = re.search(r'data-tip="([0-9a-f-]{36})"', page)
        self.tip = found[1] if found else ""
        return list(dict.fromkeys(MESSAGE.findall(page)))

    def get(self, address: str) -> str:
        response = self.browser.get(f"/c/{self.chat}/{address}")
        assert response.status_code == 200, response.text[:500]
        return response.text

    def post(self, address: str, *, refused: int = 404, **data: str) -> httpx.Response:
        """Refused in words where it can't be done, never broken."""
        response = self.browser.post(f"/c/{self.chat}/{address}", data=data, headers=self.headers)
        assert response.status_code in (200, 302, 403, 404, refused), f"{address} {data}: {response.status_code}"
        return response

    def _place(self, since: str) -> str:
        """In the ear's thread, beside what the tab does."""
        response = self._listener.post(f"/c/{self.chat}/place/", data={"since": since}, headers=self.headers)
        assert response.status_code == 200, response.text[:500]
        return response.text

    def _ask(self, kind: str, **fields: Any) -> None:
        client_id = str(uuid.uuid4())
        self.asked.add(client_id)
        model = {} if kind == "compare" else {"model": self.chance.choice(["counting", "echo", "instant"])}
        self.talk.send(kind, client_id=client_id, chat=self.chat, **model, **fields)

    def _listen(self) -> None:
        while not self._ended.is_set():
            try:
                frame = json.loads(self.talk._socket.recv(timeout=0.2))
            except TimeoutError:
                continue
            except Exception:
                return
            self._hear(frame)

    def _hear(self, frame: dict[str, Any]) -> None:
        self.shown.hear(frame)
        match frame["type"]:
            case "started":
                self.begun[frame["client_id"] or frame["run"]] = frame["answer"]
            case "compared":
                for answer in MESSAGE.findall(frame["html"]):
                    self.begun[f"{frame['client_id']} {answer}"] = answer
            case "settled":
                self.ended[frame["answer"]] = frame["state"]
            case "refused":
                self.refused[frame["client_id"]] = frame["code"]
            case "changed":
                self.changed += 1
            case "moved":
                self.followed += 1


@pytest.mark.parametrize(
    ("steps", "seconds"),
    [
        pytest.param(12, 15, id="15s", marks=pytest.mark.timeout(300)),
        pytest.param(10_000, 120, id="120s", marks=[pytest.mark.soak, pytest.mark.timeout(900)]),
    ],
)
def test_no_message_is_lost_and_all_tabs_end_equal(
    tmp_path: Path, upstream: Upstream, steps: int, seconds: int
) -> None:
    served = Served(tmp_path)
    keys = served.people(2, upstream.url)
    try:
        served.start()
        with Talk(served, keys[0]) as talk:
            talk.ask("Begin", model="counting")
            chat = talk.until("started")["chat"]
            first = talk.until("settled")["answer"]
            talk.ask("Count", model="gated", chat=chat, parent=first)
            half = talk.until("started")["answer"]
            upstream.release(3)
            wait_for_journal(served, "word3 ")
            served.stop()
        served.start()
        served.start_worker()
        upstream.release(100_000)  # a replay of it is not held up either
        share(served, keys[0], chat)
        with (
            Tab(served, keys[0], 1) as a,
            Tab(served, keys[0], 2) as b,
            Tab(served, keys[1], 3) as c,
            Tab(served, keys[1], 4) as d,
        ):
            tabs = [a, b, c, d]
            for tab in tabs:
                tab.open(chat)
            for tab in tabs:
                tab.go_on(half)
            until(lambda: all(tab.ended.get(half) == "done" for tab in tabs), 60)
            with ThreadPoolExecutor(4) as pool:
                list(pool.map(lambda tab: edit(tab, steps, seconds), tabs))
            for tab in (a, c):  # chance may not have come to these
                tab.make_again(first)
                until(tab.keep, 60)
                tab.bring_in()
            settle(served, tabs, before=first)
            for tab in (a, c):  # last of all what no other frame comes after that would have all tabs look again
                tab.begin_anew()
                settle(served, tabs, before=first)
            whole(served, tabs)
        of = "SELECT text FROM router_run WHERE id = (SELECT run_id FROM chat_message WHERE id = ?)"
        [(text,)] = rows(served, of, uuid.UUID(half).hex)
        assert text == "".join(f"word{number} " for number in range(1, WORDS + 1)), "one of them went on, once"
    finally:
        served.end()


def edit(tab: Tab, steps: int, seconds: float) -> None:
    end = time.monotonic() + seconds
    for _ in range(steps):
        if time.monotonic() > end:
            return
        tab.act()


def settle(served: Served, tabs: list[Tab], *, before: str) -> None:
    """Until every frame is answered and every answer has ended, here and in every tab; none of them heard ``before``,
    which had ended when they opened."""
    deadline = time.monotonic() + 60
    while True:
        [(live,)] = rows(served, "SELECT COUNT(*) FROM router_run WHERE state IN ('running', 'queued')")
        ended = {str(uuid.UUID(str(id))) for (id,) in rows(served, OURS)} - {before}
        answered = all(one in tab.refused or one in heard(tab) for tab in tabs for one in tab.asked)
        missing = [ended - set(tab.ended) for tab in tabs]
        if not live and answered and not any(missing):
            return
        assert time.monotonic() < deadline, (live, answered, missing)
        time.sleep(0.1)


def until(holds: Callable[[], bool], seconds: float = 20) -> None:
    """What was told last may still be on its way."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def heard(tab: Tab) -> set[str]:
    return {name.split()[0] for name in tab.begun}


def whole(served: Served, tabs: list[Tab]) -> None:
    stored = {str(uuid.UUID(str(id))) for (id,) in rows(served, "SELECT id FROM chat_message WHERE role = 'model'")}
    for tab in tabs:
        assert set(tab.begun.values()) <= stored, "what a tab heard begin is there"
        assert set(tab.begun.values()) <= set(tab.ended), "and it heard how it ended"
    assert all(tab.begun.values() and tab.changed and tab.followed for tab in tabs)
    ends = [tab.ended for tab in tabs]
    assert all(one == ends[0] for one in ends), "all tabs heard the same"
    until(lambda: all(tab.shows_it() for tab in tabs))
    threads = [tab.thread() for tab in tabs]
    assert threads[0] == threads[1] and threads[2] == threads[3], "both tabs of a person stand together"
    kinds = {kind for (kind,) in rows(served, "SELECT DISTINCT kind FROM chat_step")}
    assert len(kinds) >= 4 and "kept" in kinds, kinds
    said = subprocess.run(
        [sys.executable, "manage.py", "verify_history"],
        cwd=ROOT, env=served.environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert said.returncode == 0, said.stdout + said.stderr


def share(served: Served, key: str, chat: str) -> None:
    with httpx.Client(base_url=served.url, cookies={"sessionid": key}) as browser:
        browser.get("/")
        headers = {"X-CSRFToken": browser.cookies["csrftoken"], "Referer": served.url}
        data = {"name": "person1", "rights": "write"}
        assert browser.post(f"/c/{chat}/share/", data=data, headers=headers).status_code == 200
