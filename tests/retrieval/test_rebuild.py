"""Another embedding model: built beside the searched one, switched to when all is there, refused when it can't read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import httpx
import pytest
from asgiref.sync import async_to_sync
from django.db import transaction

from retrieval import ingest, presets, rebuild, spaces, tasks, verify
from retrieval.chunks import estimate
from retrieval.models import Collection, Document, Embedded, EmbeddingModel, SearchSettings
from workspace.accounts.models import Person
from workspace.hosts import link

pytestmark = pytest.mark.django_db(transaction=True)

State = EmbeddingModel.State
TEXT = "# Ferry\n\nThe ferry leaves at dawn.\n\n# Fares\n\nA ticket costs nine euros.\n"


class Index:
    """What the hosts hold: vectors by index, and which model made them."""

    def __init__(self) -> None:
        self.held: dict[str, dict[str, str]] = {}
        self.asked: list[str] = []
        self.left = -1  # batches until the model host goes away; -1 is never

    def embed(self, texts: Sequence[str], *, model: str = link.EMBEDDING) -> list[list[float]]:
        if self.left == 0:
            raise link.HostUnavailable("the model host is gone")
        self.left -= 1
        self.asked.append(model)
        return [[float(len(text)), 1.0] for text in texts]

    def lengths(self, texts: Sequence[str], *, model: str = link.EMBEDDING) -> list[int]:
        return [estimate(text) + 2 for text in texts]

    def upsert(self, index: str, *, document: str, ids: Sequence[str], vectors: Any) -> None:
        self.held.setdefault(index, {}).update(dict.fromkeys(ids, document))

    def delete(self, index: str, *, document: str) -> None:
        self.held[index] = {id: of for id, of in self.held.get(index, {}).items() if of != document}

    def drop(self, index: str) -> None:
        self.held.pop(index, None)


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Index:
    made = Index()
    for name in ("embed", "lengths", "upsert", "delete", "drop"):
        monkeypatch.setattr(link, name, getattr(made, name))
    monkeypatch.setattr(link, "embedding_model", lambda model: {"window": 512, "dimensions": 2})
    monkeypatch.setattr(link, "collections", lambda: list(made.held))
    monkeypatch.setattr(link, "half_renewed", list)
    monkeypatch.setattr(link, "ids_of", lambda id: made.held.get(id, {}))
    for task in (tasks.forget_index, tasks.forget_document):
        monkeypatch.setattr(task, "delay", task)
    monkeypatch.setattr(tasks.wipe, "delay", lambda: None)
    return made


@pytest.fixture
def shelf(alice: Person, index: Index) -> Collection:
    collection = Collection.objects.create(name="Travel", owner=alice)
    for number in range(3):
        add(collection, f"{number}.md")
    return collection


def add(collection: Collection, name: str) -> Document:
    document = Document.objects.create(collection=collection, title=name, name=name, digest=name, text=TEXT)
    ingest.ingest(document)
    return document


def other(**fields: Any) -> EmbeddingModel:
    return EmbeddingModel.objects.create(
        **{"name": "Other", "kind": "local", "model": "org/other", "window": 512} | fields
    )


def test_a_new_index_is_built_beside_the_searched_one_and_then_takes_its_place(shelf: Collection, index: Index) -> None:
    old = dict(index.held[str(shelf.pk)])
    row = other()
    rebuild.begin(row)
    assert (spaces.current().id, spaces.building()) == (0, spaces.space_of(row))
    assert rebuild.progress(row) == (0, 3)
    index.left = 2
    with pytest.raises(link.HostUnavailable):
        rebuild.build(row.pk)
    assert rebuild.progress(row) == (2, 3), "it goes on from here after a kill"
    assert spaces.current().id == 0 and index.held[str(shelf.pk)] == old, "searches go on in the old index"

    index.left = -1
    late = add(shelf, "late.md")
    assert rebuild.build(row.pk)
    assert spaces.current() == spaces.space_of(EmbeddingModel.objects.get(state=State.CURRENT))
    held = index.held[f"{shelf.pk}.{row.pk}"]
    assert set(held.values()) == {str(d.pk) for d in shelf.documents.all()} and str(late.pk) in held.values()
    assert str(shelf.pk) not in index.held, "the old vectors are dropped"
    assert not Embedded.objects.exists() and list(verify.differences()) == []
    assert index.asked[-1] == "org/other"
    with transaction.atomic():
        late.delete()
    assert str(late.pk) not in index.held[f"{shelf.pk}.{row.pk}"].values()


def test_what_is_deleted_meanwhile_is_gone_from_both(shelf: Collection, index: Index) -> None:
    row = other()
    rebuild.begin(row)
    index.left = 1
    with pytest.raises(link.HostUnavailable):
        rebuild.build(row.pk)
    gone = Document.objects.get(pk=Embedded.objects.get().document_id)
    with transaction.atomic():
        gone.delete()
    assert all(str(gone.pk) not in held.values() for held in index.held.values())


def test_a_document_that_is_deleted_while_it_is_embedded_leaves_nothing(
    shelf: Collection, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = other()
    rebuild.begin(row)
    document = shelf.documents.all()[0]
    embed = link.embed

    def late(texts: Sequence[str], **said: Any) -> list[list[float]]:
        Document.objects.filter(pk=document.pk).delete()
        return embed(texts, **said)

    monkeypatch.setattr(link, "embed", late)
    ingest.write_beside(document, spaces.space_of(row))
    assert str(document.pk) not in index.held[f"{shelf.pk}.{row.pk}"].values()


def test_a_build_that_is_given_up_leaves_nothing(shelf: Collection, index: Index) -> None:
    row = other()
    rebuild.begin(row)
    ingest.write_beside(shelf.documents.all()[0], spaces.space_of(row))
    rebuild.give_up(row)
    assert not rebuild.build(row.pk)
    assert spaces.building() is None and list(index.held) == [str(shelf.pk)] and not Embedded.objects.exists()


def test_a_model_that_reads_less_than_a_passage_is_refused(shelf: Collection, index: Index) -> None:
    small = EmbeddingModel(name="Small", kind="local", model="org/small", window=100)
    with pytest.raises(rebuild.NotFitting, match="Passages of 128 tokens and 16 of title do not fit"):
        rebuild.look_at(small)
    SearchSettings.objects.create(chunk_tokens=64, chunk_overlap=16)
    rebuild.look_at(small)
    assert (small.window, small.dimensions) == (100, 2)
    assert presets.size(spaces.space_of(small)).longest == 84


def test_passages_too_long_for_the_new_model_are_cut_anew(shelf: Collection, index: Index) -> None:
    document = shelf.documents.all()[0]
    document.text = "# Long\n\n" + " ".join(f"word{n}" for n in range(80)) + "."
    ingest.write_words(document)
    ingest.ingest(document)
    longest = max(estimate(chunk.text) for chunk in document.chunks.all())
    SearchSettings.objects.create(chunk_tokens=64, chunk_overlap=16)
    row = other(window=90)
    assert longest > 88
    rebuild.begin(row)
    assert rebuild.build(row.pk)
    assert all(estimate(chunk.text) <= 88 for chunk in document.chunks.all())


def test_passages_that_the_new_model_counts_longer_are_cut_for_both(
    shelf: Collection, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = link.lengths

    def lengths(texts: Sequence[str], *, model: str = link.EMBEDDING) -> list[int]:
        return [20 * len(text) for text in texts] if model == "org/other" else usual(texts, model=model)

    monkeypatch.setattr(link, "lengths", lengths)
    row = other()
    rebuild.begin(row)
    index.left = 4
    with pytest.raises(link.HostUnavailable):
        rebuild.build(row.pk)
    assert list(verify.differences()) == [], "what is searched has the same passages"
    index.left = -1
    assert rebuild.build(row.pk)
    for document in shelf.documents.all():
        assert all(len(chunk.text) * 20 <= 512 for chunk in document.chunks.all())
        assert (document.state, document.embedded) == ("ready", document.passages)
    assert list(verify.differences()) == []


def test_a_build_that_breaks_says_so_and_one_that_takes_long_lets_others_in_between(
    shelf: Collection, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    again: list[int] = []
    monkeypatch.setattr(tasks.build_index, "delay", again.append)
    row = other()
    rebuild.begin(row)
    with monkeypatch.context() as broken:
        broken.setattr(link, "upsert", lambda *_, **__: 1 / 0)
        tasks.build_index(row.pk)
    row.refresh_from_db()
    assert (row.state, row.failure, again) == (State.BUILDING, "It broke off: division by zero", [])
    monkeypatch.setattr(tasks, "SLICE", 0.0)
    rounds = 0
    while again or not rounds:
        again.clear()
        tasks.build_index(row.pk)
        rounds += 1
    assert rounds > 1 and spaces.current().id == row.pk


def answering(monkeypatch: pytest.MonkeyPatch, answer: Any) -> list[httpx.Request]:
    """An address that speaks the protocol."""
    seen: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return answer(request)

    for name in ("Client", "AsyncClient"):
        kind = getattr(httpx, name)
        monkeypatch.setattr(
            httpx, name, lambda kind=kind, **options: kind(transport=httpx.MockTransport(handle), **options)
        )
    return seen


def test_an_address_is_asked_in_openais_protocol_and_its_order_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        count = len(json.loads(request.content)["input"])
        return httpx.Response(
            200, json={"data": [{"index": n, "embedding": [float(n), 1.0]} for n in reversed(range(count))]}
        )

    seen = answering(monkeypatch, answer)
    row = EmbeddingModel(
        name="Far", kind="remote", model="embed-3", base_url="http://far.test/v1/", encrypted_key=spaces.sealed("k-1"),
        question_prefix="query: ", passage_prefix="passage: ", window=512,
    )  # fmt: skip
    space = spaces.space_of(row)
    assert spaces.embed(space, ["a", "b"]) == [[0.0, 1.0], pytest.approx([0.5**0.5, 0.5**0.5])], "of length 1"
    assert async_to_sync(spaces.question)(space, "why") == [0.0, 1.0]
    assert [str(one.url) for one in seen] == ["http://far.test/v1/embeddings"] * 2
    assert seen[0].headers["authorization"] == "Bearer k-1"
    assert [json.loads(one.content)["input"] for one in seen] == [["passage: a", "passage: b"], ["query: why"]]


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(401, text="no key"),
        httpx.Response(200, json={"oops": 1}),
        httpx.Response(200, json={"data": [{"index": 0, "embedding": [1.0]}, {"index": 1, "embedding": [1.0]}]}),
    ],
)
def test_an_address_that_answers_otherwise_is_unavailable(
    monkeypatch: pytest.MonkeyPatch, answer: httpx.Response
) -> None:
    answering(monkeypatch, lambda request: answer)
    space = spaces.space_of(
        EmbeddingModel(name="Far", kind="remote", model="m", base_url="http://far.test/v1", window=9)
    )
    with pytest.raises(link.HostUnavailable):
        spaces.embed(space, ["a"])


def test_a_question_is_embedded_once_however_many_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncio

    asked: list[Sequence[str]] = []

    async def embed(texts: Sequence[str]) -> list[list[float]]:
        asked.append(texts)
        if len(asked) == 1:
            raise link.HostUnavailable("starting")
        return [[1.0]]

    monkeypatch.setattr(link, "aembed", embed)

    async def ask() -> None:
        with pytest.raises(link.HostUnavailable):
            await spaces.question(spaces.BUILT_IN, "When?")
        answers = await asyncio.gather(*(spaces.question(spaces.BUILT_IN, "When?") for _ in range(3)))
        assert answers == [[1.0]] * 3

    async_to_sync(ask)()
    assert asked == [["When?"], ["When?"]], "a failure is not kept, an answer is"
