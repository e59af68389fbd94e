"""Trying search: what each step says of each passage, labels, and tests of a collection with its own questions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from uuid import UUID

from asgiref.sync import async_to_sync
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_POST, require_safe

from chat.views import index
from retrieval import passages, presets, search, selftest, tasks
from retrieval.access import collection_to_rule, collections_of, document_for
from retrieval.chunks import estimate
from retrieval.models import Chunk, Collection, Label, SelfTest
from retrieval.passages import Passage
from retrieval.presets import Preset
from workspace.accounts.rights import may_chat, person_of
from workspace.types import Evidence

SHOWN = 40  # passages in the table
TESTS = 6  # of one collection


@dataclass(frozen=True)
class Row:
    """One passage with what each step said of it; ``number`` is what a model would be given it as."""

    passage: Passage
    words: float | None
    cosine: float | None
    joined: float | None
    reranked: float | None
    number: int | None
    fate: str
    is_labelled: bool


@login_required
@require_safe
def page(request: HttpRequest) -> HttpResponse:
    person = person_of(request)
    shelves = collections_of(person)
    chosen = _chosen(request, shelves)
    preset = _asked(request, presets.current([str(one.pk) for one in chosen]))
    question = request.GET.get("q", "").strip()[:2_000]
    one = chosen[0] if len(chosen) == 1 else None
    own = one if one and one.owner_id == person.pk and may_chat(person) else None
    context: dict[str, Any] = {
        **index(request),
        "shelves": shelves,
        "one": one,
        "own": own,
        "question": question,
        "preset": preset,
        "share": preset.alphas.get(str(one.pk), preset.alpha) if one else preset.alpha,
    }
    if own:
        context |= _tests(own)
    if question and chosen:
        context |= _tried(question, chosen, preset)
    return render(request, "retrieval/search.html", context)


@login_required
@require_POST
def label(request: HttpRequest) -> HttpResponse:
    """Say that a passage answers a question; once more takes it back."""
    person = person_of(request)
    document = document_for(person, request.POST.get("document", ""))
    collection = document.collection
    if collection.owner_id != person.pk or not may_chat(person):
        raise PermissionDenied
    question = request.POST.get("q", "").strip()[:2_000]
    chunk = document.chunks.filter(position=_number(request.POST.get("position", ""))).first()
    if chunk and question:
        place = {"end": chunk.end, "collection": collection}
        one, new = Label.objects.get_or_create(document=document, question=question, start=chunk.start, defaults=place)
        if not new:
            one.delete()
        messages.success(request, "Labelled: this passage answers it." if new else "The label is taken back.")
    return redirect(f"{reverse('search-try')}?{urlencode({'q': question, 'collection': str(collection.pk)})}")


@login_required
@require_POST
def test(request: HttpRequest, id: UUID) -> HttpResponse:
    """Begin a test of a collection, with the share of meaning that is named; ``tune`` its share, or ``untune`` it."""
    collection = collection_to_rule(person_of(request), id)
    if request.POST.get("untune"):
        Collection.objects.filter(pk=collection.pk).update(alpha=None)
    else:
        tunes = bool(request.POST.get("tune"))
        share = None if tunes else _share(request.POST.get("alpha", ""))
        kept = {**selftest.snapshot(collection, alpha=share), "tunes": tunes}
        one = SelfTest.objects.create(collection=collection, settings=kept)
        task = tasks.tune_collection if tunes else tasks.self_test
        transaction.on_commit(partial(task.delay, one.pk))
    return redirect(f"{reverse('search-try')}?{urlencode({'collection': str(collection.pk)})}#tests")


def _tried(question: str, chosen: list[Collection], preset: Preset) -> dict[str, Any]:
    found = async_to_sync(search.stages)(question, collections=[str(one.pk) for one in chosen], preset=preset)
    picked = passages.choose(found.scores, preset.tokens, neighbours=preset.neighbours)
    evidence = passages.told(picked.passages, found.scores, neighbours=preset.neighbours)
    numbers = {passage.id: _given_as(passage, evidence) for passage in picked.passages}
    order = sorted(found.scores, key=lambda id: -found.scores[id])[:SHOWN]
    labels = Label.objects.filter(question=question, collection__in=chosen).values_list("document", "start")
    known = {passage.id: passage for passage in passages.read(Chunk.objects.filter(pk__in=order))}
    labelled = set(labels)
    rows = [
        Row(
            passage=known[id],
            words=found.words.get(id),
            cosine=(found.meaning or {}).get(id),
            joined=found.joined.get(id),
            reranked=(found.reranked or {}).get(id),
            number=numbers.get(id),
            fate=picked.left_out.get(id, ""),
            is_labelled=(known[id].document_id, known[id].start) in labelled,
        )
        for id in order
        if id in known
    ]
    tokens = sum(estimate(one.text) for one in evidence)
    return {
        "rows": rows,
        "given": len(evidence),
        "tokens": tokens,
        "notes": found.notes,
        "seconds": found.seconds,
        "unscored": _unscored(found),
    }


def _unscored(found: search.Stages) -> str:
    """Why a passage has no score by meaning."""
    if found.meaning is None:
        return "none"
    return "no vector yet" if found.meaning else "far"


def _given_as(passage: Passage, evidence: tuple[Evidence, ...]) -> int | None:
    """The number of the passage that a chunk became part of."""
    document = str(passage.document_id)
    inside = (one for one in evidence if one.document_id == document and one.start <= passage.start < one.end)
    return next((one.number for one in inside), None)


def _tests(collection: Collection) -> dict[str, Any]:
    """The last tests, each with its hits and with what changed since the one before it."""
    rows = list(SelfTest.objects.filter(collection=collection)[: TESTS + 1])
    told = []
    for number, one in enumerate(rows[:TESTS]):
        before = next((old for old in rows[number + 1 :] if old.places), None)
        change = selftest.difference(one, before) if one.places and before else None
        told.append({"test": one, "hits": selftest.hits(one.places), "change": change})
    labels = Label.objects.filter(collection=collection)
    return {
        "tests": told,
        "testing": any(not one.done for one in rows),
        "labels": labels.filter(made=False).count(),
        "made": labels.filter(made=True).count(),
    }


def _chosen(request: HttpRequest, shelves: list[Collection]) -> list[Collection]:
    """The collections that are named; all that the person may see, where none is."""
    wanted = [id for id in request.GET.getlist("collection") if id]
    return [one for one in shelves if str(one.pk) in wanted] if wanted else shelves


def _asked(request: HttpRequest, preset: Preset) -> Preset:
    """The settings of this try: what the address says, else what is set."""
    share, tokens = _share(request.GET.get("alpha", "")), _number(request.GET.get("tokens", ""))
    if share is not None:
        preset = replace(preset, alpha=share, alphas={})
    if tokens >= 0:
        preset = replace(preset, tokens=min(tokens, 32_000))
    return replace(preset, neighbours="neighbours" in request.GET) if "set" in request.GET else preset


def _share(said: str) -> float | None:
    try:
        share = float(said)
    except ValueError:
        return None
    return share if 0 <= share <= 1 else None


def _number(said: str) -> int:
    return int(said) if said.isascii() and said.isdigit() and len(said) < 9 else -1
