"""A collection tested with questions made of itself, labelled, and tuned only where that is surely better."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from django.test import Client

from retrieval import ingest, measures, selftest, tasks
from retrieval.lexical import terms
from retrieval.models import Collection, Document, Label, SelfTest
from workspace.accounts.models import Person
from workspace.hosts import link

pytestmark = pytest.mark.django_db(transaction=True)

TOPICS = {
    "Ferry": "The {n}th ferry leaves the northern harbour at dawn and carries lorries towards island number {n}.",
    "Hut": "Mountain hut {n} keeps its rusty key behind the third beehive, which warden {n} counts each evening.",
}


@pytest.fixture
def shelf(alice: Person) -> Collection:
    collection = Collection.objects.create(name="Travel", owner=alice)
    for title, sentence in TOPICS.items():
        text = "\n\n".join(f"## {title} {n}\n\n{sentence.format(n=n)}" for n in range(20))
        document = Document.objects.create(collection=collection, title=title, name=title, digest=title, text=text)
        ingest.write_words(document)
    return collection


@pytest.fixture
def no_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(texts: Sequence[str]) -> list[list[float]]:
        raise link.HostUnavailable("the model host does not answer")

    monkeypatch.setattr(link, "aembed", away)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for task in (tasks.self_test, tasks.tune_collection):
        monkeypatch.setattr(task, "delay", task)


@pytest.fixture
def browser(alice: Person) -> Client:
    client = Client()
    client.force_login(alice)
    return client


def test_made_questions_are_words_of_their_passage_and_always_the_same(shelf: Collection) -> None:
    assert selftest.make(shelf, count=12) == 12
    labels = list(Label.objects.filter(collection=shelf, made=True))
    for label in labels:
        passage = label.document.text[label.start : label.end]
        assert 4 <= len(label.question.split()) <= 7
        assert set(terms(label.question)) <= set(terms(passage))
    assert selftest.make(shelf, count=12) == 0
    asked = {label.question for label in labels}
    Label.objects.all().delete()
    selftest.make(shelf, count=12)
    assert {label.question for label in Label.objects.all()} == asked


@pytest.mark.usefixtures("no_hosts")
def test_a_test_tells_where_each_passage_was_found(shelf: Collection) -> None:
    test = SelfTest.objects.create(collection=shelf, settings=selftest.snapshot(shelf))
    tasks.self_test(test.pk)
    test.refresh_from_db()
    assert test.done and len(test.places) == Label.objects.count() == 40
    assert "words alone" in test.failure, "what could not be searched is told"
    hits = selftest.hits(test.places)
    assert hits["ten"] >= 0.8 and hits["first"] >= 0.4
    hidden = Label.objects.first()
    assert hidden is not None
    assert selftest.place_of(hidden, {}) is None


@pytest.mark.usefixtures("no_hosts")
def test_a_test_that_breaks_off_or_whose_server_was_killed_is_not_waited_for_forever(
    shelf: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    tests = [SelfTest.objects.create(collection=shelf, settings={"tunes": tunes}) for tunes in (False, True)]
    asked: list[tuple[str, int]] = []
    for name in ("self_test", "tune_collection"):
        monkeypatch.setattr(getattr(tasks, name), "delay", lambda id, name=name: asked.append((name, id)))
    tasks._resume()
    assert asked == [("tune_collection", tests[1].pk), ("self_test", tests[0].pk)]
    monkeypatch.setattr(selftest, "make", lambda collection: 1 / 0)
    tasks.self_test(tests[0].pk)
    tasks.tune_collection(tests[1].pk)
    assert {(one.done, one.failure) for one in SelfTest.objects.all()} == {(True, "It broke off: division by zero")}


def test_hits_and_their_difference_are_counted_on_the_same_questions() -> None:
    old = SelfTest(places={"1": 1, "2": 7, "3": None, "9": 1})
    new = SelfTest(places={"1": 1, "2": 1, "3": 6, "4": 1})
    assert selftest.hits(old.places) == {"first": 0.5, "five": 0.5, "ten": 0.75, "mrr": pytest.approx((2 + 1 / 7) / 4)}
    change = selftest.difference(new, old)
    assert change is not None and change.value == pytest.approx(1 / 3, abs=1e-4)
    assert selftest.difference(new, SelfTest(places={})) is None


def vectors(monkeypatch: pytest.MonkeyPatch, near: Callable[[str, list[Any]], Mapping[str, float]]) -> None:
    """Meaning as a test wants it: for each question the cosines of chunks."""
    asked: list[str] = []

    async def embed(texts: Sequence[str]) -> list[list[float]]:
        asked[:] = texts
        return [[1.0]]

    async def query(collections: Any, vector: Any, limit: int, *, documents: Sequence[str] = ()) -> Mapping[str, float]:
        return near(asked[0], [id for ids in collections.values() for id in ids])

    monkeypatch.setattr(link, "aembed", embed)
    monkeypatch.setattr(link, "aquery", query)


def test_a_share_is_kept_where_meaning_alone_knows_and_left_where_it_knows_nothing(
    shelf: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    chunks = {str(chunk.pk): chunk for chunk in shelf.documents.get(title="Hut").chunks.all()}
    right: dict[str, str] = {}
    for number, (id, chunk) in enumerate(chunks.items()):
        question = f"ferry harbour {50 + number}"  # words that fit other passages
        right[question] = id
        Label.objects.create(
            collection=shelf, document=chunk.document, question=question, start=chunk.start, end=chunk.end
        )
    vectors(monkeypatch, lambda question, also: {**dict.fromkeys(also, 0.6), right[question]: 0.63})
    test = SelfTest.objects.create(collection=shelf, settings=selftest.snapshot(shelf))
    tasks.tune_collection(test.pk)
    shelf.refresh_from_db()
    test.refresh_from_db()
    tuned = test.settings["tuned"]
    assert tuned["labels"] == 20 and tuned["kept"] and tuned["alpha"] > tuned["before"] == 0.6
    assert shelf.alpha == tuned["alpha"] and tuned["gain"]["low"] > 0

    vectors(monkeypatch, lambda question, also: dict.fromkeys(also, 0.5))
    again = selftest.tune(shelf)
    assert again is not None and not again.surely


def test_too_few_labels_are_told_and_nothing_is_tuned(alice: Person) -> None:
    empty = Collection.objects.create(name="Empty", owner=alice)
    test = SelfTest.objects.create(collection=empty, settings=selftest.snapshot(empty))
    tasks.tune_collection(test.pk)
    test.refresh_from_db()
    assert "20 labels at least" in test.failure and test.done


def test_a_gain_is_judged_by_labels_that_did_not_choose_it() -> None:
    assert not selftest.Tuned(0.9, 0.6, measures.difference([1.0, 0.0] * 20, [0.5] * 40), 40).surely


@pytest.mark.usefixtures("no_hosts")
def test_the_page_tells_what_each_step_said_of_each_passage(browser: Client, shelf: Collection) -> None:
    page = browser.get("/documents/search/", {"q": "rusty key of hut 7", "collection": str(shelf.pk)}).content.decode()
    assert "Searched by words alone" in page and "Mountain hut 7 keeps" in page
    assert "passages given" in page and "Hut" in page
    none = browser.get("/documents/search/", {"q": "rusty key", "collection": str(shelf.pk), "tokens": "0"})
    assert "0 passages given" in none.content.decode() and "no room left" in none.content.decode()
    other = browser.get("/documents/search/", {"q": "zzz qqq", "collection": str(shelf.pk)}).content.decode()
    assert "Nothing fits" in other


def test_the_page_tells_why_a_passage_has_no_score_by_meaning(
    browser: Client, shelf: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {"q": "rusty key of hut 7", "collection": str(shelf.pk)}
    cosines: dict[str, float] = {}
    vectors(monkeypatch, lambda question, also: cosines)
    page = browser.get("/documents/search/", asked).content.decode()
    assert ">far</td>" in page and "no vector yet" not in page
    cosines[str(shelf.documents.get(title="Hut").chunks.get(position=3).pk)] = 0.812
    page = browser.get("/documents/search/", asked).content.decode()
    assert ">0.812</td>" in page and "no vector yet</td>" in page and ">far</td>" not in page


@pytest.mark.usefixtures("no_hosts")
def test_a_passage_is_labelled_and_the_label_taken_back(browser: Client, shelf: Collection) -> None:
    document = shelf.documents.get(title="Hut")
    said = {"q": "Where is the key?", "document": str(document.pk), "position": "3"}
    page = browser.post("/documents/search/label/", said, follow=True).content.decode()
    label = Label.objects.get()
    chunk = document.chunks.get(position=3)
    assert (label.start, label.end, label.made) == (chunk.start, chunk.end, False) and "Labelled" in page
    browser.post("/documents/search/label/", said)
    assert not Label.objects.exists()


@pytest.mark.usefixtures("no_hosts", "at_once")
def test_a_test_is_begun_from_the_page_and_told_there(browser: Client, shelf: Collection) -> None:
    page = browser.post(f"/documents/collections/{shelf.pk}/test/", {"alpha": "0.4"}, follow=True).content.decode()
    assert SelfTest.objects.get().settings["alpha"] == 0.4
    assert "MiniLM, 0.4, 128 / 32" in page and "words alone" in page
    shelf.alpha = 0.3
    shelf.save()
    browser.post(f"/documents/collections/{shelf.pk}/test/", {"untune": "1"})
    shelf.refresh_from_db()
    assert shelf.alpha is None


def test_others_neither_test_nor_label_nor_search_a_collection(shelf: Collection, bob: Person) -> None:
    client = Client()
    client.force_login(bob)
    document = shelf.documents.get(title="Hut")
    said = {"q": "Where is the key?", "document": str(document.pk), "position": "3"}
    assert client.post("/documents/search/label/", said).status_code == 404
    assert client.post(f"/documents/collections/{shelf.pk}/test/").status_code == 404
    page = client.get("/documents/search/", {"q": "rusty key", "collection": str(shelf.pk)}).content.decode()
    assert "Mountain hut" not in page and "Travel" not in page
