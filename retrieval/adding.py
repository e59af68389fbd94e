"""Files that become documents: taken or refused one by one, and queued. Nothing here reads them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import PurePath
from typing import Protocol

from django.conf import settings
from django.db import transaction

from retrieval import files, tasks
from retrieval.ingest import titled
from retrieval.models import Collection, Document
from workspace import egress
from workspace.accounts.models import Person
from workspace.types import sha256

OWN = "Your documents"
ATTACHED = "Attached to chats"
FETCHED = "fetched"  # what is coming, of a document that is a page at an address


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


class _Named:
    """A file under another name."""

    def __init__(self, file: File, name: str) -> None:
        self.name, self.size = name, file.size
        self.read = file.read


class NotTaken(Exception):
    """A file that is no document's; why, and what to do."""


def add(person: Person, file: File, *, collection: Collection | None = None, queued: bool = True) -> Document:
    """The file as a document of a collection of the person's own, the first unless told. The same file again changes
    nothing; another of the same name takes its place. Raises NotTaken."""
    name = _name(file)
    most = settings.MAX_DOCUMENT
    if not file.size:
        raise NotTaken(f"{name} is empty. Look whether it was saved, and add it again.")
    if file.size > most:
        raise NotTaken(f"{name} is over {most // 1_000_000} MB. Split it, or save it as plain text.")
    data = file.read()
    digest = files.keep(data)
    with transaction.atomic():
        collection = _locked(collection or first_of(person))
        document = Document.objects.filter(collection=collection, name=name).first()
        if document is None:
            document = Document.objects.create(
                collection=collection, name=name, title=titled(name), digest=digest, size=len(data)
            )
        elif digest != (document.coming or document.digest) or document.state == Document.State.FAILED:
            _take_place(document, digest)
        else:
            return document
        if queued:
            queue(document)
    return document


def add_all(person: Person, given: Iterable[File], *, collection: Collection | None = None) -> Iterator[NotTaken]:
    """Files that came together, each for itself: one that is refused, and told why, keeps no other out. Two of one
    name, out of two folders, are two documents."""
    named: Counter[str] = Counter()
    for file in given:
        name = _name(file)
        named[name] += 1
        try:
            add(person, _Named(file, _numbered(name, named[name])), collection=collection)
        except NotTaken as refused:
            yield refused


def attach(person: Person, file: File) -> Document:
    """A file of a chat. Another of the same name takes no other's place: questions were asked of that one. Raises
    NotTaken."""
    shelf, _ = Collection.objects.get_or_create(
        owner=person, kind=Collection.Kind.ATTACHED, defaults={"name": ATTACHED}
    )
    data = file.read() if (file.size or 0) <= settings.MAX_DOCUMENT else b""
    given = Pasted(file.name or "document", data) if data else file
    with transaction.atomic():
        _locked(shelf)
        known = dict(Document.objects.filter(collection=shelf).values_list("name", "digest"))
        plain, number = PurePath(_name(given)[-240:]).name, 1
        while (name := _numbered(plain, number)) in known and known[name] != sha256(data):
            number += 1
        return add(person, _Named(given, name), collection=shelf)


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
    return named(person, OWN)


@transaction.atomic
def named(person: Person, name: str) -> Collection:
    """The person's own collection of that name, made where there is none."""
    Person.objects.select_for_update(no_key=True).get(pk=person.pk)  # two at once would each make one
    own = Collection.objects.filter(owner=person, built_in=False, kind=Collection.Kind.DOCUMENTS)
    return own.filter(name=name).order_by("pk").first() or Collection.objects.create(owner=person, name=name)


def again(document: Document) -> None:
    """Read a document anew, from its file or its address; until then it is searched as it was. Raises NotTaken."""
    if document.collection.kind == Collection.Kind.WEB:
        raise NotTaken("A page of the web stays as it was read. To read it anew, add its address as a document.")
    file = document.digest if document.size else ""
    _take_place(document, FETCHED if document.url else document.coming or file)
    queue(document)


def _take_place(document: Document, coming: str) -> None:
    Document.objects.filter(pk=document.pk).update(state=Document.State.QUEUED, failure=None, coming=coming)
    if document.coming not in ("", FETCHED, coming):
        transaction.on_commit(partial(files.drop, document.coming))
    document.refresh_from_db(fields=["state", "failure", "coming"])


def queue(document: Document) -> None:
    transaction.on_commit(partial(tasks.ingest_document.delay, str(document.pk)))


def _locked(collection: Collection) -> Collection:
    """Names are given one at a time. Postings that a worker writes meanwhile, which point to it, wait for nobody."""
    return Collection.objects.select_for_update(no_key=True).get(pk=collection.pk)


def _name(file: File) -> str:
    return (file.name or "document").replace("\\", "/")[-255:]


def _numbered(name: str, number: int) -> str:
    path = PurePath(name)
    return name if number == 1 else f"{path.with_suffix('')} ({number}){path.suffix}"
