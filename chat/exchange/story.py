"""A branch as it is read: what was said, by whom, from which passages. Markdown, a page and a PDF are made of this, and
so is what a shared link shows.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from chat import record
from chat.exchange.nodes import moment, when
from chat.exchange.people import name_of
from chat.models import Message


@dataclass(frozen=True, kw_only=True)
class Said:
    """One message. ``passages`` are the evidence of an answer: number, title, where, url, text, document."""

    side: str
    who: str
    text: str
    created: str = ""
    images: tuple[Mapping[str, Any], ...] = ()
    passages: tuple[Mapping[str, Any], ...] = ()

    @property
    def asked(self) -> bool:
        return self.side == Message.Role.PERSON

    @property
    def day(self) -> str:
        at = moment(self.created)
        return f"{at:%Y-%m-%d %H:%M}" if at else ""


def told(path: Sequence[Message]) -> list[Said]:
    """What is withheld or still being written ends it: nothing below it is told either."""
    found = []
    for message in path:
        if message.run and (message.run.withheld or not message.settled):
            break
        found.append(_said(message))
    return found


def seen_by(said: Sequence[Said], documents: Collection[str]) -> list[Said]:
    """Without passages of documents that the reader may not see: their numbers stay, their words do not."""
    hidden = {"title": "A document that you may not see", "where": "", "url": "", "text": "", "document": ""}
    return [
        replace(one, passages=tuple(p if p["document"] in documents else {**p, **hidden} for p in one.passages))
        for one in said
    ]


def markdown(title: str, said: Sequence[Said]) -> str:
    """Questions as headings, answers as their models wrote them, with what made each under it."""
    pieces = [f"# {title}"]
    for one in said:
        images = [f"(picture {image['digest'][:12]})" for image in one.images]
        if one.asked:
            pieces.append("\n\n".join([f"## {one.who}, {one.day}", *filter(None, (one.text, *images))]))
            continue
        cited = "\n".join(f"{p['number']}. {', '.join(filter(None, (p['title'], p['where'])))}" for p in one.passages)
        pieces.append("\n\n".join(filter(None, (one.text, cited, f"*{one.who}*"))))
    return "\n\n".join(pieces) + "\n"


def _said(message: Message) -> Said:
    parts = record.parts_of(message)
    run = message.run
    text = "\n\n".join(part.text for part in parts if part.kind == "text")
    if run is None:
        who = name_of(message.author, message.author_name) or "Somebody"
    else:
        who = (run.manifest or {}).get("model") or "No model"
    return Said(
        side=message.role,
        who=who,
        text=text,
        created=when(message.created) or "",
        images=tuple({"digest": p.digest, "media_type": p.media_type} for p in parts if p.kind == "image"),
        passages=tuple(_passage(one) for one in (run.evidence if run else ())),
    )


def _passage(one: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: one.get(name, "") for name in ("number", "title", "where", "url", "text")}
    return {**kept, "document": one.get("document_id", "")}
