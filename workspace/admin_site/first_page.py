"""What the admin's first page tells before its list of things: what needs somebody, and a few figures.

It knows no table: whoever has something to tell registers with the site (``OnepaneAdminSite.on_first_page``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something that needs somebody: what is wrong in a sentence, and where it is put right."""

    words: str
    action: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One number with its unit, what it is of, and the page that tells it whole."""

    title: str
    value: str
    note: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    notices: Sequence[Notice] = ()
    figures: Sequence[Figure] = ()


Teller = Callable[[], Told]
