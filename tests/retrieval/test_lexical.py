"""BM25 over packed postings gives what the formula gives, passage by passage, however many there are."""

from __future__ import annotations

import math
import random
from collections import Counter
from uuid import UUID, uuid4

import pytest

from retrieval import ingest, lexical
from retrieval.models import Chunk, Collection, Document

pytestmark = pytest.mark.django_db

WORDS = [f"word{n}" for n in range(30)]


@pytest.fixture
def shelves(db: None) -> list[str]:
    """Two collections of documents of many short sections; some words are frequent, some passages equal."""
    chance = random.Random(7)
    made = []
    for shelf in range(2):
        collection = Collection.objects.create(name=f"Shelf {shelf}")
        for number in range(4):
            sections = (" ".join(chance.choices(WORDS, range(30, 0, -1), k=chance.randint(3, 20))) for _ in range(25))
            text = "\n\n".join(f"## Part {n}\n\n{said}." for n, said in enumerate([*sections, "word1 again"]))
            document = Document.objects.create(
                collection=collection, title="T", name=f"{number}.md", digest=f"{number}", text=text
            )
            ingest.write_words(document)
        made.append(str(collection.pk))
    return made


def by_formula(question: str, collections: list[str]) -> dict[UUID, float]:
    """Robertson and Zaragoza's formula, a passage at a time, over what each is searched by."""
    chunks = list(Chunk.objects.filter(document__collection__in=collections).select_related("document"))
    held = {
        chunk.pk: Counter(lexical.terms(f"{chunk.document.title}\n{chunk.heading}\n{chunk.text}")) for chunk in chunks
    }
    mean = sum(counts.total() for counts in held.values()) / len(held)
    scores: dict[UUID, float] = {}
    for term in set(lexical.terms(question)):
        holding = sum(term in counts for counts in held.values())
        idf = math.log(1 + (len(held) - holding + 0.5) / (holding + 0.5))
        for id, counts in held.items():
            if count := counts[term]:
                norm = lexical.K1 * (1 - lexical.B + lexical.B * counts.total() / mean)
                scores[id] = scores.get(id, 0.0) + idf * count * (lexical.K1 + 1) / (count + norm)
    return scores


@pytest.mark.parametrize("question", ["word1", "word0 word1 word29", "word3 word12 word25 parts nowhere"])
@pytest.mark.parametrize("count", [1, 2])
def test_scores_are_those_of_the_formula_and_the_best_come_first(shelves: list[str], question: str, count: int) -> None:
    wanted = by_formula(question, shelves[:count])
    words = lexical.bm25(question, shelves[:count])
    everything = words.best(10_000)
    assert len(words) == len(everything) == len(wanted) > 5
    assert everything == pytest.approx(wanted)
    assert list(everything.values()) == sorted(everything.values(), reverse=True)
    for few in (1, 5, 50):
        assert list(words.best(few)) == list(everything)[:few], "ties too stand where they stood"
    some = [id for id in everything if id.int % 3 == 0]
    assert words.of([*reversed(some), uuid4()]) == {id: everything[id] for id in some}
    assert list(words.of(reversed(some))) == some


def test_of_named_documents_nothing_else_is_scored(shelves: list[str]) -> None:
    documents = [str(pk) for pk in Document.objects.filter(collection=shelves[0]).values_list("pk", flat=True)[:1]]
    found = lexical.bm25("word1 word2", shelves, documents).best(10_000)
    assert found and set(Chunk.objects.filter(pk__in=found).values_list("document", flat=True)) == {UUID(documents[0])}


def test_where_nothing_fits_nothing_is_found(shelves: list[str]) -> None:
    for question in ("", "the of and", "nowhere"):
        words = lexical.bm25(question, shelves)
        assert (len(words), words.best(5), words.of([uuid4()])) == (0, {}, {})
