"""What one answer is worth, against what somebody wrote down. Pure; the formulas stand here and on the report.

Exact match and F1 are SQuAD's (Rajpurkar et al., 2016): lower case, no punctuation, no articles; the best of all gold
answers. *The four cells*: a question with an answer is answered right, wrong or not at all; one without is answered,
which is invention, or not. To an open one nobody wrote an answer down: judges alone say what an answer is worth.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence
from enum import StrEnum

from workspace.measurement.abstaining import abstains

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_CITED = re.compile(r"\[\d{1,3}(?:\s*,\s*\d{1,3})*\]")


class Cell(StrEnum):
    CORRECT = "correct"
    WRONG = "wrong"
    ABSTAINED = "abstained"  # there was an answer
    INVENTED = "invented"
    REFUSED = "rightly abstained"  # there was none
    UNSCORED = "unscored"  # the run failed
    OPEN = "open"  # nobody wrote down what is right


ATTEMPTED = (Cell.CORRECT, Cell.WRONG, Cell.INVENTED)


def normal(text: str) -> str:
    """As SQuAD compares: without citations, case, punctuation and articles."""
    bare = _CITED.sub(" ", text).lower().translate(_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", bare).split())


def exact(text: str, gold: Sequence[str]) -> bool:
    return normal(text) in {normal(one) for one in gold}


def contains(text: str, gold: Sequence[str]) -> bool:
    """Whether a gold answer stands in the text, word by word: what an answer in sentences is held to."""
    said = f" {normal(text)} "
    return any(wanted and f" {wanted} " in said for wanted in map(normal, gold))


def f1(text: str, gold: Sequence[str]) -> float:
    """Of words in common, the best of all gold answers."""
    return max((_f1(normal(text).split(), normal(one).split()) for one in gold), default=0.0)


def cell(text: str, gold: Sequence[str] | None) -> Cell:
    """Which of the four cells an answer falls into. Who names the gold answer has answered, whatever else they say."""
    if gold is None:
        return Cell.OPEN
    if gold and contains(text, gold):
        return Cell.CORRECT
    if abstains(text):
        return Cell.ABSTAINED if gold else Cell.REFUSED
    return Cell.WRONG if gold else Cell.INVENTED


def _f1(said: list[str], wanted: list[str]) -> float:
    common = sum((Counter(said) & Counter(wanted)).values())
    if not common:
        return float(said == wanted)
    precision, recall = common / len(said), common / len(wanted)
    return 2 * precision * recall / (precision + recall)
