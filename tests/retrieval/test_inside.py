"""Nobody gets the server to ask an address inside its network: every notation, on every way on which it fetches."""

from __future__ import annotations

import ast
import socket
from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction

from retrieval import adding, tasks
from retrieval.models import Collection, Document
from retrieval.web import pages, robots
from tests.test_architecture import ROOT, sources
from tests.test_egress import INSIDE, ODD
from workspace import egress
from workspace.accounts.models import Person

pytestmark = pytest.mark.django_db

# Whatever can open a connection, and to whom it does: none of it goes where a person or a page says.
MAY_CONNECT = {
    "workspace/egress.py": "the one way out to addresses that people or pages name",
    "workspace/control.py": "this server, by its Unix socket",
    "workspace/hosts/link.py": "our own children, by Unix sockets",
    "workspace/providers/http.py": "providers, whose addresses an admin sets",
    "workspace/providers/exchange.py": "the same",
    "workspace/providers/errors.py": "nobody: it names what connections raise",
    "workspace/providers/replay.py": "nobody: recorded answers",
    "retrieval/spaces.py": "an embedding model whose address an admin sets",
    "retrieval/reranking.py": "a reranker whose address an admin sets",
    "workspace/tls.py": "nobody: it reads certificates",
    "workspace/http_latency.py": "the address that whoever runs the command names",
    "workspace/hosts/downloads.py": "the hub that an admin's settings name",
}
CLIENTS = {"httpx", "requests", "urllib3", "http.client", "urllib.request", "huggingface_hub", "websockets"}


def by_link(person: Person, address: str) -> None:
    try:
        document = adding.add_link(person, address)
    except adding.NotTaken:
        return
    tasks.ingest_document(str(document.pk))
    document.refresh_from_db()
    assert document.state == Document.State.FAILED and document.failure and document.text == ""
    assert document.failure["action"]


def by_a_stored_address(person: Person, address: str) -> None:
    """As if it had come past the first check: a row of an older version, or an import."""
    collection = Collection.objects.create(owner=person, name="Old")
    document = Document.objects.create(collection=collection, name="old", title="Old", url=address[:2_000])
    tasks.ingest_document(str(document.pk))
    document.refresh_from_db()
    assert document.text == "" and document.state != Document.State.READY


def by_the_web(person: Person, address: str) -> None:
    with pytest.raises(pages.NotRead):
        pages.page(address, pages.collection_of(person.pk), 10.0)
    assert not Document.objects.exists()


def by_its_robots(person: Person, address: str) -> None:
    """They are asked for addresses that look sound alone."""
    try:
        egress.checked(address)
    except egress.Refused:
        return
    with pytest.raises(robots.Unasked):
        robots.may_read(address)


WAYS: dict[str, Callable[[Person, str], None]] = {
    "a link that is added": by_link,
    "an address that was stored": by_a_stored_address,
    "a page that an engine names": by_the_web,
    "the rules of a site": by_its_robots,
}


@pytest.fixture(autouse=True)
def no_connection(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    def connect(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("connected")

    settings.LOCAL_MODELS = False
    monkeypatch.setattr(socket.socket, "connect", connect)
    robots.forget()


@pytest.mark.parametrize("way", WAYS)
def test_an_inside_address_is_asked_on_no_way(alice: Person, way: str) -> None:
    addresses = [address for address in (*INSIDE, *ODD) if address.strip()]
    assert len(addresses) > 50
    for address in addresses:
        with transaction.atomic():
            WAYS[way](alice, address)
            transaction.set_rollback(True)


@pytest.mark.parametrize("way", ["a link that is added", "a page that an engine names", "the rules of a site"])
def test_a_name_that_turns_inside_is_asked_on_no_way(alice: Person, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rebinding: outside when it is first looked up, inside ever after."""
    looked: list[str] = []

    def look(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        looked.append(str(host))
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("169.254.169.254", port))]

    monkeypatch.setattr("workspace.egress.socket.getaddrinfo", look)
    WAYS[way](alice, "http://turns.example/")
    assert looked


def test_nothing_else_opens_connections() -> None:
    found = set()
    for path in sources("workspace", "chat", "retrieval"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(name in CLIENTS or name.split(".")[0] in CLIENTS for name in names):
                found.add(str(path.relative_to(ROOT)))
    assert found == set(MAY_CONNECT)
