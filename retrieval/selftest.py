"""Is a collection found in? Questions made from its own passages, asked again, and the place of each passage told.

A made question is what somebody might type who half remembers a passage: a few of the telling words of one of its
sentences (known items, as in Azzopardi, de Rijke and Balog, 2007). They are easier than what people ask, so they tell
whether a change makes search better or worse, and not how good it is. What people say themselves weighs the same.
"""

from __future__ import annotations

import math
import random
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from asgiref.sync import async_to_sync

from retrieval import measures, presets, search, spaces
from retrieval.lexical import STOP, terms
from retrieval.models import Chunk, Collection, Label, SelfTest
from retrieval.passages import MOST
from retrieval.presets import Preset
from retrieval.search import Stages
from workspace.hosts import link

QUESTIONS = 60  # made of one collection
LEAST = 20  # labels before a share of meaning is tuned
SEED = 20_261_129
WORDS = (4, 7)  # of a made question
CUTS = {"first": 1, "five": 5, "ten": 10}
SHARES = tuple(n / 20 for n in range(21))

_SENTENCE = re.compile(r"[^.!?\n]{40,300}[.!?]")
_WORD = re.compile(r"[^\W_][\w’'-]+")


@dataclass(frozen=True, slots=True)
class Tuned:
    """The best share of meaning on labels. ``gain`` is in reciprocal rank over the present one, each half of the labels
    judging the share that the other half chose."""

    alpha: float
    before: float
    gain: measures.Interval
    labels: int

    @property
    def surely(self) -> bool:
        return self.gain.low > 0


def make(collection: Collection, *, count: int = QUESTIONS) -> int:
    """Make questions until the collection has so many; how many are new. The same collection gives the same ones."""
    wanted = count - Label.objects.filter(collection=collection, made=True).count()
    if wanted <= 0:
        return 0
    ids = list(Chunk.objects.filter(document__collection=collection).order_by("pk").values_list("pk", flat=True))
    chance = random.Random(SEED)
    drawn = chance.sample(ids, min(len(ids), 3 * count))
    chunks = {chunk.pk: chunk for chunk in Chunk.objects.filter(pk__in=drawn).select_related("document")}
    holding = Counter(term for chunk in chunks.values() for term in set(terms(chunk.text)))
    made = 0
    for chunk in (chunks[id] for id in drawn):
        question = _question(chunk.text, holding, len(chunks), chance)
        if made < wanted and question:
            place = {"end": chunk.end, "made": True, "collection": collection}
            _, new = Label.objects.get_or_create(
                document=chunk.document, question=question, start=chunk.start, defaults=place
            )
            made += new
    return made


def run(test: SelfTest) -> None:
    """Ask every label of the collection, and keep the place of its passage among what is found."""
    collection = str(test.collection_id)
    preset = replace(presets.current([collection]), alpha=float(test.settings["alpha"]), alphas={})
    labels = list(Label.objects.filter(collection=test.collection_id).order_by("pk"))
    found = async_to_sync(_searched)(labels, collection, preset)
    test.places = {str(label.pk): place_of(label, one.scores) for label, one in zip(labels, found, strict=True)}
    test.failure = next((". ".join(one.notes) for one in found if one.notes), "")[:300]
    test.done = True
    test.save(update_fields=["places", "done", "failure"])


async def _searched(labels: Sequence[Label], collection: str, preset: Preset) -> list[Stages]:
    """Every question, one after the other, on one loop with its connections."""
    try:
        return [await search.stages(label.question, collections=[collection], preset=preset) for label in labels]
    finally:
        await link.close()


def place_of(label: Label, scores: Mapping[Any, float]) -> int | None:
    """Where the first passage stands of which most lies in the labelled one, or the other way round; from 1."""
    order = sorted(scores, key=lambda id: -scores[id])[:MOST]
    rows = Chunk.objects.filter(pk__in=order, document=label.document_id).values_list("pk", "start", "end")
    right = {
        id
        for id, start, end in rows
        if 2 * (min(end, label.end) - max(start, label.start)) > min(end - start, label.end - label.start)
    }
    return next((place for place, id in enumerate(order, start=1) if id in right), None)


def hits(places: Mapping[str, int | None]) -> dict[str, float]:
    """Of the questions, the share whose passage is among the first few, and the mean reciprocal rank."""
    count = len(places) or 1
    told = {name: sum(p is not None and p <= cut for p in places.values()) / count for name, cut in CUTS.items()}
    return told | {"mrr": sum(1 / p for p in places.values() if p) / count}


def difference(new: SelfTest, old: SelfTest, cut: int = 1) -> measures.Interval | None:
    """By how much the share of hits is better in the newer test, on the questions that both were asked."""
    both = [key for key in new.places if key in old.places]
    if not both:
        return None

    def hit(test: SelfTest) -> list[float]:
        return [float((place := test.places[key]) is not None and place <= cut) for key in both]

    return measures.difference(hit(new), hit(old))


def keep_tuned(test: SelfTest) -> None:
    """Tune, keep the share where it is surely better, and write down what was found."""
    tuned = tune(test.collection)
    test.done = True
    if tuned is None:
        test.failure = f"A share is tuned on {LEAST} labels at least, and with vectors. Label more, or try again later."
    else:
        if tuned.surely:
            Collection.objects.filter(pk=test.collection_id).update(alpha=tuned.alpha)
        gain = {"value": tuned.gain.value, "low": tuned.gain.low, "high": tuned.gain.high}
        told = {"alpha": tuned.alpha, "before": tuned.before, "labels": tuned.labels, "gain": gain}
        test.settings = {**test.settings, "tuned": {**told, "kept": tuned.surely}}
    test.save(update_fields=["settings", "done", "failure"])


def tune(collection: Collection) -> Tuned | None:
    """The share of meaning that finds the labelled passages best: by what people labelled where that is enough, else by
    the made questions too. ``None`` where there are too few, or no vectors. Each question is searched once, and joined
    at every share."""
    labels = list(Label.objects.filter(collection=collection, made=False).order_by("pk"))
    if len(labels) < LEAST:
        labels = list(Label.objects.filter(collection=collection).order_by("pk"))
    if len(labels) < LEAST:
        return None
    preset = replace(presets.current([str(collection.pk)]), reranker=None)
    now = preset.alphas.get(str(collection.pk), preset.alpha)
    ranks: dict[float, list[float]] = {share: [] for share in {*SHARES, now}}
    for label, found in zip(labels, async_to_sync(_searched)(labels, str(collection.pk), preset), strict=True):
        if found.meaning is None:
            return None
        for share, ranked in ranks.items():
            place = place_of(label, search.join(found.words, found.meaning, alpha=share))
            ranked.append(1 / place if place else 0.0)
    best = _best(ranks, range(len(labels)), now)
    others = [_best(ranks, range(1 - half, len(labels), 2), now) for half in (0, 1)]
    held_out = [ranks[others[n % 2]][n] for n in range(len(labels))]
    return Tuned(best, now, measures.difference(held_out, ranks[now]), len(labels))


def _best(ranks: Mapping[float, Sequence[float]], asked: Iterable[int], now: float) -> float:
    """The share with the highest mean reciprocal rank on some of the labels; of equals the nearest to the present."""
    some = list(asked)
    return max(ranks, key=lambda share: (round(math.fsum(ranks[share][n] for n in some), 6), -abs(share - now)))


def snapshot(collection: Collection, *, alpha: float | None = None) -> dict[str, Any]:
    """The settings of a test as its row keeps them, for a reader too."""
    preset = presets.current([str(collection.pk)])
    space = spaces.current()
    size = presets.size(space)
    return {
        "model": space.name,
        "alpha": preset.alphas.get(str(collection.pk), preset.alpha) if alpha is None else alpha,
        "passages": f"{size.tokens} / {size.overlap}",
        "reranker": preset.reranker.model if preset.reranker else "",
    }


def _question(text: str, holding: Mapping[str, int], total: int, chance: random.Random) -> str:
    """A few telling words of one sentence, in its order; nothing where no sentence has enough of them."""
    sentences = _SENTENCE.findall(text)
    if not sentences:
        return ""
    sentence = chance.choice(sentences)
    words = [word for word in dict.fromkeys(_WORD.findall(sentence)) if word.lower() not in STOP and terms(word)]
    if len(words) < WORDS[0]:
        return ""
    weights = {word: math.log(1 + total / (0.5 + holding.get(terms(word)[0], 0))) for word in words}
    drawn = sorted(words, key=lambda word: -(chance.random() ** (1 / max(weights[word], 1e-6))))
    kept = set(drawn[: chance.randint(*WORDS)])
    return " ".join(word for word in words if word in kept)
