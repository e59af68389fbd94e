"""A branch of a chat becomes a suite: what was asked, said before, read and answered is kept; gold is written down."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from chat.models import Chat, Message
from workspace.accounts.models import Person
from workspace.measurement.models import Item, Suite
from workspace.router.models import Run

pytestmark = pytest.mark.django_db


@pytest.fixture
def chat(alice: Person) -> Chat:
    chat = Chat.objects.create(owner=alice, title="Bridges")
    tip = None
    for n, (asked, said) in enumerate([("Which bridge?", "The old one."), ("Who built it?", "Masons [1].")]):
        parts = [{"kind": "text", "text": asked}]
        tip = Message.objects.create(
            chat=chat, parent=tip, role="person", author=alice, settled=True, parts=parts, depth=2 * n
        )
        read = [{"number": 1, "title": "Town", "text": "Masons built it.", "where": ""}] if n else []
        run = Run.objects.create(person=alice, state="done", text=said, evidence=read, manifest={"model": "m"})
        tip = Message.objects.create(
            chat=chat, parent=tip, role="model", run=run, settled=True, parts=[{"kind": "text", "text": said}],
            depth=2 * n + 1,
        )  # fmt: skip
    return chat


@pytest.fixture
def browser(alice: Person) -> Client:
    client = Client()
    client.force_login(alice)
    return client


def test_a_branch_is_kept_as_a_suite(chat: Chat, browser: Client) -> None:
    address = f"/c/{chat.pk}/freeze/"
    page = browser.get(address).content.decode()
    assert "Who built it?" in page and "1 passage, 2 messages before it" in page
    answer = browser.post(address, {"name": "Masons", "keep-1": "1", "keep-2": "1", "gold-2": "masons\nbuilders"})
    suite = Suite.objects.get()
    assert answer.headers["location"] == f"/measure/?suite={suite.pk}#new" and suite.name == "Masons"
    first, second = Item.objects.order_by("position")
    assert (first.answers, first.reference, first.before, first.evidence) == (None, "The old one.", [], None)
    assert second.answers == ["masons", "builders"]
    assert second.evidence == [{"title": "Town", "text": "Masons built it."}]
    assert [one["text"] for one in second.before] == ["Which bridge?", "The old one."]
    assert "selected" in browser.get(f"/measure/?suite={suite.pk}").content.decode()
    Item.objects.create(suite=suite, position=3, key="q3", question="Who swam it?", answers=[])
    listed = browser.get("/measure/").content.decode().split("<h2>Suites</h2>")[1].split("</tr>")[1]
    counted = re.findall(r'data-label="(Questions|Without an answer|Open)">(\d+)<', listed)
    assert counted == [("Questions", "3"), ("Without an answer", "1"), ("Open", "1")]


def test_what_makes_no_suite_is_said(chat: Chat, browser: Client) -> None:
    address = f"/c/{chat.pk}/freeze/"
    assert "No question is chosen" in browser.post(address, {"name": "x"}).content.decode()
    both = {"keep-1": "1", "none-1": "1", "gold-1": "x"}
    assert "is said to have none" in browser.post(address, both).content.decode()
    assert not Suite.objects.exists()


def test_a_chat_of_somebody_else_is_not_there(chat: Chat, bob: Person) -> None:
    client = Client()
    client.force_login(bob)
    assert client.get(f"/c/{chat.pk}/freeze/").status_code == 404
