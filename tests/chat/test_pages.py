"""The pages of a chat: what their owner sees, and that to others they are not there."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from PIL import Image

from chat import access, tree
from chat.models import Blob, Chat, Message, MessageBlob
from workspace.accounts.models import Person, Role
from workspace.router.models import Run, RunEvent
from workspace.router.states import RunState

pytestmark = pytest.mark.django_db


def question(chat: Chat, text: str, parent: Message | None = None, author: Person | None = None) -> Message:
    return Message.objects.create(
        chat=chat,
        parent=parent,
        role="person",
        author=author or chat.owner,
        settled=True,
        depth=parent.depth + 1 if parent else 0,
        parts=[{"kind": "text", "text": text}],
    )


def answer(asked: Message, text: str, **run: Any) -> Message:
    made = Run.objects.create(
        **{"state": RunState.DONE, "text": text, "manifest": {"model": "plain", "usage": None}, **run}
    )
    settled = made.state == RunState.DONE
    parts = [{"kind": "text", "text": text}] if settled else []
    return Message.objects.create(
        chat=asked.chat, parent=asked, role="model", run=made, depth=asked.depth + 1, parts=parts, settled=settled
    )


@pytest.fixture
def chat(alice: Person) -> Chat:
    chat = Chat.objects.create(owner=alice, title="Bridges")
    asked = question(chat, "Which bridge?")
    answer(asked, "The **old** one.")
    answer(asked, "The new one.")
    return chat


@pytest.fixture
def page(client: Client, alice: Person) -> Client:
    client.force_login(alice)
    return client


def text(response: Any) -> str:
    return str(response.content.decode())


def test_a_chat_shows_where_its_owner_stands(page: Client, chat: Chat) -> None:
    html = text(page.get(reverse("chat", args=[chat.pk])))
    assert "Which bridge?" in html and "The new one." in html
    assert "The <strong>old</strong> one." not in html
    assert "<b>2/2</b>" in html


def test_the_other_version_is_one_request_away_and_kept(page: Client, chat: Chat) -> None:
    first = Message.objects.filter(chat=chat, role="model").order_by("id").first()
    assert first is not None
    html = text(page.post(reverse("chat-place", args=[chat.pk]), {"message": first.pk}))
    assert "The <strong>old</strong> one." in html and "<b>1/2</b>" in html
    assert "The <strong>old</strong> one." in text(page.get(reverse("chat", args=[chat.pk])))


def test_each_person_keeps_a_place_of_their_own(chat: Chat, alice: Person, bob: Person) -> None:
    first, second = Message.objects.filter(chat=chat, role="model").order_by("id")
    tree.stand(chat, alice, first)
    tree.stand(chat, bob, second)
    places = [tree.place_of(chat, person) for person in (alice, bob)]
    assert places == [first, second]


def test_a_running_answer_shows_what_the_journal_holds(page: Client, chat: Chat) -> None:
    live = answer(question(chat, "And now?"), "", state=RunState.RUNNING)
    RunEvent.objects.create(run=live.run, seq=3, kind="delta", data=json.dumps(["Closed.\n\nOp", "en"]))
    tree.stand(chat, chat.owner, live)
    html = text(page.get(reverse("chat", args=[chat.pk])))
    assert '<div class="closed"><p>Closed.</p>' in html and '<div class="tail">Open</div>' in html
    assert 'data-seq="3"' in html and 'data-do="stop"' in html


def test_an_interrupted_answer_offers_to_continue(page: Client, chat: Chat) -> None:
    failure = {"cause": "The server stopped.", "action": "Continue it."}
    cut = answer(question(chat, "And now?"), "Half", state=RunState.INTERRUPTED, failure=failure)
    tree.stand(chat, chat.owner, cut)
    html = text(page.get(reverse("chat", args=[chat.pk])))
    assert "Half" in html and "The server stopped." in html and 'data-do="continue"' in html
    after = answer(question(chat, "Why half?", cut), "Because.")
    tree.stand(chat, chat.owner, after)
    html = text(page.get(reverse("chat", args=[chat.pk])))
    assert "Half" in html and 'data-do="continue"' not in html, "what was asked of it was asked of it as it is"


def test_a_models_words_cannot_run_in_the_page(page: Client, chat: Chat) -> None:
    asked = question(chat, "<script>alert(1)</script>")
    tree.stand(chat, chat.owner, answer(asked, "<img src=x onerror=alert(1)> [a](javascript:alert(1))"))
    response = page.get(reverse("chat", args=[chat.pk]))
    html = text(response)
    assert "<script>alert" not in html and "<img src=x" not in html and 'href="javascript' not in html
    assert "script-src 'self' 'nonce-" in response["Content-Security-Policy"]


def test_a_deleted_chat_leaves_the_index_and_comes_back(page: Client, chat: Chat) -> None:
    page.post(reverse("chat-delete", args=[chat.pk]))
    home = text(page.get("/"))
    assert "The chat is deleted." in home and page.get(reverse("chat", args=[chat.pk])).status_code == 404
    page.post(reverse("chat-delete", args=[chat.pk]), {"undo": "1"})
    assert page.get(reverse("chat", args=[chat.pk])).status_code == 200


def test_a_title_is_changed_and_an_empty_one_refused(page: Client, chat: Chat) -> None:
    assert page.post(reverse("chat-rename", args=[chat.pk]), {"title": "  Old   bridges "}).json() == {
        "title": "Old bridges"
    }
    assert page.post(reverse("chat-rename", args=[chat.pk]), {"title": " "}).status_code == 400


def png(width: int = 4, height: int = 3) -> io.BytesIO:
    file = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(file, "PNG")
    file.seek(0)
    file.name = "red.png"
    return file


def test_an_image_is_stored_once_and_shown(page: Client) -> None:
    first, second = (page.post(reverse("blobs"), {"file": png()}).json() for _ in range(2))
    assert first["digest"] == second["digest"] and (first["width"], first["height"]) == (4, 3)
    assert Blob.objects.count() == 1
    shown = page.get(first["url"])
    assert shown["Content-Type"] == "image/png" and shown["X-Content-Type-Options"] == "nosniff"
    assert b"".join(shown.streaming_content) == png().read()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "a.svg"),
        (b"", "a.png"),
        (b"\x89PNG\r\n\x1a\n broken", "a.png"),
        (b"GIF89a", "a.gif"),
        (b"%PDF-1.7", "a.png"),
    ],
)
def test_what_is_no_raster_image_is_refused_in_words(page: Client, content: bytes, name: str) -> None:
    file = io.BytesIO(content)
    file.name = name
    said = page.post(reverse("blobs"), {"file": file})
    assert said.status_code == 400 and said.json()["cause"] and said.json()["action"]
    assert not Blob.objects.exists()


def test_an_image_of_too_many_bytes_or_pixels_is_refused(page: Client, settings: Any) -> None:
    settings.MAX_UPLOAD = 10
    assert page.post(reverse("blobs"), {"file": png()}).status_code == 413
    settings.MAX_UPLOAD = 10_000_000
    assert "pixels" in page.post(reverse("blobs"), {"file": png(10_000, 5_100)}).json()["cause"]


def test_an_answer_is_copied_as_its_model_wrote_it(page: Client, chat: Chat) -> None:
    said = Message.objects.filter(chat=chat, role="model").order_by("id").first()
    assert said and text(page.get(reverse("run-text", args=[said.run_id]))) == "The **old** one."


def test_to_everybody_else_a_chat_is_not_there(client: Client, chat: Chat, bob: Person, charlie: Person) -> None:
    """Every address of a chat, its runs and its pictures, for a stranger and for somebody signed out."""
    said = Message.objects.filter(chat=chat, role="model").first()
    asked = Message.objects.filter(chat=chat, role="person").first()
    assert said and asked
    blob = Blob.objects.create(digest="a" * 64, media_type="image/png", size=1)
    MessageBlob.objects.create(message=asked, blob=blob)
    addresses = [
        ("get", reverse("chat", args=[chat.pk])),
        ("post", reverse("chat-place", args=[chat.pk])),
        ("post", reverse("chat-rename", args=[chat.pk])),
        ("post", reverse("chat-delete", args=[chat.pk])),
        ("get", reverse("run-why", args=[said.run_id])),
        ("get", reverse("run-manifest", args=[said.run_id])),
        ("get", reverse("run-text", args=[said.run_id])),
        ("get", reverse("blob", args=[blob.digest])),
    ]
    for method, address in addresses:
        assert getattr(client, method)(address).url.startswith(reverse("sign-in")), address
    client.force_login(charlie)
    for method, address in addresses:
        assert getattr(client, method)(address, {"title": "Mine"}).status_code == 404, address
    assert access.blob_for(chat.owner, blob.digest) == blob


def test_a_viewer_reads_and_does_not_write(client: Client, chat: Chat) -> None:
    chat.owner.role = Role.VIEWER
    chat.owner.save(update_fields=["role"])
    client.force_login(chat.owner)
    assert "Your role may read chats" in text(client.get(reverse("chat", args=[chat.pk])))
    assert client.post(reverse("blobs"), {"file": png()}).status_code == 403


def test_a_page_is_drawn_in_the_chosen_theme_from_the_start(page: Client) -> None:
    page.cookies["theme"] = "dark"
    assert '<html lang="en" data-theme="dark">' in text(page.get("/"))
    page.cookies["theme"] = '"><script>'
    assert "<script>" not in text(page.get("/")).split("<head>")[0]
