"""Other programs and documents: a token opens none, whatever a route says."""

from __future__ import annotations

import httpx
from asgiref.sync import sync_to_async

from retrieval import ingest
from retrieval.models import Collection, Document
from tests.scripted import Scripted, add_model, say
from workspace.accounts.models import Person
from workspace.router import catalog
from workspace.router.configuration import save_version
from workspace.router.models import Run
from workspace.types import sha256

ROUTE = '{"routes": [{"condition": "default", "model": "reader", "grounding": {"documents": true}}]}'
TEXT = "The cormorant keeps the key under the heather."


async def test_a_token_reads_no_documents_whatever_a_route_says(
    bob: Person, door: httpx.AsyncClient, bobs: str
) -> None:
    def prepare() -> None:
        for owner in (None, bob):
            collection = Collection.objects.create(owner=owner, name="Birds", built_in=owner is None)
            ingest.write_words(
                Document.objects.create(
                    collection=collection, title="Birds", name="b.md", digest=sha256(TEXT), text=TEXT
                )
            )
        add_model("reader")
        save_version("default", ROUTE)
        catalog.forget()

    await sync_to_async(prepare)()
    say("Nothing.")
    asked = {"model": "auto", "messages": [{"role": "user", "content": "Where does the cormorant keep the key?"}]}
    assert (await door.post("/v1/chat/completions", json=asked)).status_code == 200
    assert "cormorant" not in Scripted.calls[-1].system
    assert (await Run.objects.aget()).evidence == []
