"""The learned score of a workspace: how models did on past prompts in, ``score("model")`` of a new one out.

It is off until its newest verdict (``trial.py``) says that it beats chance, prompt length and the mean of the subject
on prompts held out. What it knows is kept in memory and grows by what came in since; a prediction asks nobody. numpy
is not imported before there is something to predict from: an idle workspace does not pay for it.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np
from django.utils.crypto import salted_hmac

from workspace.router.models import RouterLabel, RouterVerdict
from workspace.router.reasoning import cues_in, requires_reasoning

if TYPE_CHECKING:
    from workspace.router.neighbours import Neighbours, Vectors

MOST = 20_000  # labels, the newest; twice as many at most, which are 61 MB and 4 ms for a prediction
HALF = "<f2"

_refreshing = threading.Lock()
_known: Neighbours | None = None
_last = 0  # id of the newest label in it


def remember(*, prompt: str, embedding: Sequence[float], model_id: int, outcome: float, source: str) -> RouterLabel:
    """Keep how a model did: 1 is as well as can be, 0.5 a tie, 0 a failure."""
    return RouterLabel.objects.create(
        model_id=model_id,
        outcome=outcome,
        source=source,
        prompt=salted_hmac("workspace.router.label", prompt, algorithm="sha256").hexdigest(),
        vector=np.asarray(embedding, HALF).tobytes(),
        characters=len(prompt),
        subject=cues_in(prompt)[0].name if requires_reasoning(prompt)[0] else "",
    )


def judge() -> RouterVerdict:
    """Try the score on held-out prompts and keep the verdict. Seconds of work: for the background."""
    from workspace.router.trial import Label, verdict

    rows = RouterLabel.objects.select_related("model").order_by("-id")[:MOST]
    found = verdict(
        [Label(row.prompt, _vector(row), row.model.name, row.outcome, row.characters, row.subject) for row in rows]
    )
    figures = {name: value for name, value in asdict(found).items() if name in ("aucs", "ahead")}
    return RouterVerdict.objects.create(passed=found.passed, reason=found.reason, labels=found.labels, figures=figures)


def refresh() -> None:
    """Read the newest verdict and the labels that came since; after another verdict, let go of all. Blocks."""
    global _known, _last
    with _refreshing:
        if not RouterVerdict.objects.order_by("-id").values_list("passed", flat=True).first():
            _known, _last = None, 0
            return
        from workspace.router.neighbours import Neighbours

        grown = _known is not None and len(_known) < 2 * MOST  # else the oldest are let go of
        known, last = (_known or Neighbours(), _last) if grown else (Neighbours(), 0)
        rows = list(RouterLabel.objects.filter(id__gt=last).select_related("model").order_by("-id")[:MOST])
        of_model: dict[str, list[RouterLabel]] = defaultdict(list)
        for row in rows:
            of_model[row.model.name].append(row)
        for name, its in of_model.items():
            known.add(name, [_vector(row) for row in its], [row.outcome for row in its])
        _known, _last = known, rows[0].pk if rows else last


def is_on() -> bool:
    """Whether there is something to predict from."""
    return _known is not None


def predict(embedding: Sequence[float]) -> dict[str, float]:
    """What each model with a past is likely to earn, 0 to 1; nothing while the score is off."""
    return _known.predict(embedding) if _known else {}


def _vector(row: RouterLabel) -> Vectors:
    return np.frombuffer(row.vector, HALF).astype(np.float32)
