"""A file of questions becomes a suite: JSON Lines or CSV, checked whole before a row is written.

A line has ``question`` and, where it has any, ``answers`` (a list; in CSV separated by ``|``), ``id``, ``evidence``
(one passage or a list of them, as text or as ``title`` and ``text``) and ``title`` or ``cluster``: what several
questions have in common. ``answers`` of null leaves a question open: a judge says what an answer is worth, by a
``reference`` answer or a ``rubric``. A line of CSV without answers is open when it has one of these, or ``yes`` in
``open``. ``before`` is what was said before it, a list of ``role`` (person or model) and ``text``.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.db import transaction

from retrieval.models import Collection
from workspace.accounts.models import Person
from workspace.measurement.models import Item, Suite
from workspace.types import canonical, sha256

MOST_ITEMS = 10_000
MOST_BYTES = 50_000_000
LONGEST = 20_000  # characters of a question


class NotTaken(Exception):
    """A file that is no suite: where it breaks, and what to do."""


def add(person: Person, name: str, data: bytes, *, collection: Collection | None = None) -> Suite:
    """The suite of a file; the same file again is the same suite. Raises NotTaken."""
    if len(data) > MOST_BYTES:
        raise NotTaken(f"{name} is over {MOST_BYTES // 1_000_000} MB. Split it.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise NotTaken(f"{name} is not UTF-8 text. Save it as UTF-8.") from None
    rows = list(_csv(text) if name.lower().endswith(".csv") else _lines(text))
    if not rows:
        raise NotTaken(f"{name} holds no question. Each line is a JSON object with “question” and “answers”.")
    if len(rows) > MOST_ITEMS:
        raise NotTaken(f"{name} holds {len(rows):,} questions; {MOST_ITEMS:,} fit. Split it.")
    return keep(person, name, [_item(number, row) for number, row in enumerate(rows, start=1)], collection=collection)


def keep(person: Person, name: str, items: Sequence[Item], *, collection: Collection | None = None) -> Suite:
    """The suite of these items; the same items again are the same suite. Raises NotTaken."""
    keys = [item.key for item in items]
    if twice := next((key for key, count in Counter(keys).items() if count > 1), ""):
        raise NotTaken(f"The id “{twice}” stands twice in {name}. Give each question its own.")
    digest = sha256(canonical([_content(item) for item in items]))
    with transaction.atomic():
        suite, made = Suite.objects.get_or_create(
            owner=person, digest=digest, collection=collection, defaults={"name": name[:120]}
        )
        if made:
            for item in items:
                item.suite = suite
            Item.objects.bulk_create(items, batch_size=500)
    return suite


def _content(item: Item) -> list[Any]:
    more = [item.before, item.reference, item.rubric]
    return [item.key, item.question, item.answers, item.evidence, item.cluster, *(more if any(more) else [])]


def _lines(text: str) -> Iterator[Mapping[str, Any]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise NotTaken(f"Line {number} is no JSON: {error.msg}. Each line is one JSON object.") from None
        if not isinstance(row, dict):
            raise NotTaken(f"Line {number} is no JSON object. Each line has “question” and “answers”.")
        yield row


def _csv(text: str) -> Iterator[Mapping[str, Any]]:
    rows = csv.DictReader(io.StringIO(text))
    if "question" not in (rows.fieldnames or ()):
        raise NotTaken("The first line names no column “question”. Write the names of the columns there.")
    for row in rows:
        answers = [one.strip() for one in (row.get("answers") or row.get("answer") or "").split("|") if one.strip()]
        yield {**row, "before": None, "answers": None if not answers and _is_open(row) else answers}


def _is_open(row: Mapping[str, Any]) -> bool:
    said = (row.get("open") or "").strip().lower()
    return said in ("yes", "true", "1") if said else bool(row.get("reference") or row.get("rubric"))


def _item(number: int, row: Mapping[str, Any]) -> Item:
    question, key = row.get("question"), row.get("id")
    if not isinstance(question, str) or not question.strip():
        raise NotTaken(f"Line {number} has no “question”. Write one, or take the line out.")
    if len(question) > LONGEST:
        raise NotTaken(f"The question of line {number} has over {LONGEST:,} characters. Shorten it.")
    answers = row.get("answers", [])
    answers = [answers] if isinstance(answers, str) else answers
    if answers is not None and not (isinstance(answers, list) and all(isinstance(one, str) for one in answers)):
        raise NotTaken(f"“answers” of line {number} is no list of texts. An unanswerable question has an empty list.")
    return Item(
        position=number,
        key=str(number if key in (None, "") else key)[:120],
        question=question.strip(),
        answers=None if answers is None else [one for one in answers if one.strip()],
        evidence=_evidence(number, row.get("evidence")),
        before=_before(number, row.get("before")),
        reference=str(row.get("reference") or ""),
        rubric=str(row.get("rubric") or ""),
        cluster=str(row.get("cluster") or row.get("title") or "")[:200],
    )


def _before(number: int, given: Any) -> list[dict[str, str]]:
    rows = given or []
    roles = ("person", "model")
    if not isinstance(rows, list) or not all(
        isinstance(one, dict) and one.get("role") in roles and isinstance(one.get("text"), str) for one in rows
    ):
        raise NotTaken(f"“before” of line {number} is no list of “role” (person or model) and “text”.")
    return [{"role": one["role"], "text": one["text"]} for one in rows]


def _evidence(number: int, given: Any) -> list[dict[str, str]] | None:
    if given in (None, "", []):
        return None
    listed = given if isinstance(given, list) else [given]
    passages = [{"title": "", "text": one} if isinstance(one, str) else one for one in listed]
    if not all(isinstance(one, dict) and isinstance(one.get("text"), str) for one in passages):
        raise NotTaken(
            f"“evidence” of line {number} is no list of passages. Each is a text, or has “title” and “text”."
        )
    return [{"title": str(one.get("title") or ""), "text": one["text"]} for one in passages]
