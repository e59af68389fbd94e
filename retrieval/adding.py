"""Files that become documents: taken or refused one by one, and queued. Nothing here reads them."""

from __future__ import annotations

from functools import partial
from pathlib import PurePath
from typing import Protocol

from django.conf import settings
from django.db import transaction

from retrieval import files, tasks
from retrieval.models import Collection, Document
from workspace import egress
from workspace.accounts.models import Person
from workspace.types import sha256

OWN = "Your documents"
ATTACHED = "Attached to chats"


class File(Protocol):
    @property
    def name(self) -> str | None: ...
    @property
    def size(self) -> int | None: ...
    def read(self) -> bytes: ...


class Pasted:
    def __init__(self, name: str, data: bytes) -> None:
        self.name, self.size = name, len(data)
        self._data = data

    def read(self) -> bytes:
        return self._data


class NotTaken(Exception):
    """A file that is no document's; why, and what to do."""


def add(person: Person, file: File, *, collection: Collection | None = None, queued: bool = True) -> Document:
    """The file as a document of a collection of the person's own, the first unless told. The same file again changes
    nothing; another of the same name takes its place. Raises NotTaken."""
    name = (file.name or "document").replace("\\", "/")[-255:]
    most = settings.MAX_DOCUMENT
    if not file.size:
        raise NotTaken(f"{name} is empty. Look whether it was saved, and add it again.")
    if file.size > most:
        raise NotTaken(f"{name} is over {most // 1_000_000} MB. Split it, or save it as plain text.")
    data = file.read()
    digest = files.keep(data)
    with transaction.atomic():
        collection = collection or first_of(person)
        before = Document.objects.filter(collection=collection, name=name).first()
        if before and before.digest == digest and before.state != Document.State.FAILED:
            return before
        if before:
            before.delete()
        document = Document.objects.create(
            collection=collection, name=name, title=PurePath(name).stem[:300] or name, digest=digest, size=len(data)
        )
        if queued:
            queue(document)
    return document


def attach(person: Person, file: File) -> Document:
    """A file of a chat. Another of the same name takes no other's place: questions were asked of that one. Raises
    NotTaken."""
    shelf, _ = Collection.objects.get_or_create(
        owner=person, kind=Collection.Kind.ATTACHED, defaults={"name": ATTACHED}
    )
    data = file.read() if (file.size or 0) <= settings.MAX_DOCUMENT else b""
    given = Pasted(file.name or "document", data) if data else file
    known = dict(Document.objects.filter(collection=shelf).values_list("name", "digest"))
    path, number = PurePath((given.name or "document").replace("\\", "/")[-240:]), 1
    name = path.name
    while name in known and known[name] != sha256(data):
        number += 1
        name = f"{path.stem} ({number}){path.suffix}"
    given.name = name  # type: ignore[misc]
    return add(person, given, collection=shelf)


def add_text(person: Person, text: str, *, collection: Collection | None = None) -> Document:
    """A text that was pasted, as a document named by its first line. Raises NotTaken."""
    if not text.strip():
        raise NotTaken("The text is empty. Paste some, and add it again.")
    line = " ".join(text.strip().splitlines()[0].lstrip("# ").split())[:60] or "Pasted text"
    name = "".join(sign if sign.isalnum() or sign in " -_." else "-" for sign in line).strip(" .") or "Pasted text"
    return add(person, Pasted(f"{name}.md", text.encode()), collection=collection)


def add_link(person: Person, address: str, *, collection: Collection | None = None) -> Document:
    """The page at an address as a document; the same address again fetches it anew. Raises NotTaken."""
    try:
        url = str(egress.checked(address))
    except egress.Refused as refused:
        raise NotTaken(f"{refused.cause} {refused.action}") from None
    collection = collection or first_of(person)
    document, made = Document.objects.get_or_create(
        collection=collection, name=url[:255], defaults={"title": url[:300], "url": url}
    )
    if made:
        queue(document)
    else:
        again(document)
    return document


def first_of(person: Person) -> Collection:
    """Where documents go that nobody put elsewhere."""
    own = Collection.objects.filter(owner=person, built_in=False, kind=Collection.Kind.DOCUMENTS)
    return own.filter(name=OWN).first() or Collection.objects.create(owner=person, name=OWN)


def again(document: Document) -> None:
    """Read a document anew, from its file or its address."""
    Document.objects.filter(pk=document.pk).update(
        state=Document.State.QUEUED, failure=None, **({"text": ""} if document.size or document.url else {})
    )
    queue(document)


def queue(document: Document) -> None:
    transaction.on_commit(partial(tasks.ingest_document.delay, str(document.pk)))
