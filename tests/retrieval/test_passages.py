"""What is given of what was found: neighbours in one piece, in the document's order, said once, within the budget."""

from __future__ import annotations

from itertools import pairwise

import pytest

from retrieval import ingest, passages
from retrieval.chunks import Size, cut, estimate, indexed
from retrieval.models import Chunk, Collection, Document
from retrieval.passages import Passage
from workspace.accounts.models import Person

pytestmark = pytest.mark.django_db

SENTENCES = [
    f"Sentence {n} tells that boat {n} is painted in colour {n} by painter {n} of village {n}." for n in range(60)
]
TEXT = (
    "# Boats\n\n"
    + " ".join(SENTENCES)
    + "\n\n# Trains\n\nTrains are never painted at all, whatever village they pass.\n"
)


@pytest.fixture
def document(alice: Person) -> Document:
    collection = Collection.objects.create(name="Harbour", owner=alice)
    document = Document.objects.create(collection=collection, title="Boats", name="b.md", digest="0", text=TEXT)
    ingest.write_words(document)
    return document


def passages_of(document: Document) -> list[Passage]:
    return list(passages.read(document.chunks.order_by("position")))


def test_neighbours_become_one_passage_with_the_documents_own_characters(document: Document) -> None:
    first, second, third, *_ = passages_of(document)
    evidence = passages.evidence_of({second.id: 1.0, first.id: 0.8, third.id: 0.7}, 2_000)
    [one] = evidence
    assert (one.start, one.end, one.chunk_id, one.score) == (first.start, third.end, str(second.id), 1.0)
    assert one.text == TEXT[one.start : one.end]
    apart = passages.evidence_of({second.id: 1.0, first.id: 0.8, third.id: 0.7}, 2_000, neighbours=False)
    assert [one.text for one in apart] == [second.text], "both others say in part what it says"


def test_neighbours_that_leave_something_out_between_them_are_read_from_the_document(alice: Person) -> None:
    long = " ".join(f"word{n}" for n in range(55))
    text = f"# One\n\n{long}.\n\n{long[:-1]}x.\n\n{long[:-2]}yy."
    collection = Collection.objects.create(name="Long", owner=alice)
    document = Document.objects.create(collection=collection, title="Long", name="l.md", digest="0", text=text)
    ingest.write_words(document)
    chunks = passages_of(document)
    assert any(later.start > chunk.end for chunk, later in pairwise(chunks)), "the premise"
    run = passages.told(chunks, {chunk.id: 1.0 for chunk in chunks})
    assert all(one.text == text[one.start : one.end] for one in run)


def test_passages_stand_in_the_documents_order_the_best_document_first(document: Document, alice: Person) -> None:
    other = Document.objects.create(
        collection=document.collection,
        title="Rails",
        name="r.md",
        digest="1",
        text="# Rails\n\nRails rust in the rain.",
    )
    ingest.write_words(other)
    chunks, rails = passages_of(document), passages_of(other)[0]
    told = passages.evidence_of({chunks[6].id: 1.0, rails.id: 0.9, chunks[1].id: 0.8}, 2_000)
    assert [(one.title, one.start) for one in told] == [
        ("Boats", chunks[1].start), ("Boats", chunks[6].start), ("Rails", rails.start),
    ]  # fmt: skip
    assert [one.number for one in told] == [1, 2, 3]


def test_the_budget_counts_what_neighbours_share_once(document: Document) -> None:
    first, second, *_ = passages_of(document)
    whole = estimate(TEXT[first.start : second.end])
    assert whole < estimate(first.text) + estimate(second.text)
    both = passages.choose({first.id: 1.0, second.id: 0.9}, whole + 1)
    assert both.passages == (first, second)
    one = passages.choose({first.id: 1.0, second.id: 0.9}, whole - 20)
    assert one.passages == (first,) and one.left_out == {second.id: passages.NO_ROOM}


def test_what_is_too_far_or_said_already_is_left_out_with_the_reason(document: Document) -> None:
    copy = Document.objects.create(
        collection=document.collection, title="Copy", name="c.md", digest="2", text=TEXT.partition("# Trains")[2]
    )
    ingest.write_words(copy)
    trains, again, first = passages_of(document)[-1], passages_of(copy)[0], passages_of(document)[0]
    told = passages.choose({trains.id: 1.0, again.id: 0.9, first.id: 0.1}, 2_000)
    assert told.passages == (trains,)
    assert told.left_out == {again.id: passages.SAID, first.id: passages.TOO_FAR}


def test_a_passage_tells_the_pages_it_spans(document: Document) -> None:
    first, second, *_ = passages_of(document)
    Document.objects.filter(pk=document.pk).update(title="Other", pages=[0, first.end])
    Chunk.objects.filter(document=document).update(heading="")
    told = passages.evidence_of({first.id: 1.0, second.id: 0.9}, 2_000)
    assert [one.where for one in told] == ["pages 1 to 2"]


def test_chunks_follow_the_size_that_is_set_and_titles_give_way_to_the_window() -> None:
    text = " ".join(SENTENCES)
    small = cut(text, Size(tokens=64, overlap=16, window=128))
    assert all(estimate(piece.text) <= 64 for piece in small) and len(small) > len(cut(text))
    title = "A title of very many words that goes on " * 12
    searched = indexed(title, "And › a › path", small[0].text, window=128)
    assert estimate(searched) <= 126 and searched.endswith(small[0].text) and searched.startswith("A title")
