"""Follow-up questions made whole: what is asked, with what it leaves unsaid, taken from the conversation by rules.

"And what does it cost?" finds nothing by itself. The question before it is put in front, and where a person is meant,
the names in the last answer too. Whoever asks sees what was searched for. No model is called. Pure: texts in, text out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from retrieval.lexical import terms

FEW = 5  # words that say something: a question with more of them stands by itself
LONGEST = 200  # characters of an earlier question
ANSWER = 300  # first characters of an answer in which names are looked for
NAMES = 3

_POINTS_BACK = re.compile(
    r"\b(?:it|its|they|them|their|theirs|this|that|these|those|he|him|his|she|her|hers|there|then|one|ones|"
    r"former|latter|same|others?|another|else)\b",
    re.I,
)
_A_PERSON = re.compile(r"\b(?:he|him|his|she|her|hers|they|them|their)\b", re.I)
_GOES_ON = re.compile(r"^\s*(?:and|but|or|so|also|then|what about|how about|why|how come|in that case)\b", re.I)
_NAME = re.compile(r"(?<![.!?]\s)(?<!^)\b[A-ZÀ-Þ][\w’'-]+(?:\s+[A-ZÀ-Þ][\w’'-]+)*")


def complete(question: str, before: Sequence[tuple[str, str]]) -> str:
    """The question as it is searched; ``before`` are the earlier questions with their answers, oldest first. The same
    text comes back where nothing is missing."""
    if not before or not is_follow_up(question):
        return question
    *earlier, (asked, answer) = before
    whole = complete(_short(asked), earlier)
    names = _names(answer) if _A_PERSON.search(question) else []
    said = {term for text in (whole, question) for term in terms(text)}
    new = [name for name in names if not said.issuperset(terms(name))]
    return " ".join([whole, *new, question])


def is_follow_up(question: str) -> bool:
    """Whether a question leans on the one before it."""
    count = len(set(terms(question)))
    if count > FEW:
        return False
    return count <= 1 or bool(_GOES_ON.search(question)) or bool(_POINTS_BACK.search(question))


def _short(question: str) -> str:
    """An earlier question; of a long one its end, where mostly is what is asked."""
    text = " ".join(question.split())
    return text if len(text) <= LONGEST else text[-LONGEST:].partition(" ")[2]


def _names(answer: str) -> list[str]:
    return list(dict.fromkeys(_NAME.findall(" ".join(answer[:ANSWER].split()))))[:NAMES]
