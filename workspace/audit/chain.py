"""The chain of digests: what one is computed over, and whether stored rows still fit theirs.

A digest is SHA-256 over UTF-8 of the canonical JSON (keys sorted, no spaces, no ASCII escapes; RFC 8785 for the types
that occur: text, whole numbers, lists and objects of text) of every column but the digest itself, ``previous`` among
them; ``when`` is ISO 8601 in UTC with six decimals. The first row's ``previous`` is 64 zeros.

A chain shows that nobody altered, inserted, removed or reordered rows without computing all later digests anew.
Whoever may write to the database could do that, or cut off the end: only a number and digest kept elsewhere shows it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from workspace.audit.models import AuditEntry
from workspace.types import canonical, sha256

START = "0" * 64
COLUMNS = (
    "number", "when", "actor", "actor_id", "address", "action", "about", "about_id", "about_name", "words", "changes",
    "previous",
)  # fmt: skip
AT_ONCE = 2_000  # rows read together


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """``wrong`` says in words what the first row that does not fit shows; empty when all do."""

    entries: int
    digest: str
    wrong: str = ""


def content(entry: AuditEntry) -> dict[str, Any]:
    """The row as its digest and an export have it."""
    values = {name: getattr(entry, name) for name in COLUMNS}
    return {**values, "when": _moment(values["when"])}


def digest_of(values: dict[str, Any]) -> str:
    return sha256(canonical(values))


def verify(*, expect: tuple[int, str] | None = None) -> Verdict:
    """Walk every row in constant memory. ``expect`` is the number and digest of a row as somebody once noted them."""
    rows = AuditEntry.objects.order_by("number").iterator(chunk_size=AT_ONCE)
    return check(rows, expect=expect)


def check(rows: Iterable[AuditEntry], *, expect: tuple[int, str] | None = None) -> Verdict:
    """The same over any rows, such as those of an export."""
    count, last = 0, START
    awaited = expect
    for row in rows:
        if wrong := _wrong(row, count + 1, last):
            return Verdict(entries=count, digest=last, wrong=wrong)
        count, last = count + 1, row.digest
        if awaited and awaited[0] == row.number:
            if awaited[1] != row.digest:
                wrong = f"Entry {row.number} has another digest than you noted: the log was written anew up to it."
                return Verdict(entries=count, digest=last, wrong=wrong)
            awaited = None
    if awaited:
        wrong = f"Entry {awaited[0]}, whose digest you noted, is missing: the end of the log was cut off."
        return Verdict(entries=count, digest=last, wrong=wrong)
    return Verdict(entries=count, digest=last)


def _wrong(row: AuditEntry, number: int, last: str) -> str:
    if row.number != number:
        return f"Entry {number} is missing: after {number - 1} comes {row.number}."
    if row.previous != last:
        return f"Entry {number} does not follow the one before it: one of the two was replaced."
    if row.digest != digest_of(content(row)):
        return f"Entry {number} was altered: it does not fit its digest."
    return ""


def _moment(when: datetime) -> str:
    return when.astimezone(UTC).isoformat(timespec="microseconds")
