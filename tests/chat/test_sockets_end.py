"""Sockets end with the rights they were opened by: nobody hears a word that they may not read any more."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any
from uuid import uuid4

import orjson
import pytest
from channels.db import database_sync_to_async
from django.test import Client
from django.urls import reverse

from chat.consumers import SIGNED_OUT
from chat.models import Chat, ChatShare
from chat.standing import watch
from tests.scripted import add_model, say
from tests.tab import Tab, session_of, tab
from workspace.accounts.models import Person, Role
from workspace.accounts.sessions import tell_changed
from workspace.accounts.sessions import topic_of as topic_of_person
from workspace.hub import hub
from workspace.router.models import Run

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("live", "scripted")]

CLOSED = {"type": "websocket.close", "code": SIGNED_OUT}


class Writing:
    """Alice's shared chat in the middle of an answer; ``go_on`` says the rest."""

    def __init__(self, alice: Tab, chat: str, run: str, gate: asyncio.Event) -> None:
        self.alice, self.chat, self.run, self.gate = alice, chat, run, gate

    async def go_on(self) -> None:
        self.gate.set()
        assert (await self.alice.hear("settled"))["state"] == "done"


async def begin(alice: Tab, **share: Any) -> Writing:
    gate = asyncio.Event()
    say("Before. ", gate, "After.")
    await alice.tell("send", client_id=uuid4(), text="Tell me", model="plain")
    started = await alice.hear("started")
    await alice.hear("delta")
    if share:
        await ChatShare.objects.acreate(chat_id=started["chat"], **share)
    return Writing(alice, started["chat"], started["run"], gate)


async def follow(page: Tab, writing: Writing) -> None:
    await page.tell("open", chat=writing.chat, seen={writing.run: 0})
    assert (await page.hear("delta"))["text"] == "Before. "
    await page.hear("opened")


@pytest.fixture
def model(transactional_db: Any) -> None:
    add_model("plain")


@pytest.mark.usefixtures("model")
async def test_a_reader_follows_a_stream_and_may_not_write(alice: Person, bob: Person) -> None:
    async with tab(alice) as owner, tab(bob) as guest:
        writing = await begin(owner, person=bob)
        await follow(guest, writing)
        await guest.tell("send", client_id=uuid4(), chat=writing.chat, text="Mine", model="plain")
        assert (await guest.hear("refused"))["code"] == "read_only"
        await writing.go_on()
        assert "After." in (await guest.hear("settled"))["html"]


@pytest.mark.usefixtures("model")
async def test_the_run_of_a_guests_question_is_the_guests(alice: Person, bob: Person) -> None:
    async with tab(alice) as owner, tab(bob) as guest:
        writing = await begin(owner, person=bob, may_write=True)
        await follow(guest, writing)
        await writing.go_on()
        say("For Bob.")
        await guest.tell("send", client_id=uuid4(), chat=writing.chat, text="Mine", model="plain")
        heard = await owner.hear("started")
        assert heard["question"]["author"] == "bob"
        assert (await Run.objects.aget(pk=heard["run"])).person_id == bob.pk
        await guest.hear("settled")


@pytest.mark.usefixtures("model")
@pytest.mark.parametrize("news", ["all", "this session"])
async def test_a_sign_out_ends_the_stream_at_once_and_the_run_goes_on(alice: Person, bob: Person, news: str) -> None:
    session = await database_sync_to_async(session_of)(bob)
    async with tab(alice) as owner, tab(bob, session) as guest, tab(bob) as elsewhere:
        writing = await begin(owner, person=bob)
        await follow(guest, writing)
        await follow(elsewhere, writing)
        ended = "all" if news == "all" else [hashlib.sha256(str(session.session_key).encode()).hexdigest()]
        await hub().tell(topic_of_person(bob.pk), orjson.dumps({"ended": ended}))
        assert await guest.receive_output(timeout=5) == CLOSED
        await writing.go_on()
        assert await guest.receive_nothing(timeout=0.05)
        if news == "all":
            assert await elsewhere.receive_output(timeout=5) == CLOSED
        else:
            await elsewhere.hear("settled")


@pytest.mark.usefixtures("model")
async def test_somebody_switched_off_hears_no_more(alice: Person, bob: Person) -> None:
    async with tab(alice) as owner, tab(bob) as guest:
        writing = await begin(owner, person=bob)
        await follow(guest, writing)
        await Person.objects.filter(pk=bob.pk).aupdate(is_active=False)
        await database_sync_to_async(tell_changed)([bob.pk])
        await writing.go_on()
        assert await guest.receive_output(timeout=5) == CLOSED
        assert await guest.receive_nothing(timeout=0.05)


@pytest.mark.usefixtures("model")
async def test_a_demoted_writer_is_told_and_goes_on_reading(alice: Person, bob: Person) -> None:
    async with tab(alice) as owner, tab(bob) as guest:
        writing = await begin(owner, person=bob, may_write=True)
        await follow(guest, writing)
        await Person.objects.filter(pk=bob.pk).aupdate(role=Role.VIEWER)
        await database_sync_to_async(tell_changed)([bob.pk])
        told = await guest.hear("access", "settled")
        assert told["type"] == "access" and told["may_read"] and not told["may_write"]
        await writing.go_on()
        await guest.hear("settled")


@pytest.mark.usefixtures("model")
async def test_an_unshared_chat_falls_silent_and_the_socket_stays(alice: Person, bob: Person) -> None:
    async with tab(alice) as owner, tab(bob) as guest:
        writing = await begin(owner, person=bob)
        await follow(guest, writing)
        share = await ChatShare.objects.aget()
        unshare = {"share": str(share.pk), "rights": "none"}
        response = await database_sync_to_async(page_of)(alice, "chat-share", writing.chat, unshare)
        assert response.status_code == 200
        await writing.go_on()
        told = await guest.hear("access", "delta", "settled")
        assert told["type"] == "access" and not told["may_read"] and told["cause"] and told["action"]
        assert await guest.receive_nothing(timeout=0.05)
        await guest.tell("open", chat=writing.chat)
        assert (await guest.hear("refused"))["code"] == "not_found"


@pytest.mark.usefixtures("model")
async def test_a_deleted_chat_falls_silent_for_everybody(alice: Person, bob: Person) -> None:
    async with tab(alice) as owner, tab(bob) as guest:
        writing = await begin(owner, person=bob)
        await follow(guest, writing)
        await database_sync_to_async(page_of)(alice, "chat-delete", writing.chat, {})
        for page in (owner, guest):
            assert not (await page.hear("access"))["may_read"]
        writing.gate.set()
        assert await guest.receive_nothing(timeout=0.05)


@pytest.mark.usefixtures("model")
@pytest.mark.parametrize("change", ["session", "expiry", "person", "password", "share"])
async def test_what_nobody_told_is_found_by_looking_at_all_at_once(alice: Person, bob: Person, change: str) -> None:
    """As another process without Redis would change it."""
    session = await database_sync_to_async(session_of)(bob)
    async with tab(alice) as owner, tab(bob, session) as guest:
        writing = await begin(owner, person=bob)
        await follow(guest, writing)
        row = session.get_model_class().objects.filter(pk=session.session_key)  # type: ignore[attr-defined]
        match change:
            case "session":
                await row.adelete()
            case "expiry":
                await row.aupdate(expire_date="2020-01-01T00:00Z")
            case "person":
                await Person.objects.filter(pk=bob.pk).aupdate(is_active=False)
            case "password":
                await Person.objects.filter(pk=bob.pk).aupdate(password="!changed")
            case "share":
                await ChatShare.objects.all().adelete()
        await watch().look()
        if change == "share":
            assert not (await guest.hear("access"))["may_read"]
        else:
            assert await guest.receive_output(timeout=5) == CLOSED
        await writing.go_on()
        assert await guest.receive_nothing(timeout=0.05)


@pytest.mark.usefixtures("model")
async def test_one_look_costs_the_same_for_one_socket_and_for_many(
    alice: Person, bob: Person, django_assert_num_queries: Any
) -> None:
    from chat.standing import Claim, standings

    password = alice.get_session_auth_hash()
    chats = [await Chat.objects.acreate(owner=alice) for _ in range(5)]
    claims = [Claim(person=p.pk, session="k", password=password, chat=c.pk) for c in chats for p in (alice, bob)]

    def look() -> None:
        for some in (claims[:1], claims):
            with django_assert_num_queries(3):
                standings(some)

    await database_sync_to_async(look)()


@pytest.mark.usefixtures("model")
async def test_a_session_that_ended_before_the_socket_opened_is_refused(bob: Person) -> None:
    """The person was read with the handshake; what changed since is looked at once the socket listens."""
    session = await database_sync_to_async(session_of)(bob)
    await database_sync_to_async(session.delete)()
    async with tab(bob, session) as page:
        assert await page.receive_output(timeout=5) == CLOSED


def page_of(person: Person, name: str, chat: str, values: dict[str, str]) -> Any:
    client = Client()
    client.force_login(person)
    return client.post(reverse(name, args=[chat]), values)
