"""One question, several lanes: what tabs hear, what is stored, what a blind vote is worth, and who is refused."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from uuid import uuid4

import pytest
from channels.db import database_sync_to_async
from django.test import Client

from chat.models import Comparison, Fusion, Lane, Message, Thumb, Vote
from tests.scripted import Scripted, add_model, broken, say
from tests.tab import Tab, tab
from workspace.accounts.models import Person
from workspace.router import personas
from workspace.router.configuration import save_version
from workspace.router.models import Run

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("live", "scripted")]

NAMES = ("quick-heron", "slow-badger", "plain-otter")


@pytest.fixture(autouse=True)
def models(transactional_db: Any) -> None:
    for name in NAMES:
        add_model(name)


def lanes(*names: str, **more: Any) -> list[dict[str, Any]]:
    return [{"model": name, **more} for name in names]


async def compare(page: Tab, *names: str, **fields: Any) -> dict[str, Any]:
    await page.tell("compare", client_id=uuid4(), text="Which is it?", lanes=lanes(*names), **fields)
    return await page.hear("compared", "refused")


async def ends(page: Tab, count: int) -> list[dict[str, Any]]:
    return [await page.hear("settled") for _ in range(count)]


@database_sync_to_async
def stored(chat: str) -> list[Lane]:
    found = Lane.objects.filter(comparison__chat=chat).select_related("answer__run", "answer__parent", "comparison")
    return list(found.order_by("comparison__created", "place"))


def signed_in(person: Person) -> Client:
    client = Client()
    client.force_login(person)
    return client


async def test_all_lanes_answer_one_question_as_siblings(alice: Person) -> None:
    for words in ("One.", "Two.", "Three."):
        say(words)
    async with tab(alice) as page:
        begun = await compare(page, *NAMES)
        assert begun["question"]["text"] == "Which is it?" and begun["url"] and begun["html"].count('class="lane ') == 3
        html = {frame["answer"]: frame["html"] for frame in await ends(page, 3)}
    found = await stored(begun["chat"])
    assert [lane.asked["model"] for lane in found] == list(NAMES)
    assert len({lane.answer.parent_id for lane in found}) == 1
    assert sorted(lane.answer.run.text for lane in found if lane.answer.run) == ["One.", "Three.", "Two."]
    assert all(lane.asked["model"] in html[str(lane.answer_id)] for lane in found)
    assert all(lane.answer.settled for lane in found)


async def test_each_lane_is_given_what_it_differs_in_and_nobody_takes_over(alice: Person) -> None:
    say(broken())
    say("Warm.")
    for _ in range(3):
        say(broken())
    async with tab(alice) as page:
        asked = [{"model": NAMES[0]}, {"model": NAMES[1], "temperature": 0.2, "system": "Answer in one word."}]
        await page.tell("compare", client_id=uuid4(), text="Which is it?", lanes=asked)
        begun = await page.hear("compared")
        states = {frame["state"] for frame in await ends(page, 2)}
    assert states == {"done", "failed"}
    found = await stored(begun["chat"])
    runs = {lane.asked["model"]: lane.answer.run for lane in found}
    assert {call.model for call in Scripted.calls} == set(NAMES[:2])
    given = next(call for call in Scripted.calls if call.parameters)
    assert given.parameters == {"temperature": 0.2} and given.system.startswith("Answer in one word.")
    for name, run in runs.items():
        assert run and run.manifest and {a["model"] for a in run.manifest["attempts"]} == {name}


async def test_lanes_are_told_by_personas_of_their_own(alice: Person, bob: Person) -> None:
    """One as beside the message, one by another, one by an instruction, which stands in place of any."""
    made = database_sync_to_async(personas.keep)
    pirate, teacher, bobs = [
        await made(
            owner, None, title=title, about="", system=f"You are a {title}, {{mood}}.", variables={"mood": "calm"}
        )
        for owner, title in ((alice, "pirate"), (alice, "teacher"), (bob, "spy"))
    ]
    for _ in NAMES:
        say("Yes.")
    asked = [
        {"model": NAMES[0]},
        {"model": NAMES[1], "persona": teacher.pk},
        {"model": NAMES[2], "system": "Be brief."},
    ]
    async with tab(alice) as page:
        said = {"text": "Which?", "persona": pirate.pk, "variables": {"mood": "merry"}}
        await page.tell("compare", client_id=uuid4(), lanes=asked, **said)
        begun = await page.hear("compared")
        await ends(page, 3)
        for lane, beside in ((bobs.pk, pirate.pk), (teacher.pk, bobs.pk), (999, None)):
            lanes_ = [{"model": NAMES[0], "persona": lane}, {"model": NAMES[1]}]
            await page.tell("compare", client_id=uuid4(), text="Which?", persona=beside, lanes=lanes_)
            assert (await page.hear("refused"))["code"] == "no_persona"
    told = {call.model: call.system for call in Scripted.calls}
    assert told[NAMES[0]].startswith("You are a pirate, merry.")
    assert told[NAMES[1]].startswith("You are a teacher, merry."), "the chat's values are for all lanes"
    assert told[NAMES[2]].startswith("Be brief.")
    found = await stored(begun["chat"])
    manifests = {lane.asked["model"]: lane.answer.run.manifest for lane in found if lane.answer.run}
    named = [(manifests[name] or {}).get("prompt_template_version") for name in NAMES]
    assert named == [pirate.current_id, teacher.current_id, None]
    assert await Comparison.objects.acount() == 1, "what was refused left nothing"


async def test_evidence_is_gathered_once_for_all_lanes(alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    from retrieval.search import Found
    from workspace.types import Evidence, sha256

    looked: list[str] = []
    passage = Evidence(
        number=1, chunk_id=str(uuid4()), document_id=str(uuid4()), title="Kettles", text="It boils.", start=0, end=9,
        digest=sha256("It boils."), score=0.9,
    )  # fmt: skip

    async def search(question: str, **_: Any) -> Found:
        looked.append(question)
        return Found((passage,))

    monkeypatch.setattr("workspace.router.grounding.search", search)
    from retrieval.models import Collection

    await Collection.objects.acreate(name="Orchard", owner=alice)
    for _ in NAMES:
        say("It boils [1].")
    async with tab(alice) as page:
        begun = await compare(page, *NAMES, documents=True)
        gathered = await page.hear("evidence")
        await ends(page, 3)
    assert looked == ["Which is it?"]
    assert "Kettles" in gathered["html"]
    found = await stored(begun["chat"])
    assert len({json.dumps(lane.answer.run.evidence) for lane in found if lane.answer.run}) == 1
    assert all([e.text for e in call.evidence] == ["It boils."] for call in Scripted.calls)


async def test_a_lane_is_stopped_alone(alice: Person) -> None:
    gate = asyncio.Event()
    say("Before. ", gate, "After.")
    say("Before. ", gate, "After.")
    async with tab(alice) as page:
        begun = await compare(page, *NAMES[:2])
        first = (await stored(begun["chat"]))[0]
        await page.hear("delta")
        await page.tell("stop", chat=begun["chat"], message=first.answer_id)
        stopped = await page.hear("settled")
        assert (stopped["answer"], stopped["state"]) == (str(first.answer_id), "stopped")
        gate.set()
        assert (await page.hear("settled"))["state"] == "done"


async def everything(page: Tab, until: int) -> list[str]:
    """All that crosses the wire until so many lanes have ended."""
    heard = []
    while until:
        heard.append(await page.receive_from(timeout=5))
        until -= json.loads(heard[-1])["type"] == "settled"
    return heard


async def test_nothing_tells_who_wrote_what_before_a_blind_vote(alice: Person) -> None:
    say("One, two.", " Three.")
    say(broken(cause="slow-badger is overloaded.", permanent=True))
    say("A longer answer, in more words.\n\nAnd a second part.")
    client = await database_sync_to_async(signed_in)(alice)
    async with tab(alice) as page:
        await page.tell("compare", client_id=uuid4(), text="Which?", lanes=lanes(*NAMES), blind=True)
        crossed = await everything(page, 3)
        chat = json.loads(crossed[0])["chat"]
        found = await stored(chat)
        comparison = found[0].comparison
        paths = [f"/c/{chat}/place/"]
        pages = [(await database_sync_to_async(client.post)(path)) for path in paths]
        crossed += [page_.content.decode() + str(page_.headers) for page_ in pages]
        for lane in found:
            for view in ("why/", "manifest.json", "answer.md"):
                response = await database_sync_to_async(client.get)(f"/runs/{lane.answer.run_id}/{view}")
                assert response.status_code == 404
        assert [name for name in (*NAMES, "scripted", "overloaded") if any(name in each for each in crossed)] == []
        assert not any(word in each for each in crossed for word in ("tok/s", "to first", "first_token", "$"))
        assert any("And a second part." in each for each in crossed)

        await page.tell("send", client_id=uuid4(), chat=chat, parent=found[0].answer_id, text="Go on")
        assert (await page.hear("refused"))["code"] == "withheld"
        await page.tell("retry", client_id=uuid4(), chat=chat, message=found[0].answer_id)
        assert (await page.hear("refused"))["code"] == "withheld"

        best = next(lane for lane in found if lane.answer.run and "second part" in lane.answer.run.text)
        address = f"/c/{chat}/comparisons/{comparison.pk}/vote/"
        form = {"choice": str(best.answer_id), "reason": ["clearer"]}
        voted = await database_sync_to_async(client.post)(address, form)
        assert voted.status_code == 200 and (await page.hear("voted"))["comparison"] == str(comparison.pk)
        again = await database_sync_to_async(client.post)(address, {"choice": "tie"})
        assert again.status_code == 400 and "blind stays" in again.json()["action"]
    vote = await Vote.objects.aget(comparison=comparison)
    assert (vote.choice, vote.lane_id, vote.blind, vote.reasons) == ("best", best.pk, True, ["clearer"])
    assert vote.digests == {lane.letter: lane.answer.digest for lane in found}
    assert not await Run.objects.filter(withheld=True).aexists()
    shown = (await database_sync_to_async(client.post)(f"/c/{chat}/place/")).content.decode()
    assert all(name in shown for name in NAMES)


async def test_blind_lanes_come_at_one_pace(alice: Person) -> None:
    """A lane that is all there at once is shown no further than one that still writes has come."""
    gate = asyncio.Event()
    say("q " * 250)
    say("s " * 15, gate, "s " * 15)
    async with tab(alice) as page:
        begun = await compare(page, *NAMES[:2], blind=True)
        shown: dict[str, str] = {}
        while len(shown) < 2:
            frame = await page.hear("delta")
            shown[frame["run"]] = shown.get(frame["run"], "") + frame["text"]
        assert [len(text) for text in shown.values()] == [28, 28]  # the last word may be the beginning of a name
        gate.set()
        await ends(page, 2)
    assert begun["html"].count('data-state="running"') == 2


async def test_sides_are_drawn_by_lot(alice: Person) -> None:
    orders = set()
    async with tab(alice) as page:
        for _ in range(12):
            for name in NAMES:
                say(name[0])
            begun = await compare(page, *NAMES, blind=True)
            await ends(page, 3)
            orders.add(tuple(lane.asked["model"] for lane in await stored(begun["chat"])))
    assert len(orders) > 1


async def test_a_vote_waits_for_every_lane_and_a_sighted_one_may_change(alice: Person) -> None:
    gate = asyncio.Event()
    say("Done.")
    say(gate, "Late.")
    client = await database_sync_to_async(signed_in)(alice)
    post = database_sync_to_async(client.post)
    async with tab(alice) as page:
        begun = await compare(page, *NAMES[:2])
        await page.hear("settled")
        first, second = await stored(begun["chat"])
        address = f"/c/{begun['chat']}/comparisons/{first.comparison_id}/vote/"
        early = await post(address, {"choice": "tie"})
        assert early.status_code == 400 and "is not finished" in early.json()["cause"]
        gate.set()
        await page.hear("settled")
    for form, code in (({"choice": "tie"}, 200), ({"choice": str(second.answer_id)}, 200), ({"choice": "maybe"}, 400)):
        assert (await post(address, form)).status_code == code
    vote = await Vote.objects.aget()
    assert (vote.choice, vote.lane_id, vote.blind) == ("best", second.pk, False)


async def test_a_thumb_has_reasons_and_the_same_again_takes_it_back(alice: Person) -> None:
    say("Done.")
    say("Late.")
    client = await database_sync_to_async(signed_in)(alice)
    async with tab(alice) as page:
        begun = await compare(page, *NAMES[:2])
        await ends(page, 2)
    first = (await stored(begun["chat"]))[0]
    address = f"/c/{begun['chat']}/lanes/{first.answer_id}/thumb/"
    steps: list[tuple[dict[str, Any], tuple[bool, list[str]] | None]] = [
        ({"up": "1"}, (True, [])),
        ({"up": "0"}, (False, [])),
        ({"up": "0", "why": "1", "reason": ["too long", "wrong", "clearer"]}, (False, ["wrong", "too long"])),
        ({"up": "0", "why": "1"}, (False, [])),
        ({"up": "0"}, None),
    ]
    for form, kept in steps:
        assert (await database_sync_to_async(client.post)(address, form)).status_code == 200
        thumb = await Thumb.objects.afirst()
        assert ((thumb.up, thumb.reasons) if thumb else None) == kept


async def test_router_versions_are_compared_by_admins_alone(alice: Person, bob: Person) -> None:
    routes = '{"routes": [{"condition": "default", "model": "%s"}], "fallback": "%s"}'
    save = database_sync_to_async(save_version)
    versions = [await save("default", routes % (name, name)) for name in NAMES[:2]]
    asked = [{"model": "", "configuration": version.pk} for version in versions]
    say("One.")
    say("Two.")
    async with tab(bob) as page:
        await page.tell("compare", client_id=uuid4(), text="Which?", lanes=asked)
        assert (await page.hear("refused"))["code"] == "not_admin"
    async with tab(alice) as page:
        gone = [*asked, {"model": "", "configuration": 99_999}]
        await page.tell("compare", client_id=uuid4(), text="Which?", lanes=gone)
        assert (await page.hear("refused"))["code"] == "no_configuration"
        await page.tell("compare", client_id=uuid4(), text="Which?", lanes=asked)
        begun = await page.hear("compared")
        html = [frame["html"] for frame in await ends(page, 2)]
    runs = [lane.answer.run for lane in await stored(begun["chat"])]
    assert [run.manifest["model"] for run in runs if run and run.manifest] == list(NAMES[:2])
    assert any(f"router default v{versions[0].number}" in each for each in html)


async def test_the_chat_goes_on_from_several_lanes_at_once(alice: Person) -> None:
    for words in ("One.", "Two.", "On one.", "On two."):
        say(words)
    async with tab(alice) as page:
        begun = await compare(page, *NAMES[:2])
        await ends(page, 2)
        first = await stored(begun["chat"])
        on = [{"model": lane.asked["model"], "parent": str(lane.answer_id)} for lane in first]
        await page.tell("compare", client_id=uuid4(), chat=begun["chat"], text="And then?", lanes=on)
        await page.hear("compared")
        await ends(page, 2)
    second = (await stored(begun["chat"]))[2:]
    assert [lane.answer.parent.parent_id for lane in second if lane.answer.parent] == [l.answer_id for l in first]  # noqa: E741
    said = {call.model: str(call.messages) for call in Scripted.calls[2:]}
    assert "One." in said[NAMES[0]] or "Two." in said[NAMES[0]]
    assert said[NAMES[0]] != said[NAMES[1]]


async def test_lanes_are_fused_into_one_answer(alice: Person) -> None:
    say("Alpha.")
    say("Beta.")
    say("Alpha and beta.")
    async with tab(alice) as page:
        begun = await compare(page, *NAMES[:2])
        await ends(page, 2)
        found = await stored(begun["chat"])
        ids = [str(lane.answer_id) for lane in found]
        frame = {"chat": begun["chat"], "comparison": found[0].comparison_id, "model": NAMES[2]}
        await page.tell("fuse", client_id=uuid4(), lanes=ids[:1], **frame)
        assert (await page.hear("refused"))["code"] == "too_few"
        await page.tell("fuse", client_id=uuid4(), lanes=ids, instruction="Join them.", **frame)
        started = await page.hear("started")
        assert (await page.hear("settled"))["state"] == "done"
    fusion = await Fusion.objects.select_related("answer").aget()
    assert str(fusion.answer_id) == started["answer"] and fusion.answer.parent_id == found[0].answer.parent_id
    asked = str(Scripted.calls[-1].messages[-1])
    assert all(words in asked for words in ("Which is it?", "Join them.", "Answer A", "Alpha.", "Beta."))
    assert await Message.objects.filter(parent=found[0].answer.parent_id).acount() == 3


async def test_the_same_frame_twice_makes_one_comparison(alice: Person) -> None:
    say("One.")
    say("Two.")
    frame = {"client_id": str(uuid4()), "text": "Which?", "lanes": lanes(*NAMES[:2])}
    async with tab(alice) as page:
        await page.tell("compare", **frame)
        begun = await page.hear("compared")
        await ends(page, 2)
        await page.tell("compare", **frame)
        assert (await page.hear("compared"))["chat"] == begun["chat"]
    assert await Comparison.objects.acount() == 1


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"lanes": lanes(NAMES[0])}, "lanes"),
        ({"lanes": lanes(*NAMES, *NAMES, *NAMES)}, "lanes"),
        ({"lanes": "all"}, "bad_frame"),
        ({"lanes": lanes(*NAMES, temperature=9)}, "bad_frame"),
        ({"lanes": lanes(*NAMES, max_tokens=1.5)}, "bad_frame"),
        ({"lanes": lanes(*NAMES, system="x" * 20_001)}, "too_long"),
        ({"lanes": lanes(*NAMES), "text": " "}, "empty"),
        ({"lanes": lanes(*NAMES, parent=str(uuid4()))}, "no_parent"),
        ({"lanes": lanes(*NAMES), "blind": "yes"}, "bad_frame"),
    ],
)
async def test_a_comparison_that_makes_no_sense_is_refused(alice: Person, fields: dict[str, Any], code: str) -> None:
    async with tab(alice) as page:
        await page.tell("compare", **{"client_id": uuid4(), "text": "Which?", **fields})
        assert (await page.hear("refused", "compared")).get("code") == code
    assert not await Message.objects.aexists()
