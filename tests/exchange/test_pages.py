"""Files brought and taken on their pages, links to a branch as it was, and personas, by the address."""

from __future__ import annotations

import io
import json
import re
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from pypdf import PdfReader

from chat import chain, tree
from chat.exchange.incoming import bring_in
from chat.exchange.reading import parse
from chat.models import Chat, ChatShare, Message, ShareLink
from chat.requests import request_for
from retrieval.models import Collection, Document
from tests.exchange import samples
from tests.exchange.test_foreign import FILES, packed, png, with_pictures
from tests.exchange.test_lossless import answer, grow, say
from workspace.accounts.models import Person
from workspace.router import frozen
from workspace.router.models import PromptTemplate, Run
from workspace.types import Evidence, Manifest, sha256

pytestmark = pytest.mark.django_db


def signed_in(person: Person) -> Client:
    client = Client()
    client.force_login(person)
    return client


def file(value: Any, name: str = "conversations.json") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, value if isinstance(value, bytes) else json.dumps(value).encode())


def link(client: Client, chat: Chat, **form: str) -> str:
    page = client.post(f"/c/{chat.pk}/links/", {"days": "7", **form}).content.decode()
    found = re.search(r'value="http://testserver(/s/[\w-]+/)"', page)
    assert found, page
    return found[1]


def test_an_export_is_brought_in_once_and_a_bad_one_not_at_all(alice: Person) -> None:
    client = signed_in(alice)
    page = client.post("/import/", {"file": file(samples.chatgpt())}).content.decode()
    assert "1 chat imported, 7 messages" in page
    chat = Chat.objects.get()
    shown = client.get(f"/c/{chat.pk}/").content.decode()
    assert "A cup." in shown and "gpt-5-2" in shown and "The file has no answer here" in shown
    assert (chat.imported.source, chat.deleted, chat.created.year) == ("ChatGPT", None, 2024)
    assert "were here already" not in page
    assert "1 was here already" in client.post("/import/", {"file": file(samples.chatgpt())}).content.decode()
    bad = client.post("/import/", {"file": file([*samples.chatgpt(), {"mapping": {"a": {"parent": "b"}}}])})
    assert bad.status_code == 400 and "Nothing was imported" in bad.content.decode()
    assert client.post("/import/").status_code == 400 and Chat.objects.count() == 1


def test_a_conversation_that_is_in_a_file_twice_comes_in_once(alice: Person) -> None:
    [tea] = samples.chatgpt()
    page = signed_in(alice).post("/import/", {"file": file([tea, tea])}).content.decode()
    assert "1 chat imported, 7 messages" in page and "1 was here already" in page and Chat.objects.count() == 1


def test_a_long_line_leaves_whole(alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "PART", 3)
    client = signed_in(alice)
    chat = grow(alice, [(0, "Turn 0")])
    for number in range(1, 7):
        last = chat.messages.order_by("-depth").first()
        answer(chat, alice, say(chat, alice, last, f"Turn {number}", 1), f"Answer {number}", 0)
    text = client.get(f"/c/{chat.pk}/export/md/").content.decode()
    at = [text.index(f"Turn {number}") for number in range(7)]
    assert at == sorted(at)
    branch = client.get(f"/c/{chat.pk}/export/jsonl/?branch").content
    assert branch == client.get(f"/c/{chat.pk}/export/jsonl/").content
    assert "14 messages" in client.get(f"/c/{chat.pk}/links/").content.decode()
    link(client, chat)
    assert len(ShareLink.objects.get().snapshot) == 14


def test_the_page_of_links_reads_no_answer(alice: Person) -> None:
    client = signed_in(alice)
    chat = grow(alice, [(0, "Turn 0")])
    link(client, chat)
    revoke = f"/c/{chat.pk}/links/{ShareLink.objects.get().pk}/revoke/"
    with CaptureQueriesContext(connection) as few:
        page = client.get(f"/c/{chat.pk}/links/").content.decode()
    assert not any('"manifest"' in one["sql"] for one in few), "it tells how many messages, and none of them"
    assert "<b>2 messages</b>" in page
    with CaptureQueriesContext(connection) as more:
        client.post(revoke)
    counted = 'ARRAY_LENGTH("chat_sharelink"."snapshot")'
    told = [one["sql"].replace(counted, "") for one in (*few, *more)]
    assert not any('"snapshot"' in one for one in told), "nor what a link shows"


def test_an_archive_is_brought_in_whole_and_what_was_left_of_it_is_named(alice: Person) -> None:
    parts = {f"conversations-00{part}.json": [{**samples.chatgpt()[0], "title": f"Part {part}"}] for part in range(2)}
    page = signed_in(alice).post("/import/", {"file": file(packed({**parts, "user.json": {}}), "chats.zip")})
    words = page.content.decode()
    assert "2 chats imported, 14 messages" in words and "Part 0" in words and "Part 1" in words
    assert "Left out: outputs of tools (2), user.json." in words


def test_pictures_of_an_archive_are_shown_kept_and_told_to_a_model_if_a_person_brought_them(alice: Person) -> None:
    client = signed_in(alice)
    data = packed({"conversations.json": with_pictures(), **FILES})
    assert "1 chat imported" in client.post("/import/", {"file": file(data, "chats.zip")}).content.decode()
    chat = Chat.objects.get()
    page = client.get(f"/c/{chat.pk}/").content.decode()
    for colour, words in (("green", "Attached picture"), ("red", "Picture of the answer")):
        address = reverse("blob", args=[sha256(png(colour))])
        assert f'<img src="{address}" alt="{words}"' in page
        assert client.get(address).getvalue() == png(colour)
    question = Message.objects.get(chat=chat, parts__icontains="And this?")
    below = say(chat, alice, question.children.get(), "More?", 1)
    asked = request_for(alice, chat, below, model="plain").messages
    assert [(one.role, [part.kind for part in one.parts]) for one in asked[-3:]] == [
        ("person", ["text", "image"]),
        ("model", ["text"]),
        ("person", ["text"]),
    ]
    own = client.get(f"/c/{chat.pk}/export/jsonl/").content
    [copy] = bring_in(alice, parse(own, 10_000_000), again=True).chats
    assert client.get(f"/c/{copy.pk}/export/jsonl/").content == own and not list(chain.verify())


def test_a_branch_is_taken_as_markdown_page_and_pdf_in_any_script(alice: Person) -> None:
    client = signed_in(alice)
    chat = grow(alice, [(1, "Tea? שלום नमस्ते 你好 😀")], title="Чай 茶")
    text = client.get(f"/c/{chat.pk}/export/md/").content.decode()
    assert "# Чай 茶" in text and "*plain*" in text
    page = client.get(f"/c/{chat.pk}/export/html/")
    assert "attachment" in page["Content-Disposition"] and "你好" in page.content.decode()
    assert "<script" not in page.content.decode()
    pdf = client.get(f"/c/{chat.pk}/export/pdf/")
    assert pdf["Content-Type"] == "application/pdf"
    read = PdfReader(io.BytesIO(pdf.content)).pages[0].extract_text()
    assert "Чай" in read and "नम" in read and "你好" in read
    assert client.get(f"/c/{chat.pk}/export/exe/").status_code == 404


def test_a_link_shows_the_branch_as_it_was_and_its_reader_goes_on(alice: Person, bob: Person) -> None:
    owner, reader = signed_in(alice), signed_in(bob)
    chat = grow(alice, [(0, "What is tea?")])
    address = link(owner, chat)
    say(chat, alice, chat.messages.filter(role="model").first(), "Said later", 1)
    page = reader.get(address).content.decode()
    assert "What is tea?" in page and "Said later" not in page
    went = reader.post(f"{address}fork/")
    own = Chat.objects.get(owner=bob)
    assert went["Location"] == f"/c/{own.pk}/" and own.messages.count() == 2
    asked = own.messages.get(role="person")
    assert asked.author is None and asked.author_name == "somebody else"
    run, old = own.messages.get(role="model").run, chat.messages.filter(role="model").first().run
    assert run and run.imported and run.manifest == old.manifest and run.manifest["parameters"] == {"temperature": 0.3}
    assert (own.made_by, "alice shared by link" in own.imported.name) == (bob, True)
    page = reader.get(f"/c/{own.pk}/").content.decode()
    assert "A copy of “Tree”, which alice shared by link" in page
    assert not list(chain.verify())


def test_an_older_link_that_kept_no_manifests_can_be_gone_on_from(alice: Person, bob: Person) -> None:
    address = link(signed_in(alice), grow(alice, [(0, "What is tea?")]))
    row = ShareLink.objects.get()
    row.snapshot = [{name: value for name, value in one.items() if name != "line"} for one in row.snapshot]
    row.save()
    signed_in(bob).post(f"{address}fork/")
    run = Chat.objects.get(owner=bob).messages.get(role="model").run
    assert run and run.manifest["model"] == "plain" and run.manifest["finish_reason"] == "imported"


def test_absent_expired_revoked_and_private_links_look_alike(alice: Person, bob: Person) -> None:
    owner, reader, nobody = signed_in(alice), signed_in(bob), Client()
    chat = grow(alice, [(0, "What is tea?")])
    kept, expired, revoked, public = (link(owner, chat, **form) for form in ({}, {}, {}, {"public": "1"}))
    rows = list(ShareLink.objects.order_by("created"))
    ShareLink.objects.filter(pk=rows[1].pk).update(expires=timezone.now() - timedelta(seconds=1))
    assert owner.post(f"/c/{chat.pk}/links/{rows[2].pk}/revoke/").status_code == 302
    assert (reader.get(kept).status_code, nobody.get(public).status_code) == (200, 200)
    gone = [reader.get(each) for each in (expired, revoked, f"/s/{'x' * 32}/")]
    assert {each.status_code for each in gone} == {404} and len({each.content for each in gone}) == 1
    outside = [nobody.get(each) for each in (kept, expired, revoked, f"/s/{'x' * 32}/")]
    assert {each.status_code for each in outside} == {302}
    assert {each["Location"].split("?")[0] for each in outside} == {"/sign-in/"}
    Chat.objects.filter(pk=chat.pk).update(deleted=timezone.now())
    assert reader.get(kept).status_code == 404
    assert signed_in(bob).post(f"/c/{chat.pk}/links/", {"days": "7"}).status_code == 404


def test_a_link_shows_no_document_that_its_reader_may_not_see_and_no_blind_lane(alice: Person, bob: Person) -> None:
    owner, reader = signed_in(alice), signed_in(bob)
    shelf = Collection.objects.create(name="Orchard", owner=alice)
    document = Document.objects.create(collection=shelf, title="Pruning plan", name="p", digest="0" * 64, state="ready")
    chat = Chat.objects.create(owner=alice, title="Trees")
    question = say(chat, alice, None, "When?", 1)
    told = answer(chat, alice, question, "In winter [1].", 0)
    words = "Apple trees in January."
    passage = Evidence(
        number=1, chunk_id="c", document_id=str(document.pk), title=document.title, text=words, digest=sha256(words),
        score=0.5,
    )  # fmt: skip
    shelves = ({"id": str(shelf.pk), "name": shelf.name, "state": 1, "digest": ""},)
    text = sha256("In winter [1].")
    manifest = Manifest(model="plain", text_digest=text, evidence=(passage,), collections=shelves).as_dict()
    frozen.lift()
    Run.objects.filter(pk=told.run_id).update(manifest=manifest, evidence=manifest["evidence"])
    address = link(owner, chat)
    assert "January" in owner.get(address).content.decode()
    page = reader.get(address).content.decode()
    assert "January" not in page and "Pruning plan" not in page and "A document that you may not see" in page
    for person, client, sees in ((alice, owner, True), (bob, reader, False)):
        own = Chat.objects.get(pk=client.post(f"{address}fork/")["Location"].split("/")[2])
        run = own.messages.get(role="model").run
        assert run and ("January" in json.dumps([run.manifest, run.evidence])) is sees
        assert ("Orchard" in json.dumps(run.manifest)) is sees and run.evidence[0]["number"] == 1
        assert not list(chain.verify_chat(own, chain.Versions())), person
        assert client.get(f"/c/{own.pk}/").status_code == 200
    blind = answer(chat, alice, say(chat, alice, told, "And then?", 1), "Secret lane", 0)
    Run.objects.filter(pk=blind.run_id).update(withheld=True)
    page = reader.get(link(owner, chat, message=str(blind.pk))).content.decode()
    assert "And then?" in page and "Secret lane" not in page
    Run.objects.filter(pk=blind.run_id).update(withheld=False)
    ChatShare.objects.create(chat=chat, person=bob, may_write=True)
    assert reader.get(f"/c/{chat.pk}/links/").status_code == 403, "its owner alone shares it by link"


def test_a_persona_has_versions_variables_and_a_preview(alice: Person, bob: Person) -> None:
    client = signed_in(alice)
    form = {
        "title": "Teacher",
        "system": "You teach {audience}, {person}. {unknown} stays.",
        "variables": "audience = all",
    }
    preview = client.post("/personas/", {**form, "preview": "1"}).content.decode()
    assert "You teach all, alice. {unknown} stays." in preview and not PromptTemplate.objects.filter(owner=alice)
    address = client.post("/personas/", form)["Location"]
    client.post(address, {**form, "system": "You teach {audience} briefly."})
    page = client.get(address).content.decode()
    assert "Version 2" in page and "<ins>" in page
    row = PromptTemplate.objects.get(owner=alice)
    assert row.current and row.current.number == 2
    client.post(address, {"use": "1"})
    row.refresh_from_db()
    assert row.current and row.current.number == 1 and row.versions.count() == 2
    assert client.post(address, {**form, "system": " "}).status_code == 400
    for line, told in (
        ("Audience: all", "is no variable"),
        ("date = now", "{date} stands for itself"),
        ("a = 1\na = 2", "{a} is there twice"),
        (f"a = {'x' * 5_000}", "Shorten it"),
        ("\n".join(f"v{n} = {n}" for n in range(21)), "At most 20"),
    ):
        for wanted in ({}, {"preview": "1"}):
            refused = client.post(address, {**form, "variables": line, **wanted})
            assert refused.status_code == 400 and told in refused.content.decode(), line
            assert line[:20] in refused.content.decode(), "what was typed stays"
    other = signed_in(bob)
    assert other.get(address).status_code == 404 and "Teacher" not in other.get("/personas/").content.decode()
    client.post(address, {"delete": "1"})
    assert client.get(address).status_code == 404 and row.versions.count() == 2, "answers still name its versions"
