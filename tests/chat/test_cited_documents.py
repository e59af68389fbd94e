"""What a citation opens: the exact characters, wherever they stand by now, or what was quoted of a text now gone."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.template.loader import render_to_string
from django.test import Client
from django.urls import reverse

from chat.models import Chat, Message
from chat.thread import Passages
from retrieval.models import Collection, CollectionShare, Document
from workspace.accounts.models import Person
from workspace.router.models import Run
from workspace.types import sha256

pytestmark = pytest.mark.django_db

TEXT = "# Ferry\n\nThe ferry leaves at dawn.\n\nA ticket costs nine euros.\n"
QUOTED = "The ferry leaves at dawn."


@pytest.fixture
def document(alice: Person) -> Document:
    shelf = Collection.objects.create(name="Travel", owner=alice)
    return Document.objects.create(collection=shelf, title="Ferry", name="f.md", digest="d", text=TEXT, state="ready")


@pytest.fixture
def link(alice: Person, document: Document) -> str:
    """The link of a citation as an answer's page has it."""
    start = TEXT.index(QUOTED)
    passage = {
        "number": 2, "document_id": str(document.pk), "title": "Ferry", "text": QUOTED, "digest": sha256(QUOTED),
        "start": start, "end": start + len(QUOTED), "score": 0.9, "where": "",
    }  # fmt: skip
    chat = Chat.objects.create(owner=alice)
    asked = Message.objects.create(chat=chat, role="person", depth=0, settled=True)
    run = Run.objects.create(person=alice, state="done", text="At dawn [2].", evidence=[passage])
    Message.objects.create(chat=chat, parent=asked, role="model", run=run, depth=1, settled=True)
    shown = render_to_string("chat/_evidence.html", {"passages": Passages.of([passage]), "run_id": run.pk})
    found = re.search(r'href="([^"#]+)#passage"', shown)
    assert found
    return found[1].replace("&amp;", "&")


def opened(client: Client, person: Person, link: str) -> str:
    client.force_login(person)
    return client.get(link).content.decode()


def marked(page: str) -> Any:
    found = re.search(r'<mark id="passage" class="hl">(.*?)</mark>', page, re.DOTALL)
    return found and found[1]


def test_the_exact_characters_are_marked(client: Client, alice: Person, link: str) -> None:
    page = opened(client, alice, link)
    assert marked(page) == QUOTED and "has changed" not in page


def test_they_are_found_where_they_moved_to(client: Client, alice: Person, link: str) -> None:
    Document.objects.update(text=f"# Timetable\n\nNew this year.\n\n{TEXT}")
    assert marked(opened(client, alice, link)) == QUOTED


def test_of_a_text_that_is_gone_what_was_quoted_is_shown(client: Client, alice: Person, link: str) -> None:
    for text in (TEXT.replace("dawn", "noon"), "Short."):
        Document.objects.update(text=text)
        page = opened(client, alice, link)
        assert "The document has changed since this was quoted." in page and marked(page) is None
        assert QUOTED in re.search(r'<blockquote id="passage">(.*?)</blockquote>', page, re.DOTALL)[1]  # type: ignore[index]


def test_who_may_not_see_the_answer_is_not_shown_what_it_quoted(
    client: Client, bob: Person, document: Document, link: str
) -> None:
    CollectionShare.objects.create(collection=document.collection, person=bob)
    assert marked(opened(client, bob, link)) == QUOTED
    Document.objects.update(text="Nothing of it.")
    page = opened(client, bob, link)
    assert "has changed" in page and QUOTED not in page and "Nothing of it." in page


def test_a_link_of_no_sense_opens_the_text(client: Client, alice: Person, document: Document) -> None:
    address = reverse("document", args=[document.pk])
    for asked in ("start=5&end=2", "start=1&end=99999", "start=1&end=4&digest=ffff&run=no&passage=x", "digest=a"):
        assert "leaves at dawn" in opened(client, alice, f"{address}?{asked}")
