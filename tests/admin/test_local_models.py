"""Local models in the admin: added, seen in every state, loaded, pinned, unloaded; the host is a scripted one here.

``tests/hosts`` holds the real host to the same words.
"""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils.html import strip_tags

from workspace.accounts.models import Person
from workspace.audit.models import AuditEntry
from workspace.hosts import link
from workspace.providers.models import LanguageModel

COMMIT = "c" * 40
GIB = 2**30
ESTIMATE = {"device": "cpu", "precision": "float32", "context": 2048, "answers": 1, "weights": 8_000_000,
            "cache": 600_000, "working": 400_000, "budget": 8 * GIB, "room": 6 * GIB, "turns": [],
            "fits": True}  # fmt: skip


def row(model: str, **values: Any) -> dict[str, Any]:
    plain = {"cached": False, "pinned": False, "state": "unloaded", "why": "", "progress": 0.0, "disk": 4_000_000,
             "memory": 0, "answering": 0, "window": 2048, "estimate": ESTIMATE, "here": True, "precision": "",
             "device": "", "is_folder": model.startswith("/"), "task": "chat"}  # fmt: skip
    return {"model": model, **plain, **values}


class ScriptedHost:
    """What a host would say, and what it was asked."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.here = {"/models/orchard": f"/models/orchard@{'d' * 12}", "club/cached": f"club/cached@{COMMIT}",
                     "club/seeing": f"club/seeing@{COMMIT}", "club/vectors": f"club/vectors@{COMMIT}"}  # fmt: skip
        self.hub = {"club/remote": f"club/remote@{COMMIT}"}
        self.asked: list[tuple[str, str]] = []
        self.sizes: list[dict[str, int]] = []
        self.tries = [ESTIMATE]
        self.gone = False
        self.restarts = 0
        self.devices = [{"device": "cpu", "budget": 8 * GIB, "free": 6 * GIB}]

    async def models(self, also: list[str]) -> dict[str, Any]:
        if self.gone:
            raise link.HostUnavailable("the model host is not there yet")
        known = [each["model"] for each in self.rows]
        rows = self.rows + [row(name) for name in also if name not in known]
        life = {"memory": 500 * 2**20, "up": 7300.0, "restarts": self.restarts, "ended": "exit status 70"}
        return {"models": rows, "devices": self.devices, "offline": False, "host": life}

    async def ask(self, action: str, model: str, **size: int) -> dict[str, Any]:
        self.asked.append((action, model))
        self.sizes.append(size)
        if action == "estimate":
            if size.get("context", 0) > 4096:
                raise link.Refused(f"{model} takes 1 to 4096 tokens, not {size['context']}.")
            known = {"window": 4096, "alone": False, "kept": False, "tries": self.tries}
            return {"context": 4096, "answers": 8, **size, **known}
        places = {"look": self.here, "download": self.hub}.get(action)
        if places is None:
            return {}
        if model not in places:
            raise link.Refused("The hub can't be reached: this machine is offline." if places is self.hub else "no")
        task = "embedding" if "vectors" in model else "chat"
        return {"model": places[model], "window": 2048, "task": task, "images": "seeing" in model}


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> ScriptedHost:
    made = ScriptedHost()
    monkeypatch.setattr(link, "models", made.models)
    monkeypatch.setattr(link, "ask", made.ask)
    return made


@pytest.fixture
def page(client: Client, alice: Person) -> str:
    client.force_login(alice)
    return reverse("admin:providers_languagemodel_local")


def test_a_folder_becomes_a_model_pinned_by_its_digest(client: Client, page: str, host: ScriptedHost) -> None:
    answer = client.post(page, {"action": "add", "model": " /models/orchard "}, follow=True)
    assert "Added orchard. It is loaded when it is first asked." in answer.text
    model = LanguageModel.objects.get(name="orchard")
    assert model.current is not None and model.current.provider.current is not None
    assert model.current.upstream == f"/models/orchard@{'d' * 12}"
    assert (model.current.window, model.current.price_input) == (2048, 0)
    assert model.current.provider.current.kind == "local"

    again = client.post(page, {"action": "add", "model": "/models/orchard"}, follow=True)
    assert "orchard is that model already." in again.text
    assert LanguageModel.objects.filter(current__provider__current__kind="local").count() == 1


def test_what_is_not_here_is_downloaded_and_pinned_to_its_commit(client: Client, page: str, host: ScriptedHost) -> None:
    answer = client.post(page, {"action": "add", "model": "club/remote"}, follow=True)
    assert "Added remote. It is being downloaded, and answers when it is here." in answer.text
    assert host.asked == [("look", "club/remote"), ("download", "club/remote")]
    model = LanguageModel.objects.get(name="remote")
    assert model.current is not None and model.current.upstream == f"club/remote@{COMMIT}"


@pytest.mark.parametrize("wrong", ["", "/no/such/folder", "club/nobody"])
def test_what_can_not_be_had_is_said_and_adds_nothing(
    client: Client, page: str, host: ScriptedHost, wrong: str
) -> None:
    answer = client.post(page, {"action": "add", "model": wrong}, follow=True)
    assert "messagelist" in answer.text and "error" in answer.text
    assert not LanguageModel.objects.filter(current__provider__current__kind="local").exists()
    if wrong == "club/nobody":
        assert "this machine is offline" in answer.text and 'value="club/nobody"' in answer.text


def test_every_state_is_shown_with_what_can_be_done(client: Client, page: str, host: ScriptedHost) -> None:
    client.post(page, {"action": "add", "model": "/models/orchard"})
    client.post(page, {"action": "add", "model": "club/cached"})
    upstream = f"/models/orchard@{'d' * 12}"
    for state, shown, button in (
        (row(upstream, state="ready", memory=7_000_000, precision="float32", device="cpu"), "in memory", "unload"),
        (row(upstream), "on disk", "load"),
        (row(upstream, state="loading", progress=0.42), "loading 42 %", None),
        (row(upstream, state="downloading", progress=0.07), "downloading 7 %", "stop"),
        (row(upstream), "about 8.6\xa0MB in float32, with 1 answer of 2048 tokens", "load"),
        (row(upstream, estimate={**ESTIMATE, "fits": False}), "won't fit: about 8.6\xa0MB", "load"),
        (row(upstream, state="ready", memory=7_000_000, answering=2), "It is at work on 2 requests", "unload"),
        (
            row(f"club/cached@{COMMIT}", state="absent", why="It is not here", disk=0, here=False),
            "not here",
            "download",
        ),
        (row(f"club/cached@{COMMIT}", state="failed", why="cut off", here=False), "Download again", "download"),
        (row(upstream, state="failed", why="out of memory: it is too large"), "it is too large", "load"),
    ):
        host.rows = [state]
        answer = client.get(page)
        assert shown in answer.text, state["state"]
        assert button is None or f'value="{button}"' in answer.text, state["state"]
        moving = state["state"] in ("loading", "downloading")
        assert ("<progress" in answer.text) is ('every="1500"' in answer.text) is moving, state["state"]


@pytest.mark.parametrize("action", ["load", "unload", "pin", "unpin", "delete", "download", "stop"])
def test_a_button_asks_the_host(client: Client, page: str, host: ScriptedHost, action: str) -> None:
    answer = client.post(page, {"action": action, "model": "club/cached"}, follow=True)
    assert "club/cached" in answer.text or action == "download"
    assert host.asked == [(action, "club/cached")]


def test_what_a_button_did_stands_in_the_audit_log(client: Client, page: str, host: ScriptedHost) -> None:
    client.post(page, {"action": "delete", "model": "org/tiny@1"})
    entry = AuditEntry.objects.order_by("-number").first()
    assert entry and (entry.actor, entry.about_name, entry.words) == (
        "alice", "org/tiny", "The files of org/tiny were deleted.",
    )  # fmt: skip


def test_a_model_of_the_cache_is_offered_until_it_is_added(client: Client, page: str, host: ScriptedHost) -> None:
    host.rows = [row(f"club/cached@{COMMIT}", cached=True)]
    assert "Found on this machine" in client.get(page).text
    client.post(page, {"action": "add", "model": "club/cached"})
    assert "Found on this machine" not in client.get(page).text


def test_a_model_that_sees_is_known_to_take_images(client: Client, page: str, host: ScriptedHost) -> None:
    client.post(page, {"action": "add", "model": "club/seeing"})
    model = LanguageModel.objects.get(name="seeing")
    assert model.current is not None and model.current.abilities == ["system", "images"]


def test_a_model_for_search_is_no_model_to_chat_with(client: Client, page: str, host: ScriptedHost) -> None:
    host.rows = [row(f"club/vectors@{COMMIT}", cached=True, task="embedding")]
    answer = client.post(page, {"action": "add", "model": "club/vectors"}, follow=True)
    assert "club/vectors turns texts into vectors and does not chat" in answer.text
    assert not LanguageModel.objects.filter(current__provider__current__kind="local").exists()
    assert "Models that serve search" in answer.text and "Found on this machine" not in answer.text


def plain(answer: Any) -> str:
    """The text of a page as it is read."""
    return " ".join(strip_tags(answer.text).split()).replace("\xa0", " ").replace("&#x27;", "'")


def test_what_a_model_takes_is_told_for_a_context_and_answers_of_ones_choice(
    client: Client, page: str, host: ScriptedHost
) -> None:
    client.post(page, {"action": "add", "model": "club/cached"})
    model = f"club/cached@{COMMIT}"
    host.rows = [row(model)]
    assert f'?room=club%2Fcached%40{COMMIT}#local-size">Choose room' in client.get(page).text
    large = {**ESTIMATE, "context": 4096, "answers": 4, "weights": 4 * GIB, "cache": 3 * GIB, "working": 2 * GIB}
    lower = {**large, "precision": "bfloat16", "weights": 2 * GIB, "cache": 3 * GIB // 2, "working": GIB}
    asked, no = "4 answers of 4096 tokens", {**large, "fits": False}
    for tries, said in (
        ([{**large, "cache": GIB}], f"float32, cpu {asked} 4.0 GB 1.0 GB 2.0 GB 7.0 GB 8.0 GB 6.0 GB to be had fits K"),
        ([{**large, "room": 8 * GIB, "turns": ["org/b"]}], "9.0 GB 8.0 GB fits once org/b is out: they take turns"),
        ([no, {**large, "answers": 2}], "won't fit: needs fewer answers float32, cpu 2 answers of 4096 tokens"),
        ([no, lower], f"won't fit: needs lower precision, bfloat16 bfloat16, cpu {asked} 2.0 GB 1.5 GB 1.0 GB 4.5 GB"),
        ([{**no, "device": "cuda:0"}, lower], "won't fit: needs the CPU bfloat16, cpu"),
        ([no, {**large, "context": 2048, "answers": 1}], "won't fit: needs a shorter context float32, cpu 1 answer of"),
        ([no], "won't fit It counts"),
    ):
        host.tries = tries
        answer = client.get(page, {"room": model, "context": "4096", "answers": "4"})
        assert said in plain(answer), (tries, plain(answer))
        assert ("Keep this room" in answer.text) is (tries[-1]["fits"] and tries[-1]["context"] == 4096)
    assert host.sizes[-1] == {"context": 4096, "answers": 4}


def test_the_room_that_was_chosen_is_kept_and_given_up(client: Client, page: str, host: ScriptedHost) -> None:
    answer = client.post(
        page, {"action": "size", "model": "club/cached", "context": "4096", "answers": "4"}, follow=True
    )
    assert "club/cached has that room from its next load on." in answer.text
    assert (host.asked[0], host.sizes[0]) == (("size", "club/cached"), {"context": 4096, "answers": 4})
    answer = client.post(page, {"action": "usual", "model": "club/cached", "context": "4096"}, follow=True)
    assert "club/cached has what is free from its next load on." in answer.text
    assert (host.asked[1], host.sizes[1]) == (("size", "club/cached"), {})


@pytest.mark.parametrize("context", ["100000", "", "many", "1" * 40])
def test_a_room_that_can_not_be_is_said(client: Client, page: str, host: ScriptedHost, context: str) -> None:
    answer = client.get(page, {"room": "club/cached", "context": context, "answers": "1"})
    assert answer.status_code == 200
    assert ("club/cached takes 1 to 4096 tokens, not 100000." in answer.text) is (context == "100000")
    assert host.sizes[-1] == {"answers": 1} | ({"context": 100_000} if context == "100000" else {})


def test_each_device_says_how_much_it_has_left_for_models(client: Client, page: str, host: ScriptedHost) -> None:
    host.devices.append({"device": "cuda:0", "budget": 24 * GIB, "free": 4 * GIB})
    text = client.get(page).text.replace("\xa0", " ")
    assert "6.0 GB of 8.0 GB are free for models on cpu." in text
    assert "4.0 GB of 24.0 GB are free for models on cuda:0." in text


def test_a_host_that_is_away_is_said(client: Client, page: str, host: ScriptedHost) -> None:
    host.gone = True
    answer = client.get(page).text
    assert "The states are not known: the model host is not there yet." in answer
    assert "No local model yet" not in answer and 'every="1500"' in answer  # asked again until it is there
    assert client.post(page, {"action": "nothing", "model": "x"}).status_code == 302


def test_the_page_says_how_the_host_itself_does(client: Client, page: str, host: ScriptedHost) -> None:
    text = " ".join(client.get(page).text.split()).replace("\xa0", " ")
    assert "The model host takes 500.0 MB and has been up for 2 hours, 1 minute." in text
    assert "started again" not in text
    host.restarts = 2
    text = " ".join(client.get(page).text.split()).replace("\xa0", " ")
    assert "It was started again 2 times; the last one ended: exit status 70." in text
