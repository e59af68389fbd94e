"""A branch shared by link: what it shows is kept as it was when the link was made, and nothing that was said later.

An absent, an expired and a revoked link look alike, and to who is not signed in so does one that is not public.
Passages of documents are shown to whoever may see the document, and to nobody else. What made the answers is not shown;
it is kept beside them for whoever goes on from there.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from django.db.models import Func, IntegerField, QuerySet
from django.utils import timezone

from chat.exchange import outgoing, story
from chat.exchange.incoming import bring_in
from chat.exchange.nodes import Conversation, Node, moment
from chat.exchange.story import Said
from chat.models import Chat, Message, ShareLink
from retrieval.access import collection_ids_of, documents_of
from retrieval.models import Document
from workspace.accounts.models import Person
from workspace.audit.log import record
from workspace.audit.models import Action
from workspace.types import canonical, sha256

DAYS = (1, 7, 30, 90)


def make(
    person: Person, chat: Chat, path: Sequence[Message], *, days: int, public: bool
) -> tuple[ShareLink, str] | None:
    """The link and its secret, which nobody can be told again; ``None`` where there is nothing to show."""
    said = story.told(path)
    if not said:
        return None
    lines = outgoing.lines_of(path[: len(said)])
    snapshot = [{**asdict(one), "line": line} for one, line in zip(said, lines, strict=True)]
    secret = secrets.token_urlsafe(24)
    link = ShareLink.objects.create(
        digest=sha256(secret), chat=chat, person=person, title=str(chat), public=public,
        snapshot=snapshot, expires=timezone.now() + timedelta(days=days),
    )  # fmt: skip
    whom = "Anybody" if public else "People here"
    record(Action.SHARED, about=chat, name="", words=f"By link for {days} days. {whom} who has it may read.")
    return link, secret


def revoke(link: ShareLink) -> None:
    ShareLink.objects.filter(pk=link.pk, revoked=None).update(revoked=timezone.now())
    record(Action.UNSHARED, about=link.chat, name="", words="The link is revoked.")


def live() -> QuerySet[ShareLink]:
    return ShareLink.objects.filter(
        revoked=None, expires__gt=timezone.now(), chat__deleted=None, person__is_active=True
    ).select_related("person", "chat")


def listed(chat: Chat) -> QuerySet[ShareLink]:
    """The links of a chat that work, newest first, each with how many ``messages`` it shows: what they show is as large
    as the chat, and is left where it is."""
    return live().filter(chat=chat).defer("snapshot").annotate(messages=_Length("snapshot")).order_by("-created")


def found(secret: str, person: Person | None) -> ShareLink | None:
    link = live().filter(digest=sha256(secret)).first()
    return link if link and (link.public or person) else None


def said_to(link: ShareLink, person: Person | None) -> list[Said]:
    rows = [{name: value for name, value in one.items() if name != "line"} for one in link.snapshot]
    said = [Said(**{**one, "images": tuple(one["images"]), "passages": tuple(one["passages"])}) for one in rows]
    named = {passage["document"] for one in said for passage in one.passages}
    seen = documents_of(person) if person else Document.objects.filter(collection__built_in=True)
    ids = [one for one in named if one]
    return story.seen_by(said, {str(pk) for pk in seen.filter(pk__in=ids).values_list("pk", flat=True)})


def fork(link: ShareLink, person: Person) -> Chat:
    """The branch as a chat of the reader's own, with the manifests of its answers, and where it came from."""
    said = said_to(link, person)
    readable = set(map(str, collection_ids_of(person)))
    lines = [one.get("line") for one in link.snapshot]
    nodes = tuple(_node(at, one, line, readable) for at, (one, line) in enumerate(zip(said, lines, strict=True)))
    digests = {image["digest"] for one in said for image in one.images}
    kept: dict[str, Any] = {"blobs": [{"digest": digest} for digest in sorted(digests)]}
    whole = Conversation(title=link.title, nodes=nodes, source="link", kept=kept, created=timezone.now())
    name = f"“{link.title}”, which {link.person} shared by link"
    [made] = bring_in(person, [whole], name=name, again=True, made_by=person).chats
    return made


def _node(at: int, one: Said, line: Mapping[str, Any] | None, readable: Collection[str]) -> Node:
    """``line`` is missing in links that were made before it was kept: then what made the answer is not known."""
    if line is None:
        kept: Mapping[str, Any] = {"parts": _parts(one)} if one.asked else {}
    else:
        kept = {**line, "run": line["run"] and _seen(line["run"], one, readable)}
    return Node(
        id=str(at),
        parent=str(at - 1) if at else None,
        side="person" if one.asked else "model",
        text=one.text,
        model="" if one.asked else one.who,
        author=one.who if one.asked else "",
        created=moment(one.created),
        kept=kept,
    )


def _seen(run: Mapping[str, Any], one: Said, readable: Collection[str]) -> dict[str, Any]:
    """A run without the words of passages and the names of collections that the reader may not see: where there are
    any, its manifest is another one, and has a digest of its own."""
    manifest = dict(run["manifest"] or {})
    evidence = manifest.get("evidence") or [] if run["evidence"] is None else run["evidence"]
    shown = [_passage(passage, told) for passage, told in zip(evidence, one.passages, strict=True)]
    searched = [one for one in manifest.get("collections") or [] if one.get("id") in readable]
    if shown == evidence and len(searched) == len(manifest.get("collections") or []):
        return dict(run)
    if not manifest:
        return {**run, "evidence": shown}
    manifest |= {"evidence": shown, "collections": searched}
    manifest.pop("digest", None)
    return {**run, "evidence": shown, "manifest": {**manifest, "digest": sha256(canonical(manifest))}}


def _passage(passage: Mapping[str, Any], told: Mapping[str, Any]) -> Mapping[str, Any]:
    if told["document"] == passage.get("document_id", ""):
        return passage
    return {**passage, **{name: told[name] for name in ("title", "where", "url", "text")}, "digest": ""}


def _parts(one: Said) -> list[dict[str, Any]]:
    text = [{"kind": "text", "text": one.text}] if one.text else []
    return text + [{"kind": "image", **image} for image in one.images]


class _Length(Func):
    """Of a list in a column of JSON."""

    function = "JSON_ARRAY_LENGTH"
    output_field = IntegerField()

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return self.as_sql(compiler, connection, function="JSONB_ARRAY_LENGTH", **context)
