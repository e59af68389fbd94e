"""Answers made again: from the same manifest, with one thing changed, one or a branch of them, and what drifted."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID, uuid4

import pytest
from channels.db import database_sync_to_async
from django.db import connection, transaction
from django.test import Client

from chat import record, requests
from chat.diff import Difference
from chat.models import Branch, Chat, ChatShare, Message, Replay, Replayed, Step
from chat.replay import drift, making, pages, plan
from chat.replay.plan import Change
from retrieval.models import Collection
from retrieval.search import Found
from tests.scripted import Scripted, add_model, broken, say
from tests.tab import tab
from workspace.accounts.models import Person
from workspace.providers.base import Ran
from workspace.providers.models import LanguageModel, LanguageModelVersion
from workspace.router import catalog, prompts
from workspace.router.configuration import save_version
from workspace.router.models import PromptTemplate, PromptTemplateVersion, Run
from workspace.router.seed import ensure_defaults
from workspace.types import Evidence, Part, Usage, sha256

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("live", "scripted", "unqueued")]


@pytest.fixture
def unqueued(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test makes what a worker would."""
    monkeypatch.setattr("chat.tasks.queue_replays", lambda ids: None)


@pytest.fixture(autouse=True)
def models(transactional_db: Any) -> None:
    ensure_defaults()
    add_model("plain", abilities=("seed",), price="1")
    add_model("other", price="1")


async def talked(person: Person, *questions: str, ran: Sequence[Ran] = (), **fields: Any) -> Chat:
    async with tab(person) as page:
        chat = parent = None
        for number, text in enumerate(questions):
            say(*ran[number : number + 1], f"About {text}.", Usage(input=5, output=3))
            await page.tell("send", client_id=uuid4(), chat=chat, parent=parent, text=text, model="plain", **fields)
            started = await page.hear("started")
            chat, parent = started["chat"], started["answer"]
            await page.hear("settled")
    return await Chat.objects.aget(pk=chat)


def signed_in(person: Person) -> Client:
    client = Client()
    client.force_login(person)
    return client


async def replayed(person: Person, chat: Chat, *texts: Any, **form: str) -> tuple[Replay, list[drift.Drift]]:
    """Every answer of the branch is made again; the report."""
    answers = [str(one.pk) async for one in Message.objects.filter(chat=chat, role="model").order_by("pk")]
    for text in texts:
        say(text, Usage(input=5, output=3))
    client = await database_sync_to_async(signed_in)(person)
    response = await database_sync_to_async(client.post)(f"/c/{chat.pk}/replay/", {"answer": answers, **form})
    assert response.status_code == 302, response.content.decode()
    replay = await Replay.objects.aget(pk=response["Location"].rstrip("/").split("/")[-1])
    await making.make(replay.pk)
    return replay, await database_sync_to_async(drift.drifts)(replay)


async def test_a_report_drawn_while_the_last_answer_ends_is_drawn_once_more(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = await talked(alice, "tea")
    answers = [one async for one in Message.objects.filter(chat=chat, role="model")]
    replay = await database_sync_to_async(making.begin)(alice, answers, Change())

    def drifts(row: Replay, before: Any = drift.drifts) -> list[drift.Drift]:
        told: list[drift.Drift] = before(row)
        Replayed.objects.filter(replay=row).update(refused="Not now.")
        return told

    monkeypatch.setattr(drift, "drifts", drifts)
    client = await database_sync_to_async(signed_in)(alice)
    address = f"/c/{chat.pk}/replays/{replay.pk}/"
    first, last = [(await database_sync_to_async(client.get)(address)).content.decode() for _ in range(2)]
    assert ">waiting<" in first and 'every="800"' in first
    assert "Not now." in last and 'every="800"' not in last


async def test_a_branch_is_made_again_as_it_was_and_the_chat_stays_as_it_is(alice: Person) -> None:
    chat = await talked(alice, "tea", "milk")
    first = list(Scripted.calls)
    replay, told = await replayed(alice, chat, "About tea.", "About cream.")
    assert [one.same for one in told] == [True, False] and [one.causes for one in told] == [[], []]
    again = Scripted.calls[2:]
    for old, new in zip(first, again, strict=True):
        assert (old.system, old.messages, old.parameters) == (new.system, new.messages, new.parameters)
        assert old.seed is not None and old.seed == new.seed
    assert await Message.objects.filter(chat=chat).acount() == 4, "nothing moves in the chat"
    client = await database_sync_to_async(signed_in)(alice)
    address = f"/c/{chat.pk}/replays/{replay.pk}/"
    response = await database_sync_to_async(client.get)(address)
    page, seen = response.content.decode(), {"If-None-Match": response["ETag"]}
    assert (await database_sync_to_async(client.get)(address, headers=seen)).status_code == 304
    await Replayed.objects.filter(replay=replay, place=1).aupdate(refused="Not now.")
    assert (await database_sync_to_async(client.get)(address, headers=seen)).status_code == 200
    await Replayed.objects.filter(replay=replay, place=1).aupdate(refused="")
    assert "the same, byte for byte" in page and "<del>milk</del><ins>cream</ins>" in page and "1 of 2" in page
    said = (await database_sync_to_async(client.get)(f"{address}?json")).json()
    assert said["summary"]["same"] == 1 and said["answers"][1]["figures"][-1]["name"] == "cost, $"

    kept = await database_sync_to_async(client.post)(address, {"keep": "1"})
    message = await Message.objects.select_related("run").aget(pk=kept["Location"].split("#m-")[1])
    assert message.run and message.run.text == "About cream." and message.chain and message.depth == 3
    again_kept = await database_sync_to_async(client.post)(address, {"keep": "1"})
    assert again_kept["Location"] == kept["Location"] and await Message.objects.filter(chat=chat).acount() == 5


async def test_what_is_kept_is_a_step_that_every_tab_hears_of(alice: Person, bob: Person) -> None:
    chat = await talked(alice, "tea")
    await ChatShare.objects.acreate(chat=chat, person=bob, may_write=True)
    replay, _ = await replayed(alice, chat, "About coffee.")
    client = await database_sync_to_async(signed_in)(bob)
    async with tab(alice) as hers, tab(bob) as his:
        for one in (hers, his):
            await one.tell("open", chat=chat.pk, seen={})
            await one.hear("opened")
        touched = chat.touched
        response = await database_sync_to_async(client.post)(f"/c/{chat.pk}/replays/{replay.pk}/", {"keep": "0"})
        kept = response["Location"].split("#m-")[1]
        await hers.hear("changed")
        assert (await his.hear("moved"))["tip"] == kept, "whoever keeps it goes there in every tab"
    await chat.arefresh_from_db()
    assert chat.touched > touched
    step = await Step.objects.select_related("person").aget(chat=chat, kind="kept")
    assert (step.person, str(step.message_id)) == (bob, kept)
    story = (await database_sync_to_async(client.get)(f"/c/{chat.pk}/history/?show=steps")).content.decode()
    assert "<b>bob</b> kept a replayed answer of “plain”" in story and "tried an answer again" not in story
    await database_sync_to_async(client.post)(f"/c/{chat.pk}/steps/{step.pk}/undo/")
    assert (await Branch.objects.aget(start=kept)).pruned and await Message.objects.filter(pk=kept).aexists()


async def test_two_who_keep_one_answer_at_once_keep_it_once(alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    chat = await talked(alice, "tea")
    replay, _ = await replayed(alice, chat, "About coffee.")
    look, both = record.plain_part, threading.Barrier(2, timeout=0.5)

    def slowly(part: Part) -> dict[str, Any]:
        with suppress(threading.BrokenBarrierError):
            both.wait()  # a second one comes here meanwhile, unless it waits for the first
        return look(part)

    def keep() -> UUID:
        try:
            one = Replayed.objects.select_related("run", "message__parent").get(replay=replay)
            return making.keep(chat, alice, one).pk
        finally:
            connection.close()

    monkeypatch.setattr(record, "plain_part", slowly)
    kept = await asyncio.gather(asyncio.to_thread(keep), asyncio.to_thread(keep))
    assert kept[0] == kept[1] and await Message.objects.filter(chat=chat, role="model").acount() == 2


async def test_two_workers_make_each_answer_once_and_one_after_the_other(alice: Person) -> None:
    chat = await talked(alice, "tea", "milk", "sugar")
    answers = [one async for one in Message.objects.filter(chat=chat, role="model").order_by("pk")]
    replay = await database_sync_to_async(making.begin)(alice, answers, Change())
    goes_on = asyncio.Event()
    for _ in answers:
        say(goes_on, "Again.", Usage(input=1, output=1))
    workers = [asyncio.ensure_future(making.make(replay.pk)) for _ in range(2)]
    done, [at_it] = await asyncio.wait(workers, return_when=asyncio.FIRST_COMPLETED, timeout=10)
    assert len(done) == 1 and len(Scripted.calls) <= 4, "who comes second leaves it to the first"
    await making.make(replay.pk)
    goes_on.set()
    await at_it
    assert len(Scripted.calls) == 6 and await Run.objects.acount() == 6
    assert not await Replayed.objects.filter(run=None).aexists()


async def test_two_processes_that_look_at_once_take_one_answer(alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    chat = await talked(alice, "tea", "milk")
    answers = [one async for one in Message.objects.filter(chat=chat, role="model").order_by("pk")]
    replay = await database_sync_to_async(making.begin)(alice, answers, Change())
    request_of, both = plan.request_of, threading.Barrier(2, timeout=0.5)

    def slowly(*asked: Any) -> Any:
        with suppress(threading.BrokenBarrierError):
            both.wait()
        return request_of(*asked)

    def take() -> Any:
        try:
            with transaction.atomic():
                return making._open(replay.pk, -1)
        finally:
            connection.close()

    monkeypatch.setattr(plan, "request_of", slowly)
    taken = await asyncio.gather(asyncio.to_thread(take), asyncio.to_thread(take))
    assert sorted(one is None for one in taken) == [False, True] and await Run.objects.acount() == 3


async def test_the_report_names_the_one_thing_that_was_changed(alice: Person) -> None:
    chat = await talked(alice, "tea")
    terse = await database_sync_to_async(template)("Be terse, {person}.")
    version = await database_sync_to_async(routes)("other")
    for form, name, values in (
        ({"what": "model", "model": "other"}, "model", ("plain", "other")),
        ({"what": "parameter", "name": "temperature", "parameter": "0.3"}, "temperature", ("none", "0.3")),
        ({"what": "parameter", "name": "seed", "parameter": "7"}, "seed", (None, "7")),
        (
            {"what": "template", "template": str(terse)},
            "prompt template",
            (None, "default (version 2)"),
        ),
    ):
        _, [one] = await replayed(alice, chat, "About tea.", **form)
        assert [each.name for each in one.changed] == [name]
        assert one.followed == [] or {each.name for each in one.followed} == {"{person}"}
        assert one.changed[0].new == values[1] and values[0] in (None, one.changed[0].old)
        assert one.same
    _, [one] = await replayed(alice, chat, "About tea.", what="router", router=str(version))
    assert [each.name for each in one.changed] == ["router version"]
    assert [each.name for each in one.followed] == ["model"]


async def test_other_evidence_is_searched_or_none_is_given_and_the_report_names_it(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it was, nothing is searched: the passages of then are given again, whatever the documents say now."""
    then, now = passage("It boils."), passage("It freezes.")
    searched: list[str] = []
    holds = [then]

    async def search(question: str, **_: Any) -> Found:
        searched.append(question)
        return Found(tuple(holds))

    monkeypatch.setattr("workspace.router.grounding.search", search)
    await Collection.objects.acreate(name="Kettles", owner=alice)
    chat = await talked(alice, "tea", documents=True)
    assert (searched, [e.text for e in Scripted.calls[-1].evidence]) == (["tea"], ["It boils."]), "the premise"
    holds[:] = [now]
    for form, given, changed, looked in (
        ({}, ["It boils."], [], 1),
        ({"what": "evidence", "evidence": "again"}, ["It freezes."], ["evidence"], 2),
        ({"what": "evidence", "evidence": "none"}, [], ["evidence"], 2),
    ):
        _, [one] = await replayed(alice, chat, "About tea.", **form)
        assert [e.text for e in Scripted.calls[-1].evidence] == given
        assert ([each.name for each in one.changed], one.followed, len(searched)) == (changed, [], looked)
        assert one.same and one.new and [e["text"] for e in one.new.evidence] == given


def passage(text: str) -> Evidence:
    ids = {"chunk_id": str(uuid4()), "document_id": str(uuid4())}
    return Evidence(number=1, title="Kettles", text=text, digest=sha256(text), start=0, end=9, score=0.9, **ids)


async def test_old_versions_are_asked_though_newer_ones_are_in_use(alice: Person) -> None:
    chat = await talked(alice, "tea")
    await database_sync_to_async(template)("Be terse.", use=True)
    await database_sync_to_async(newer)("plain")
    _, [one] = await replayed(alice, chat, "About tea.")
    assert one.causes == [] and one.new and one.new.manifest and one.new.manifest["upstream_model"] == "plain"
    assert Scripted.calls[0].system == Scripted.calls[1].system != "Be terse."
    assert Scripted.calls[1].model == "plain"


async def test_what_cannot_be_repeated_is_said_before(alice: Person) -> None:
    chat = await talked(alice, "tea")
    client = await database_sync_to_async(signed_in)(alice)
    get = database_sync_to_async(client.get)
    assert "takes a seed, but its provider does not promise" in (await get(f"/c/{chat.pk}/replay/")).content.decode()
    await LanguageModel.objects.filter(name="plain").aupdate(enabled=False)
    catalog.forget()
    assert "plain is withdrawn" in (await get(f"/c/{chat.pk}/replay/")).content.decode()
    _, [one] = await replayed(alice, chat)
    assert "switched off" in one.failed and not one.same


@pytest.mark.django_db
def test_the_same_text_is_promised_only_where_the_same_is_asked(alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "LOCAL", "scripted")
    chat = Chat.objects.create(owner=alice)
    above: Message | None = None
    for text, state in (("Half", "interrupted"), ("All of it.", "done")):
        parts = [{"kind": "text", "text": f"Before {text}"}]
        asked = Message.objects.create(
            chat=chat, parent=above, role="person", author=alice, settled=True, depth=above.depth + 1 if above else 0,
            parts=parts,
        )  # fmt: skip
        told = requests.conversation(asked)
        made = {"model": "plain", "seed": 1, "model_version": LanguageModelVersion.objects.get(model__name="plain").pk}
        conversation = {"messages": len(told), "digest": prompts.digest_of(told)}
        run = Run.objects.create(
            person=alice, state=state, text=text, manifest={**made, "version": 2, "conversation": conversation}
        )
        above = Message.objects.create(chat=chat, parent=asked, role="model", run=run, depth=asked.depth + 1)
    assert above and above.parent and above.parent.parent
    above = record.answer(above.pk)
    [one] = plan.outlooks(alice, [above])
    assert one.exact, one.notes
    Run.objects.filter(message=above.parent.parent_id).update(text="Half and half")
    [one] = plan.outlooks(alice, [above])
    assert [note[:33] for note in one.notes] == ["What was said above it has been w"]
    Run.objects.filter(message=above.parent.parent_id).update(text="Half")
    newer("plain")
    [one] = plan.outlooks(alice, [above])
    assert [note[:27] for note in one.notes] == ["plain has a newer version h"]


async def test_short_memory_of_then_is_told_before_and_what_ran_now_after(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "LOCAL", "scripted")
    whole = {"precision": "float32", "device": "cpu", "context": None, "short": False}
    cut = {"precision": "bfloat16", "device": "cpu", "context": 64, "short": True}
    chat = await talked(alice, "tea", "milk", ran=(Ran(whole), Ran(cut)))
    ids = await database_sync_to_async(plan.ids_of)(chat, alice, "chat", None)
    told = await database_sync_to_async(lambda: plan.outlooks(alice, plan.answers(ids)))()
    assert [one.notes for one in told] == [
        (),
        ("Memory was short when it was written: it ran in bfloat16 on cpu, and read 64 tokens of what was said.",),
    ]
    run = await Run.objects.aget(message=ids[1])
    client = await database_sync_to_async(signed_in)(alice)
    why = await database_sync_to_async(client.get)(f"/runs/{run.pk}/why/")
    assert "answered in bfloat16 on cpu, 64 tokens read</td>" in why.content.decode()
    for text in ("About tea.", "About cream."):
        say(Ran(whole), text)
    _, made = await replayed(alice, chat)
    assert [one.followed for one in made] == [
        [],
        [Difference("run in", "bfloat16 on cpu, 64 tokens read", "float32 on cpu")],
    ]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("found", "evidence", "note"),
    [
        ({"nearest": 0.5}, [{"number": 1, "digest": "d"}], "It was found by meaning. While the model host starts"),
        ({"threshold": 0.3}, [{"number": 1, "digest": "d"}], "It was found by words alone. While the model host st"),
        ({"threshold": 0.3}, [], ""),
    ],
)
def test_what_quotes_finds_is_promised_only_where_nothing_was_read(
    alice: Person, monkeypatch: pytest.MonkeyPatch, found: dict[str, float], evidence: list[Any], note: str
) -> None:
    monkeypatch.setattr(plan, "QUOTES", "scripted")
    chat = Chat.objects.create(owner=alice)
    asked = Message.objects.create(chat=chat, role="person", author=alice, settled=True)
    version = LanguageModelVersion.objects.get(model__name="plain").pk
    manifest = {"model": "plain", "model_version": version, "parameters": found}
    run = Run.objects.create(person=alice, state="done", text="It boils.", evidence=evidence, manifest=manifest)
    answer = Message.objects.create(chat=chat, parent=asked, role="model", run=run, depth=1)
    [one] = plan.outlooks(alice, [record.answer(answer.pk)])
    assert (one.exact, one.notes[:1]) == (not note, one.notes if note else ())
    assert not note or one.notes[0].startswith(note)


async def test_of_many_answers_so_many_are_offered_at_once_and_all_are_reached(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "MOST", 2)
    chat = await talked(alice, "tea", "milk", "sugar")
    client = await database_sync_to_async(signed_in)(alice)
    for scope in ("branch", "chat"):
        address = f"/c/{chat.pk}/replay/?scope={scope}"
        first = (await database_sync_to_async(client.get)(address)).content.decode()
        last = (await database_sync_to_async(client.get)(f"{address}&page=2")).content.decode()
        assert "Answers 1 to 2 of 3" in first and f"?scope={scope}&amp;page=2" in first
        assert [word for word in ("tea", "milk", "sugar") if f"<q>{word}</q>" in first] == ["tea", "milk"]
        assert "Answers 3 to 3 of 3" in last and "<q>sugar</q>" in last and "<q>milk</q>" not in last


async def test_each_prompt_offers_its_newest_versions(alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "NEWEST", 2)
    chat = await talked(alice, "tea")
    for _ in range(3):
        await database_sync_to_async(template)("Be terse.")
    persona = await PromptTemplate.objects.acreate(name="teacher", owner=alice)
    persona.current = await PromptTemplateVersion.objects.acreate(template=persona, number=1, system="Teach.")
    await persona.asave(update_fields=["current"])
    client = await database_sync_to_async(signed_in)(alice)
    page = (await database_sync_to_async(client.get)(f"/c/{chat.pk}/replay/")).content.decode()
    assert re.findall(r">(\w+, version \d)", page) == ["default, version 4", "default, version 3", "teacher, version 1"]


async def test_what_fails_or_is_refused_is_told_and_the_rest_goes_on(alice: Person, bob: Person) -> None:
    chat = await talked(alice, "tea", "milk")
    _, told = await replayed(alice, chat, broken("bad_request", permanent=True), "About milk.")
    assert [bool(one.failed) for one in told] == [True, False] and told[1].same
    client = await database_sync_to_async(signed_in)(alice)
    post = database_sync_to_async(client.post)
    address = f"/c/{chat.pk}/replay/"
    answer = str(told[0].old.message.pk)
    for form, words in (
        ({}, "No answer is chosen"),
        ({"answer": answer, "what": "parameter", "name": "temperature", "parameter": "9"}, "from 0 to 2"),
        ({"answer": answer, "what": "template", "template": "999"}, "is not there"),
        ({"answer": answer, "what": "evidence", "evidence": "mine"}, "is not there"),
    ):
        refused = await post(address, form)
        assert refused.status_code == 400 and words in refused.content.decode()
    assert (await post(address, {"answer": str(uuid4())})).status_code == 404
    stranger = await database_sync_to_async(signed_in)(bob)
    assert (await database_sync_to_async(stranger.post)(address, {"answer": answer})).status_code == 404


def template(system: str, *, use: bool = False) -> int:
    row = PromptTemplateVersion.objects.get(template__name="default", number=1).template
    made = PromptTemplateVersion.objects.create(template=row, number=row.versions.count() + 1, system=system)
    if use:
        row.current = made
        row.save(update_fields=["current"])
    catalog.forget()
    return made.pk


def routes(model: str) -> int:
    source = f'{{"routes": [{{"condition": "default", "model": "{model}"}}], "fallback": "{model}"}}'
    return save_version("default", source, models=["plain", "other"], activate=False).pk


def newer(name: str) -> None:
    model = LanguageModel.objects.select_related("current").get(name=name)
    old = model.current
    assert old is not None
    model.current = LanguageModelVersion.objects.create(
        model=model, number=2, provider=old.provider, upstream="plain-2", abilities=old.abilities,
        price_input=old.price_input, price_output=old.price_output,
    )  # fmt: skip
    model.save(update_fields=["current"])
    catalog.forget()
