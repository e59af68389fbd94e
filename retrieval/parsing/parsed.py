"""What a file gives: a text with its title and pages, or why there is none; and how tables are told."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MOST_ROWS = 200_000  # of a table


class Unreadable(Exception):
    """A file that gives no text. ``action`` says what to do about it."""

    def __init__(self, cause: str, action: str) -> None:
        super().__init__(cause)
        self.cause, self.action = cause, action


@dataclass(frozen=True, slots=True)
class Parsed:
    """``pages`` are the offsets in ``text`` at which its pages begin; none where a format has no pages."""

    text: str
    title: str = ""
    pages: tuple[int, ...] = ()

    @classmethod
    def of_pages(cls, pages: Sequence[str], title: str) -> Parsed:
        """Of the texts of pages, cleaned: offsets hold only in what is stored."""
        pages, starts, at = [clean(page) for page in pages], [], 0
        for page in pages:
            starts.append(at)
            at += len(page) + 2
        return cls("\n\n".join(pages), title, tuple(starts))


def clean(text: str) -> str:
    """Without what a database does not store, and with one kind of line end."""
    return text.replace("\x00", "").replace("\r\n", "\n").replace("\r", "\n")


def records(rows: Sequence[Sequence[str]]) -> str:
    """A line for each row that names its columns: a row found alone still says what its values are."""
    if len(rows) < 2:
        return table(rows)
    names = rows[0]
    return "\n\n".join(
        "; ".join(f"{name}: {value}" for name, value in zip(names, row, strict=False) if value.strip())
        for row in rows[1:]
        if any(value.strip() for value in row)
    )


def table(rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(" | ".join(" ".join(cell.split()) for cell in row) for row in rows)
