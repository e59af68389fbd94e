"""The websocket's door: who may do what with every frame, and what a tab hears."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import AnonymousUser

from chat.consumers import SIGNED_OUT
from chat.models import Chat, Message
from tests.scripted import add_model, say
from tests.tab import tab
from workspace.accounts.models import Person, Role
from workspace.wire import Ask

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("live", "scripted")]


@pytest.fixture
def model(transactional_db: Any) -> None:
    add_model("plain")


async def answered(person: Person, text: str = "Once.") -> Message:
    """A chat of this person with one settled answer."""
    say(text)
    async with tab(person) as first:
        await first.tell("send", client_id=uuid4(), text="Tell me", model="plain")
        started = await first.hear("started")
        await first.hear("settled")
    return await Message.objects.select_related("chat", "run", "parent").aget(pk=started["answer"])


@pytest.mark.usefixtures("model")
async def test_a_question_is_answered_in_order(alice: Person) -> None:
    say("Two ", "pieces.")
    async with tab(alice) as page:
        client_id = str(uuid4())
        await page.tell("send", client_id=client_id, text="Tell me", model="plain")
        started = await page.hear("started")
        assert started["client_id"] == client_id and started["question"]["text"] == "Tell me"
        seen, text = [], ""
        while (frame := await page.hear("decision", "delta", "settled"))["type"] != "settled":
            seen.append(frame["seq"])
            text += frame.get("text", "")
        assert text == "Two pieces." and seen == sorted(set(seen))
        assert frame["state"] == "done" and "Two pieces." in frame["html"]


@pytest.mark.usefixtures("model")
async def test_a_second_tab_hears_the_whole_answer(alice: Person) -> None:
    import asyncio

    gate = asyncio.Event()
    say("Before. ", gate, "After.")
    async with tab(alice) as first, tab(alice) as second:
        await first.tell("send", client_id=uuid4(), text="Tell me", model="plain")
        started = await first.hear("started")
        await first.hear("delta")
        await second.tell("open", chat=started["chat"], seen={started["run"]: 0})
        assert (await second.hear("delta"))["text"] == "Before. "
        assert (await second.hear("opened"))["live"] == [started["answer"]]
        gate.set()
        assert (await second.hear("settled"))["html"] == (await first.hear("settled"))["html"]


@pytest.mark.usefixtures("model")
async def test_a_tab_that_comes_back_gets_what_it_missed_and_no_more(alice: Person) -> None:
    answer = await answered(alice)
    assert answer.run
    async with tab(alice) as page:
        await page.tell("open", chat=answer.chat_id, seen={str(answer.run_id): answer.run.seq - 1})
        assert (await page.hear("settled"))["answer"] == str(answer.pk)
        await page.tell("open", chat=answer.chat_id, seen={str(answer.run_id): answer.run.seq})
        assert (await page.hear("settled", "opened"))["type"] == "opened"


async def test_a_stranger_without_a_session_is_sent_to_sign_in() -> None:
    async with tab(AnonymousUser()) as page:
        assert (await page.receive_output(timeout=5)) == {"type": "websocket.close", "code": SIGNED_OUT}


def frame_for(kind: Ask, answer: Message) -> dict[str, Any]:
    """A frame of every kind, aimed at somebody's chat. A new kind of frame must be added here, or the matrix fails."""
    return {
        Ask.OPEN: {"chat": answer.chat_id},
        Ask.SEND: {"client_id": uuid4(), "chat": answer.chat_id, "parent": answer.pk, "text": "More", "model": "plain"},
        Ask.RETRY: {"client_id": uuid4(), "chat": answer.chat_id, "message": answer.pk, "model": "plain"},
        Ask.CONTINUE: {"chat": answer.chat_id, "message": answer.pk},
        Ask.STOP: {"chat": answer.chat_id, "message": answer.pk},
        Ask.COMPARE: {
            "client_id": uuid4(),
            "chat": answer.chat_id,
            "parent": answer.pk,
            "text": "More",
            "lanes": [{"model": "plain"}] * 2,
        },
        Ask.FUSE: {"client_id": uuid4(), "chat": answer.chat_id, "comparison": uuid4(), "lanes": [str(answer.pk)]},
        Ask.LANE: {"client_id": uuid4(), "chat": answer.chat_id, "comparison": uuid4(), "model": "plain"},
        Ask.SUGGEST: {"id": 1, "text": "Describe how they cross"},
    }[kind]


OWNERS = {
    Ask.OPEN: "opened",
    Ask.SEND: "started",
    Ask.RETRY: "started",
    Ask.CONTINUE: "refused",
    Ask.STOP: None,
    Ask.SUGGEST: None,
    Ask.COMPARE: "compared",
    Ask.FUSE: "refused",  # there is no such comparison
    Ask.LANE: "refused",
}


@pytest.mark.usefixtures("model")
@pytest.mark.parametrize("kind", list(Ask))
@pytest.mark.parametrize("who", ["owner", "viewer", "demoted", "deactivated", "stranger"])
async def test_every_frame_is_decided_by_who_sends_it(alice: Person, charlie: Person, kind: Ask, who: str) -> None:
    answer = await answered(alice)
    asker = charlie if who == "stranger" else alice
    if who == "viewer":
        await Person.objects.filter(pk=alice.pk).aupdate(role=Role.VIEWER)
    async with tab(asker) as page:
        await page.send_to(text_data="nonsense")
        await page.hear("refused")  # it has looked who is there, and what follows happens to an open socket
        if who == "demoted":
            await Person.objects.filter(pk=alice.pk).aupdate(role=Role.VIEWER)
        if who == "deactivated":
            await Person.objects.filter(pk=alice.pk).aupdate(is_active=False)
        before = await Message.objects.acount()
        for _ in range({Ask.SEND: 1, Ask.RETRY: 1, Ask.COMPARE: 2}.get(kind, 0)):
            say("Again.")
        await page.tell(kind, **frame_for(kind, answer))
        if who == "owner" or (kind is Ask.SUGGEST and who == "stranger"):  # a draft belongs to no chat yet
            if OWNERS[kind]:
                assert (await page.hear(OWNERS[kind]))["type"]
            else:
                assert await page.receive_nothing(timeout=0.05)
        elif kind is Ask.OPEN and who in ("viewer", "demoted"):
            await page.hear("opened")  # a viewer reads
        else:
            code = {"stranger": "not_found", "deactivated": "signed_out"}.get(who, "viewer")
            assert (await page.hear("refused"))["code"] == code
            assert await Message.objects.acount() == before


@pytest.mark.usefixtures("model")
@pytest.mark.parametrize("kind", [Ask.RETRY, Ask.CONTINUE, Ask.STOP])
async def test_a_message_is_never_found_by_the_id_of_another_chat(alice: Person, kind: Ask) -> None:
    answer = await answered(alice)
    other = await Chat.objects.acreate(owner=alice)
    async with tab(alice) as page:
        await page.tell(kind, **{**frame_for(kind, answer), "chat": other.pk})
        assert (await page.hear("refused"))["code"] == "not_found"


@pytest.mark.usefixtures("model")
async def test_a_refused_frame_leaves_the_socket_working(alice: Person) -> None:
    async with tab(alice) as page:
        await page.send_to(text_data="nonsense")
        assert (await page.hear("refused"))["code"] == "bad_frame"
        await page.send_to(bytes_data=b"\xff\xfe")
        assert (await page.hear("refused"))["code"] == "bad_frame"
        say("Still here.")
        await page.tell("send", client_id=uuid4(), text="Are you there", model="plain")
        assert (await page.hear("settled"))["state"] == "done"
