"""Search: words alone, words and meaning joined, budgets, and what the evidence says of itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

import pytest
from asgiref.sync import async_to_sync

from retrieval import ingest, lexical, presets, search
from retrieval.models import Chunk, Collection, Document
from workspace.accounts.models import Person
from workspace.hosts import link
from workspace.types import sha256

pytestmark = pytest.mark.django_db(transaction=True)  # searching ends its thread's connection

PAGES = {
    "ferry.md": "# Ferry\n\n## Times\n\nThe ferry leaves the harbour at dawn.\n\n"
    "## Fares\n\nA ticket costs nine euros.\n",
    "train.md": "# Train\n\nThe train leaves every hour. Bicycles ride free on the train.\n",
    "copy.md": "# Copy\n\nThe ferry leaves the harbour at dawn.\n",
}


def collection_of(person: Person | None, pages: dict[str, str]) -> Collection:
    collection = Collection.objects.create(name="Travel", owner=person)
    for name, text in pages.items():
        title = text.splitlines()[0].removeprefix("# ")
        document = Document.objects.create(
            collection=collection, title=title, name=name, digest=sha256(text), text=text
        )
        ingest.write_words(document)
    return collection


@pytest.fixture
def travel(alice: Person) -> str:
    return str(collection_of(alice, PAGES).pk)


@pytest.fixture
def no_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(texts: Sequence[str]) -> list[list[float]]:
        raise link.HostUnavailable("the model host does not answer")

    monkeypatch.setattr(link, "aembed", away)


def test_a_document_that_is_cut_anew_is_told_among_those_that_were_searched(no_hosts: None, travel: str) -> None:
    before = find("ferry", travel).collections
    assert before[0]["documents"] == 3
    Document.objects.update(state="queued")
    found = find("ferry", travel)
    assert found.evidence and found.collections == before, "it is the same state"


def find(question: str, *collections: str, limit_tokens: int | None = None) -> search.Found:
    return async_to_sync(search.search)(question, collections=collections, limit_tokens=limit_tokens)


def test_words_are_stemmed_and_joined_words_count_as_their_parts() -> None:
    assert lexical.terms("The Ferries were LEAVING") == [lexical.terms("ferry")[0], "leav"]
    assert {"gpt", "4.1"} & set(lexical.terms("GPT-4.1"))
    assert "router" in lexical.terms("model_router.json")


def test_rare_words_weigh_more_than_frequent_ones(travel: str) -> None:
    scores = lexical.bm25("leaves bicycles", [travel]).best(10)
    best = Chunk.objects.get(pk=next(iter(scores)))
    assert "Bicycles" in best.text
    assert list(scores.values()) == sorted(scores.values(), reverse=True)
    assert all(score > 0 for score in scores.values())


@pytest.mark.usefixtures("no_hosts")
def test_words_alone_answer_with_a_note_while_the_hosts_start(travel: str) -> None:
    found = find("What does a ticket cost?", travel)
    assert "words alone" in found.note
    first = found.evidence[0]
    assert (first.number, first.title, first.where, first.score) == (1, "Ferry", "Fares", 1.0)
    text = Document.objects.get(pk=first.document_id).text
    assert text[first.start : first.end] == first.text
    assert first.digest == sha256(first.text)


@pytest.mark.usefixtures("no_hosts")
def test_a_passage_that_stands_twice_is_given_once(travel: str) -> None:
    found = find("ferry harbour dawn", travel)
    assert [e.text for e in found.evidence].count("The ferry leaves the harbour at dawn.") == 1
    assert [e.number for e in found.evidence] == list(range(1, len(found.evidence) + 1))


@pytest.mark.usefixtures("no_hosts")
def test_the_budget_of_tokens_bounds_the_evidence(travel: str) -> None:
    assert len(find("ferry train ticket", travel).evidence) > 1
    assert len(find("ferry train ticket", travel, limit_tokens=16).evidence) == 1
    assert find("ferry train ticket", travel, limit_tokens=0).evidence == ()


@pytest.mark.usefixtures("no_hosts")
def test_only_the_collections_named_are_searched(travel: str, bob: Person) -> None:
    other = str(collection_of(bob, {"secret.md": "# Secret\n\nThe ferry carries a secret.\n"}).pk)
    assert {e.title for e in find("ferry secret", travel).evidence} == {"Ferry"}
    assert {e.title for e in find("ferry secret", other).evidence} == {"Secret"}
    assert find("ferry secret").evidence == ()
    assert find("", travel).evidence == ()
    assert find("the of and", travel).evidence == ()


def test_meaning_finds_what_words_do_not(travel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    train = Chunk.objects.get(document__name="train.md")
    ferry = Chunk.objects.get(document__name="ferry.md", heading__endswith="Times")

    async def embed(texts: Sequence[str]) -> list[list[float]]:
        return [[1.0, 0.0]]

    async def query(
        collections: Mapping[str, Sequence[str]], vector: Sequence[float], limit: int, *, documents: Sequence[str] = ()
    ) -> dict[str, float]:
        gone = UUID(int=7)  # a vector whose chunk is not there any more
        return {str(train.pk): 0.8, str(gone): 0.7, str(ferry.pk): 0.05}

    monkeypatch.setattr(link, "aembed", embed)
    monkeypatch.setattr(link, "aquery", query)
    found = find("velocipede on rails", travel)
    assert found.note == ""
    assert [e.chunk_id for e in found.evidence] == [str(train.pk)]  # too far is not near


def test_the_join_is_a_convex_combination_of_scaled_scores() -> None:
    a, b, c = (UUID(int=n) for n in (1, 2, 3))
    joined = search.join({a: 10.0, b: 5.0}, {a: 0.0, b: 0.8, c: 0.4}, alpha=0.5)
    assert joined == {a: 0.5, b: pytest.approx(0.75), c: pytest.approx(0.25)}
    assert search.join({}, {}) == {}


def test_words_alone_say_how_well_a_passage_without_a_vector_fits() -> None:
    a, b = UUID(int=1), UUID(int=2)
    assert search.join({a: 10.0, b: 5.0}, {b: 0.8}, alpha=0.5) == {a: 1.0, b: pytest.approx(0.75)}
    each = search.join({a: 10.0, b: 5.0}, {b: 0.8}, alpha={a: 0.9, b: 0.5})
    assert each == {a: 1.0, b: pytest.approx(0.75)}


def test_a_passage_is_found_by_its_words_while_others_have_vectors(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A question says almost what forty berths are, and exactly what one is, whose vector is not made yet."""
    text = "# Berths\n\n" + "\n\n".join(f"## Berth {n}\n\nThe berth {n} lies at the quay." for n in range(100, 140))
    berths = str(collection_of(alice, {"berths.md": text}).pk)
    chunks = list(Chunk.objects.filter(document__collection=berths).order_by("position"))
    assert len(chunks) == 40

    async def embed(texts: Sequence[str]) -> list[list[float]]:
        return [[1.0, 0.0]]

    async def query(
        collections: Mapping[str, Sequence[str]], vector: Sequence[float], limit: int, *, documents: Sequence[str] = ()
    ) -> dict[str, float]:
        return {str(chunk.pk): 0.8 for chunk in chunks[:30]}

    monkeypatch.setattr(link, "aembed", embed)
    monkeypatch.setattr(link, "aquery", query)
    found = find("Which is berth 135?", berths, limit_tokens=10).evidence
    assert [one.text for one in found] == ["The berth 135 lies at the quay."]


def test_what_words_found_is_scored_by_meaning_too(travel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ferry = Chunk.objects.get(document__name="ferry.md", heading__endswith="Times")
    train = Chunk.objects.get(document__name="train.md")
    asked: list[str] = []

    async def embed(texts: Sequence[str]) -> list[list[float]]:
        return [[1.0, 0.0]]

    async def query(
        collections: Mapping[str, Sequence[str]], vector: Sequence[float], limit: int, *, documents: Sequence[str] = ()
    ) -> dict[str, float]:
        asked.extend(collections[travel])
        named = {id: 0.1 if id == str(ferry.pk) else 0.05 for id in collections[travel]}
        return {str(train.pk): 0.8} if limit else named

    monkeypatch.setattr(link, "aembed", embed)
    monkeypatch.setattr(link, "aquery", query)
    scores = {e.chunk_id: e.score for e in find("ferry harbour", travel).evidence}
    assert str(ferry.pk) in asked
    assert scores[str(ferry.pk)] == pytest.approx((1 - presets.ALPHA) + presets.ALPHA * 0.1 / 0.8, abs=1e-3)


def test_where_nothing_is_near_words_alone_count() -> None:
    a, b = UUID(int=1), UUID(int=2)
    assert search.near({a: 0.19, b: 0.1}, {b}) == {}
    assert search.near({a: 0.5, b: 0.1}, {b}) == {a: 0.5, b: 0.1}
    assert search.near({a: 0.5, b: 0.1}, set()) == {a: 0.5}
