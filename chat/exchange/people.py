"""People in a file: told by their names, and nobody here but whoever brings the file in."""

from __future__ import annotations

from typing import Any

from workspace.accounts.models import Person


def name_of(person: Person | None, other: str = "") -> str | None:
    """``other`` is the name of somebody who came in a file."""
    return person.username if person else other or None


def named(person: Person, name: Any, field: str) -> dict[str, Any]:
    """Fields of a row that is the ``person``'s own, or somebody's of that name who is nobody here."""
    if name == person.username:
        return {field: person}
    return {f"{field}_name": name[:150] if isinstance(name, str) else ""}
