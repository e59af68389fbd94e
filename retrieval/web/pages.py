"""Pages of the web as documents: read once, kept as they were, read again when they are old.

Each reading that finds other words is a document of its own, so a citation opens the page as it was. They lie in a
collection that each person has for themselves, and that is searched only when they ask the web.
"""

from __future__ import annotations

import time
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from retrieval import files, ingest, tasks
from retrieval.models import Collection, Document
from retrieval.parsing.parsed import Unreadable
from retrieval.parsing.reading import read
from retrieval.web import robots
from workspace import egress

NAME = "Pages of the web"
SUFFIX = {**dict.fromkeys(ingest.PAGES, ingest.WEBPAGE), "application/pdf": ".pdf"}


class NotRead(Exception):
    """Why a page is no evidence, in words."""


def collection_of(person_id: UUID | str) -> Collection:
    whose = {"owner_id": person_id, "kind": Collection.Kind.WEB}
    collection, _ = Collection.objects.get_or_create(**whose, defaults={"name": NAME})
    return collection


def page(url: str, collection: Collection, within: float) -> Document:
    """The page as a document, fetched anew, within so many seconds, when the last reading is older than
    ``WEB_PAGE_HOURS``. Raises NotRead."""
    last = Document.objects.filter(collection=collection, url=url).order_by("-fetched", "-created").first()
    young = timezone.now() - timedelta(hours=settings.WEB_PAGE_HOURS)
    if last and last.fetched and last.fetched >= young:
        return last
    try:
        egress.checked(url)
        ends = time.monotonic() + within
        if not robots.may_read(url, within):
            raise NotRead("its site asks programs not to read it")
        left = max(0.0, ends - time.monotonic())
        fetched = egress.fetch(url, most=settings.MAX_DOCUMENT, may=robots.may_read, within=left)
        if fetched.media_type not in SUFFIX and not fetched.media_type.startswith("text/"):
            raise NotRead(f"it is {fetched.media_type or 'of no known type'}")
        parsed = read(fetched.data, "page" + SUFFIX.get(fetched.media_type, ".txt"))
    except (egress.Refused, Unreadable) as error:
        raise NotRead(error.cause) from None
    except robots.Unasked as unasked:
        raise NotRead(str(unasked)) from None
    if last and last.text == parsed.text:
        Document.objects.filter(pk=last.pk).update(fetched=timezone.now())
        return last
    digest = files.keep(fetched.data)
    return _store(url, collection, digest, len(fetched.data), parsed.title or url, parsed.text)


def _store(url: str, collection: Collection, digest: str, size: int, title: str, text: str) -> Document:
    now = timezone.now()
    with transaction.atomic():
        document = Document.objects.create(
            collection=collection, title=title[:300], name=f"{url[:220]} {now:%Y-%m-%d %H:%M:%S.%f}", url=url,
            digest=digest, size=size, text=text, fetched=now,
        )  # fmt: skip
        ingest.write_words(document)
        transaction.on_commit(lambda: tasks.ingest_document.delay(str(document.pk)))
    return document
