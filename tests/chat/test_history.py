"""The history of a chat: links that show what was altered, flags that never move, the map, and answers made again."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest
from channels.db import database_sync_to_async
from django.core.management import call_command
from django.db import IntegrityError, connection
from django.test import Client

from chat import chain, history, tree
from chat.models import Chat, Checkpoint, Message
from tests.scripted import add_model, broken, say
from tests.tab import tab
from workspace.accounts.models import Person
from workspace.router import frozen
from workspace.router.models import Run
from workspace.types import Usage

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("live", "scripted")]


@pytest.fixture(autouse=True)
def models(transactional_db: Any) -> None:
    for name in ("plain", "other"):
        add_model(name, price="1")


async def talked(person: Person, *questions: str) -> Chat:
    """A chat with a question and an answer for each; the last answer is tried again."""
    async with tab(person) as page:
        chat = parent = None
        for text in questions:
            say(f"About {text}.", Usage(input=5, output=3))
            await page.tell("send", client_id=uuid4(), chat=chat, parent=parent, text=text, model="plain")
            started = await page.hear("started")
            chat, parent = started["chat"], started["answer"]
            await page.hear("settled")
        say("Otherwise.", Usage(input=5, output=3))
        await page.tell("retry", client_id=uuid4(), chat=chat, message=parent, model="other")
        await page.hear("settled")
    return await Chat.objects.aget(pk=chat)


def signed_in(person: Person) -> Client:
    client = Client()
    client.force_login(person)
    return client


async def faults() -> list[str]:
    return await database_sync_to_async(lambda: [fault.what for fault in chain.verify()])()


async def test_every_settled_message_has_its_link_and_all_fit(alice: Person) -> None:
    chat = await talked(alice, "tea", "coffee")
    assert [m.chain != "" async for m in Message.objects.filter(chat=chat)] == [True] * 5
    assert chat.sum and await faults() == []
    await database_sync_to_async(call_command)("verify_history")


async def test_what_was_altered_or_taken_out_is_found(alice: Person) -> None:
    chat = await talked(alice, "tea", "coffee")
    answer = await Message.objects.select_related("run").filter(chat=chat, role="model").order_by("pk").afirst()
    assert answer and answer.run and answer.run.manifest
    manifest = answer.run.manifest
    with pytest.raises(IntegrityError, match="a settled run does not change"):
        await Run.objects.filter(pk=answer.run_id).aupdate(manifest={**manifest, "model": "other"})
    await database_sync_to_async(frozen.lift)()
    await Run.objects.filter(pk=answer.run_id).aupdate(manifest={**manifest, "model": "other"})
    assert "its manifest was altered" in await faults()
    await Run.objects.filter(pk=answer.run_id).aupdate(manifest=manifest, text="Something else.")
    assert await faults() == ["its words are not those of its run", "the text of its run was altered"]
    await Run.objects.filter(pk=answer.run_id).aupdate(text="About tea.")
    assert await faults() == []
    leaf = await Message.objects.filter(chat=chat, role="model").order_by("pk").alast()
    assert leaf
    await leaf.adelete()
    assert await faults() == ["messages are missing, or were added past the product"]
    with pytest.raises(SystemExit):
        await database_sync_to_async(call_command)("verify_history")


async def test_the_database_keeps_a_link_as_it_is(alice: Person) -> None:
    await talked(alice, "tea")

    def alter() -> None:
        with connection.cursor() as cursor:
            cursor.execute("UPDATE chat_message SET chain = 'x'")

    with pytest.raises(Exception, match="a link does not change"):
        await database_sync_to_async(alter)()


async def test_a_failed_and_a_stopped_answer_have_their_links_too(alice: Person) -> None:
    say(broken(permanent=True))
    async with tab(alice) as page:
        await page.tell("send", client_id=uuid4(), text="Tell me", model="plain")
        await page.hear("settled")
    assert await faults() == []
    assert [m.chain != "" async for m in Message.objects.all()] == [True, True]


async def test_a_checkpoint_never_moves_and_leads_back(alice: Person, bob: Person) -> None:
    chat = await talked(alice, "tea", "coffee")
    first = await Message.objects.filter(chat=chat, role="model").order_by("pk").afirst()
    assert first
    client = await database_sync_to_async(signed_in)(alice)
    post = database_sync_to_async(client.post)
    address = f"/c/{chat.pk}/checkpoints/"
    assert (await post(address, {"name": " "})).status_code == 400
    assert (await post(address, {"name": "Tea is  settled", "note": "n", "message": str(first.pk)})).status_code == 302
    flag = await Checkpoint.objects.aget()
    assert (flag.name, flag.note, flag.message_id) == ("Tea is settled", "n", first.pk)
    shown = (await post(f"/c/{chat.pk}/place/", {})).content.decode()
    assert "Tea is settled" in shown and "coffee" in shown

    assert (await post(f"/c/{chat.pk}/go/", {"message": str(first.pk), "exact": "1"})).status_code == 302
    back = (await post(f"/c/{chat.pk}/place/", {})).content.decode()
    assert "tea" in back and "coffee" not in back, "exactly there"
    say("About milk.")
    async with tab(alice) as page:
        await page.tell("send", client_id=uuid4(), chat=chat.pk, parent=first.pk, text="milk", model="plain")
        await page.hear("settled")
    on = (await post(f"/c/{chat.pk}/place/", {})).content.decode()
    assert "milk" in on and "coffee" not in on
    assert await Message.objects.filter(chat=chat).acount() == 7, "nothing is lost"

    await post(f"{address}{flag.pk}/", {"name": "Tea"})
    assert (await Checkpoint.objects.aget()).name == "Tea"
    stranger = await database_sync_to_async(signed_in)(bob)
    assert (await database_sync_to_async(stranger.post)(f"{address}{flag.pk}/", {"delete": "1"})).status_code == 404
    await post(f"{address}{flag.pk}/", {"delete": "1"})
    assert (
        not await Checkpoint.objects.filter(removed=False).aexists()
        and await Message.objects.filter(chat=chat).acount() == 7
    )


async def test_the_map_folds_straight_runs_and_keeps_where_one_stands(alice: Person) -> None:
    chat = await talked(alice, *(f"thing {n}" for n in range(6)))
    drawn = await database_sync_to_async(history.the_map)(chat, alice)
    assert [(row.kind, row.count, row.column) for row in drawn.rows] == [
        ("message", 1, 0), ("run", 9, 0), ("message", 1, 0), ("message", 1, 1), ("message", 1, 0),
    ]  # fmt: skip
    fold, old, new = drawn.rows[1], *await database_sync_to_async(history.load)(drawn.rows[3:])
    assert (old.versions, old.on_path, old.leaves) == ("1/2", False, 0)
    assert (new.versions, new.here, new.model, new.up) == ("2/2", True, "other", True)
    opened = await database_sync_to_async(lambda: history.the_map(chat, alice, opened=[fold.id]))()
    assert [row.kind for row in opened.rows] == ["message"] * 13
    client = await database_sync_to_async(signed_in)(alice)
    page = (await database_sync_to_async(client.get)(f"/c/{chat.pk}/history/")).content.decode()
    assert "9 messages, one after another" in page and "you are here" in page and "2 branches · 13 messages" in page
    told = (await database_sync_to_async(client.get)(f"/c/{chat.pk}/history/?show=steps")).content.decode()
    assert told.count("</b> asked") == 5 and "began the chat" in told and "tried an answer again “other”" in told


async def test_a_map_of_many_branches_folds_versions_and_costs_few_queries(
    alice: Person, django_assert_max_num_queries: Any
) -> None:
    chat = await Chat.objects.acreate(owner=alice)

    def grow() -> Message:
        root = Message.objects.create(chat=chat, role="person", author=alice, settled=True)
        rows = [
            Message(chat=chat, role="person", author=alice, settled=True, parent=root, depth=1, client_id=uuid4())
            for _ in range(300)
        ]
        Message.objects.bulk_create(rows)
        tree.stand(chat, alice, root)
        return root

    root = await database_sync_to_async(grow)()

    def look(**how: Any) -> history.Map:
        with django_assert_max_num_queries(16):
            drawn = history.the_map(chat, alice, **how)
            history.load(drawn.rows[: history.WINDOW])
            return drawn

    few = await database_sync_to_async(look)()
    assert [(row.kind, row.count) for row in few.rows[:2]] == [("message", 1), ("versions", 296)]
    assert (len(few.rows), few.branches, few.messages) == (6, 300, 301)
    assert len((await database_sync_to_async(lambda: look(opened=[root.pk]))()).rows) == 301
    assert len((await database_sync_to_async(lambda: look(by="branches"))()).rows) == 300


async def test_a_branch_is_taken_away_to_read(alice: Person) -> None:
    chat = await talked(alice, "tea")
    client = await database_sync_to_async(signed_in)(alice)
    get = database_sync_to_async(client.get)
    text = (await get(f"/c/{chat.pk}/export/md/")).content.decode()
    assert "# tea" in text and "Otherwise." in text and "*other*" in text and "About tea." not in text
    branch = [json.loads(line) for line in (await get(f"/c/{chat.pk}/export/jsonl/?branch")).content.splitlines()]
    assert [line.get("role") for line in branch] == [None, "person", "model", None]
    assert branch[2]["parent"] == branch[1]["n"] and branch[2]["run"]["manifest"]["model"] == "other"
    whole = (await get(f"/c/{chat.pk}/export/jsonl/")).content.splitlines()
    assert len(whole) == 5, "the answer that was left, too"
    assert (await get(f"/c/{chat.pk}/export/exe/")).status_code == 404
