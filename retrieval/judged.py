"""Folders of judged questions: texts, what is asked of them, and which text answers.

A set is ``NAME_corpus.jsonl`` (``id``, ``title``, ``text``) with ``NAME_queries.jsonl`` (``id``, ``text``) and
``NAME_qrels.csv`` (``query_id``, ``doc_id``, ``gain`` or ``rel``); or ``corpus.jsonl`` with any file of questions that
name their text (``question``, ``gold_id``, ``answers``). Each may be gzipped.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Text:
    id: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Asked:
    """``gains`` of the texts that answer; ``answers`` are strings, where somebody wrote them down."""

    question: str
    gains: Mapping[str, float]
    answers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Judged:
    name: str
    texts: Sequence[Text]
    asked: Sequence[Asked]
    unanswerable: Sequence[Asked] = field(default_factory=tuple)


def sets(folder: Path) -> list[Judged]:
    """Every set of a folder; none when it holds no corpus."""
    found = []
    if corpus := _file(folder, "corpus.jsonl"):
        texts = _texts(corpus)
        questions = {path: [_asked(row) for row in _rows(path) if "question" in row] for path in _questions(folder)}
        nothing = tuple(one for asked in questions.values() for one in asked if not one.answers)
        for path, asked in questions.items():
            if kept := [one for one in asked if one.answers and one.gains]:
                found.append(Judged(_name(path), texts, kept, nothing))
    for path in sorted(folder.glob("*_corpus.jsonl*")):
        name = path.name.partition("_corpus")[0]
        queries, judged = _file(folder, f"{name}_queries.jsonl"), _file(folder, f"{name}_qrels.csv")
        if queries and judged:
            found.append(Judged(name, _texts(path), _by_qrels(queries, judged)))
    return found


def _questions(folder: Path) -> list[Path]:
    """Files of questions beside ``corpus.jsonl``: each row names its text."""
    kept = []
    for path in sorted([*folder.glob("*.jsonl"), *folder.glob("*.jsonl.gz")]):
        first = next(_rows(path), {})
        if "question" in first and "gold_id" in first:
            kept.append(path)
    return kept


def _by_qrels(queries: Path, judged: Path) -> list[Asked]:
    gains: dict[str, dict[str, float]] = {}
    for row in csv.DictReader(io.StringIO(_read(judged))):
        gain = float(row.get("gain") or row.get("rel") or 0)
        if gain > 0:
            gains.setdefault(row["query_id"], {})[row["doc_id"]] = gain
    return [Asked(row["text"], gains[str(row["id"])]) for row in _rows(queries) if str(row["id"]) in gains]


def _asked(row: Mapping[str, Any]) -> Asked:
    gold = row.get("gold_id")
    return Asked(row["question"], {gold: 1.0} if gold else {}, tuple(row.get("answers") or ()))


def _texts(path: Path) -> list[Text]:
    return [Text(str(row["id"]), row.get("title") or "", row["text"]) for row in _rows(path)]


def _file(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.exists()), None)


def _name(path: Path) -> str:
    return path.name.partition(".jsonl")[0]


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    for line in _read(path).splitlines():
        if line.strip():
            yield json.loads(line)


def _read(path: Path) -> str:
    data = path.read_bytes()
    return (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8")
