"""The second look: an address asked in its own shape, and the join's order where it does not answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from uuid import UUID

import httpx
import pytest
from asgiref.sync import async_to_sync

from retrieval import ingest, reranking, search
from retrieval.models import Collection, Document
from retrieval.presets import Preset
from retrieval.reranking import Reranker, rerank
from workspace.accounts.models import Person
from workspace.hosts import link

FAR = Reranker("remote", "rerank-1", "https://far.test/v1", "k-1", depth=2)
NEAR = Reranker("local", "org/reranker", depth=2)


def answering(monkeypatch: pytest.MonkeyPatch, handle: Callable[[httpx.Request], httpx.Response]) -> None:
    client = httpx.AsyncClient
    transport = httpx.MockTransport(handle)
    monkeypatch.setattr(reranking.httpx, "AsyncClient", lambda **options: client(transport=transport, **options))


async def test_an_address_is_asked_and_its_scores_come_in_the_order_of_the_texts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        asked = json.loads(request.content)
        assert (str(request.url), request.headers["authorization"]) == ("https://far.test/v1/rerank", "Bearer k-1")
        assert (asked["query"], asked["documents"], asked["model"]) == ("why", ["a", "b"], "rerank-1")
        rows = [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.2}]
        return httpx.Response(200, json={"results": rows})

    answering(monkeypatch, handle)
    assert await rerank(FAR, "why", ["a", "b"]) == [0.2, 0.9]


async def test_logits_become_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scores(model: str, question: str, texts: Sequence[str]) -> list[float]:
        return [-5.0, 800.0]

    monkeypatch.setattr(link, "rerank", scores)
    low, high = await rerank(NEAR, "why", ["a", "b"])
    assert low == pytest.approx(0.0067, abs=1e-4) and high == pytest.approx(1.0)


@pytest.mark.parametrize(
    "answer", [httpx.Response(500, text="no"), httpx.Response(200, json={}), httpx.Response(200, json={"results": []})]
)
async def test_whatever_else_is_answered_is_unavailable(
    monkeypatch: pytest.MonkeyPatch, answer: httpx.Response
) -> None:
    answering(monkeypatch, lambda request: answer)
    with pytest.raises(link.HostUnavailable):
        await rerank(FAR, "why", ["a", "b"])


@pytest.fixture
def shelf(alice: Person, monkeypatch: pytest.MonkeyPatch) -> Collection:
    async def away(texts: Sequence[str]) -> list[list[float]]:
        raise link.HostUnavailable("the model host does not answer")

    monkeypatch.setattr(link, "aembed", away)
    collection = Collection.objects.create(name="Travel", owner=alice)
    for name in ("ferry ferry ferry dawn", "the ferry at noon", "one ferry of many other boats that sail"):
        document = Document.objects.create(collection=collection, title="", name=name, digest=name, text=name)
        ingest.write_words(document)
    return collection


@pytest.mark.django_db(transaction=True)
def test_the_reranker_orders_what_it_reads_and_the_rest_is_left_out(
    shelf: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    async def scores(model: str, question: str, texts: Sequence[str]) -> list[float]:
        read.extend(texts)
        return [0.1, 0.8]

    monkeypatch.setattr(link, "rerank", scores)
    found = async_to_sync(search.stages)("ferry", collections=[str(shelf.pk)], preset=Preset(reranker=NEAR))
    assert len(read) == 2 and found.reranked is not None and len(found.joined) == 3
    assert list(found.seconds) == ["words", "question", "reranker"], "as they begin, whichever ends first"
    best: UUID = max(found.scores, key=lambda id: found.scores[id])
    assert found.scores[best] == 1.0 and list(found.joined).index(best) > 0


@pytest.mark.django_db(transaction=True)
def test_without_an_answer_the_joins_order_stands_and_is_told(
    shelf: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(model: str, question: str, texts: Sequence[str]) -> list[float]:
        raise link.HostUnavailable("no reranker")

    monkeypatch.setattr(link, "rerank", away)
    found = async_to_sync(search.stages)("ferry", collections=[str(shelf.pk)], preset=Preset(reranker=NEAR))
    assert found.reranked is None and found.scores is found.joined and "Not reranked" in " ".join(found.notes)
