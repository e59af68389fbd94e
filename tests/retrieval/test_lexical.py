"""BM25 over packed postings gives what the formula gives, passage by passage, however many there are."""

from __future__ import annotations

import math
import random
import re
from collections import Counter
from importlib import import_module
from uuid import UUID, uuid4

import pytest
from django.apps import apps
from django.db import connection

from retrieval import ingest, lexical
from retrieval.models import Chunk, Collection, Document, Posting

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


@pytest.mark.parametrize("row", [lexical.ROW, 3 * lexical.ENTRY.itemsize])
@pytest.mark.parametrize("question", ["word1", "word0 word1 word29", "word3 word12 word25 parts nowhere"])
@pytest.mark.parametrize("count", [1, 2])
def test_scores_are_those_of_the_formula_and_the_best_come_first(
    shelves: list[str], question: str, count: int, row: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lexical, "ROW", row)
    for document in Document.objects.all():
        ingest.write_words(document)
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
    lies = dict(Chunk.objects.filter(pk__in=some).values_list("pk", "document__collection"))
    homes = words.homes([*some, uuid4()])
    assert {id: UUID(home) for home, ids in homes.items() for id in ids} == lies and len(homes) == count


def test_of_named_documents_nothing_else_is_scored(shelves: list[str]) -> None:
    documents = [str(pk) for pk in Document.objects.filter(collection=shelves[0]).values_list("pk", flat=True)[:1]]
    found = lexical.bm25("word1 word2", shelves, documents).best(10_000)
    assert found and set(Chunk.objects.filter(pk__in=found).values_list("document", flat=True)) == {UUID(documents[0])}


def test_where_nothing_fits_nothing_is_found(shelves: list[str]) -> None:
    for question in ("", "the of and", "nowhere"):
        words = lexical.bm25(question, shelves)
        assert (len(words), words.best(5), words.of([uuid4()]), words.homes([uuid4()])) == (0, {}, {}, {})


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Running boats aren't", ["run", "boat", "aren't", "aren", "t"]),
        ("state-of-the-art", ["state-of-the-art", "state", "art"]),
        ("Żółte łódki über Öl", ["żółte", "łódki", "über", "öl"]),
        ("東京の塔は高い。", ["東京", "京の", "の塔", "塔は", "は高", "高い"]),
        ("茶", ["茶"]),
        ("GPT-4模型", ["gpt", "4", "模型"]),
        ("东京-大阪", ["东京", "大阪"]),
        ("한국어 문장", ["한국", "국어", "문장"]),
        ("コーヒー", ["コー", "ーヒ", "ヒー"]),
    ],
)
def test_words_are_stemmed_and_signs_without_spaces_are_taken_by_two(text: str, found: list[str]) -> None:
    assert lexical.terms(text) == found


def test_a_word_inside_a_run_of_signs_is_found(shelves: list[str]) -> None:
    texts = ("京都の寺は静かで、秋に人が多い。", "東京の塔は高く、夜に光る。")
    for number, text in enumerate(texts):
        document = Document.objects.create(
            collection_id=shelves[0], title="T", name=f"ja{number}.md", digest=f"ja{number}", text=text
        )
        ingest.write_words(document)
    best = lexical.bm25("東京はどこ", shelves).best(1)
    assert [Chunk.objects.get(pk=id).text for id in best] == [texts[1]]


def test_texts_that_were_there_before_are_found_by_two_signs(
    shelves: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "東京の塔は高く、夜に光る。"
    document = Document.objects.create(collection_id=shelves[0], title="T", name="ja.md", digest="ja", text=text)
    with monkeypatch.context() as before:
        before.setattr(lexical, "_UNSPACED", re.compile("(?!)"))
        ingest.write_words(document)
    assert not lexical.bm25("東京", shelves)
    others = list(Posting.objects.exclude(document=document).order_by("pk").values())
    import_module("retrieval.migrations.0013_signs_by_two").make(apps, None)
    [id] = lexical.bm25("東京", shelves).best(9)
    assert Chunk.objects.get(pk=id).text == text
    document.refresh_from_db()
    assert document.terms == Chunk.objects.get(pk=id).length == len(lexical.terms(f"T\n{text}"))
    assert list(Posting.objects.exclude(document=document).order_by("pk").values()) == others


def test_rows_that_were_there_before_are_cut_to_what_an_index_holds(
    shelves: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sections = "\n\n".join(f"## Part {n}\n\nThe harbour, and word{n % 7}." for n in range(200))
    document = Document.objects.create(collection_id=shelves[0], title="T", name="b.md", digest="b", text=sections)
    ingest.write_words(document)
    assert 2 < Posting.objects.filter(document=document, term="harbour").count() < 5
    before = lexical.bm25("harbour word3", shelves).best(10_000)
    connection.check_constraints()
    with monkeypatch.context() as earlier, connection.cursor() as cursor:
        cursor.execute("DROP INDEX postings_by_term")
        earlier.setattr(lexical, "ROW", 1_000_000)
        ingest.write_words(document)
    import_module("retrieval.migrations.0014_rows_of_postings").split(apps, None)
    rows = Posting.objects.filter(document=document).values_list("entries", flat=True)
    assert max(len(bytes(entries)) for entries in rows) == lexical.ROW
    after = lexical.bm25("harbour word3", shelves).best(10_000)
    assert len(before) > 200 and sorted(after.values()) == pytest.approx(sorted(before.values()))
