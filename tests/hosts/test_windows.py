"""No passage is longer than what the embedding model reads at once, by the model's own count."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from channels.db import database_sync_to_async

from retrieval import ingest, spaces
from retrieval.chunks import indexed
from retrieval.models import Collection, Document, SearchSettings
from workspace.accounts.models import Person
from workspace.hosts import link

pytestmark = [pytest.mark.timeout(180), pytest.mark.django_db(transaction=True)]

GERMAN = "Die Rechtsschutzversicherungsgesellschaften widersprechen der Donaudampfschifffahrtsverordnung, und "
FINNISH = "Epäjärjestelmällistyttämättömyydellänsäkäänköhän kumarreksituteskenteleentuvaisehkollaismaisekkuudelli, "
POLISH = "W Szczebrzeszynie chrzaszcz brzmi w trzcinie i Szczebrzeszyn z tego slynie, wstrzasnieto siebiorstwem, "
CODE = "    self._{n}xyzQrstUvw = makeHTTPXMLRpcKlassFactoryImpl(ctx{n}Ptr, bufSzMaxQty)\n"
TEXTS = {
    "prose": "The ferry leaves the harbour at dawn, and tickets are sold on board. " * 60,
    "German": GERMAN * 60,
    "Finnish": FINNISH * 40,
    "Polish": POLISH * 40,
    "digests": "\n".join(hashlib.sha256(str(n).encode()).hexdigest() for n in range(120)),
    "code": "".join(CODE.format(n=n) for n in range(120)),
    "consonants": "bcdfg hjklm npqrs tvwxz " * 200,
}


@pytest.mark.usefixtures("model_host")
async def test_whatever_a_text_is_the_model_reads_its_passages_to_the_end(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await link.settled() == "ready"
    monkeypatch.setattr(spaces, "embed", lambda space, texts: [[1.0, 0.0] for _ in texts])
    monkeypatch.setattr(link, "upsert", lambda *_, **__: None)
    monkeypatch.setattr(link, "delete", lambda *_, **__: None)
    told = await database_sync_to_async(read)(alice)
    for name, (before, after, longest) in told.items():
        assert longest <= spaces.BUILT_IN.window, name
        assert (after > before) == (name != "prose"), "only what was too long is cut in two"


def read(person: Person) -> dict[str, Any]:
    """Of each text how many passages it had by the estimate, how many it has, and the tokens of the longest."""
    SearchSettings.objects.create(chunk_tokens=240, chunk_overlap=32)  # the most that its window is said to hold
    shelf = Collection.objects.create(name="Texts", owner=person)
    told = {}
    for name, text in TEXTS.items():
        document = Document.objects.create(collection=shelf, title=name, name=name, digest=name, text=text)
        ingest.write_words(document)
        before = document.passages
        ingest.ingest(document)
        said = [indexed(document.title, chunk.heading, chunk.text) for chunk in document.chunks.all()]
        told[name] = (before, document.passages, max(link.lengths(said)))
    return told
