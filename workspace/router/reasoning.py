"""Whether a prompt asks to work something out: code, mathematics, logic. Rules, each with a name for the trace.

Pure and quick: a prompt's beginning and end are read, whatever its length. It knows English words and the notations of
mathematics and programs; a question in another language is found by notation alone.

What counts are MT-Bench's categories reasoning, math and coding. The rules were written on one half of MT-Bench (odd
ids) and of LLMRouter's tasks. On the other halves, as ``manage.py router_benchmark DIR`` prints:

    MT-Bench, 40 questions:     precision 0.86, recall 0.80, F1 0.83, AUC 0.93 (prompt length 0.29, random 0.5)
    LLMRouter, 2,508 prompts:   precision 0.99, recall 0.97, F1 0.98, AUC 0.995 (prompt length 0.84)

MT-Bench is known to everybody who writes such rules, so the second figure weighs more; recall is lowest on logic told
as a story (6 of 10). Of HaluEval's 4,507 instructions, which nobody labelled, 9 % are said to need it, most of them
code and sums indeed. A ridge regression on embeddings, ten folds over all of MT-Bench, is not surely ahead (AUC 0.94
against 0.90, difference -0.02 to 0.11) and is behind when it has learnt from other tasks (0.81), so nothing is learnt.
Typically 40 microseconds, and about a millisecond for the worst prompts tried.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

HEAD, TAIL = 1_500, 500  # characters: a task stands before or after the material it is about
ENOUGH = 1.0


@dataclass(frozen=True, slots=True)
class Cue:
    """``weight`` 1 decides alone; less needs company, below 0 speaks against."""

    name: str
    weight: float
    pattern: re.Pattern[str]


def requires_reasoning(prompt: str) -> tuple[bool, str]:
    """The value, and why in words that repeat nothing of the prompt."""
    found = cues_in(prompt)
    value = sum(cue.weight for cue in found) >= ENOUGH
    names = ", ".join(cue.name for cue in found if cue.weight > 0)
    return value, names if value else "too little in it asks to work something out"


def strength(prompt: str) -> float:
    """The weights together: ``requires_reasoning`` is whether they are enough."""
    return sum(cue.weight for cue in cues_in(prompt))


def cues_in(prompt: str) -> list[Cue]:
    text = (prompt if len(prompt) <= HEAD + TAIL else f"{prompt[:HEAD]}\n{prompt[-TAIL:]}").lower()
    return [cue for cue in CUES if cue.pattern.search(text)]


def _cue(name: str, weight: float, pattern: str) -> Cue:
    return Cue(name, weight, re.compile(pattern))


_NUMBER = r"(?:\b\d[\d,.]*+|\b(?:two|three|four|five|six|seven|eight|nine|ten|twelve|twice|half|dozen)\b)"
_MAKE = r"\b(?:write|implement|create|develop|build|code|fix|debug|refactor|optimi[sz]e|complete|generate)\b"
_CODE = (
    r"\b(?:functions?|script|algorithm|regex|regular expression|web ?page|api|unit tests?|(?:pseudo-?)code|html|css|sql"
    r"|python|java|javascript|typescript|c\+\+|rust|golang|bash)\b"
)
_PROGRAM = r"(?:program|code|class|method|query|website|app)\b"
_KIN = r"(?:father|mother|brother|sister|son|daughter|uncle|aunt|cousin|parent|child)s?"
_SIDE = r"\b(?:left|right|north|south|east|west|next to|behind|in front)\b"

# Read in lower case. A wildcard is bounded, so a long prompt costs no more than its length.
CUES = (
    _cue("asks for code", 1, rf"{_MAKE}(?:[^.?!\n]{{0,60}}?{_CODE}| (?:\w+ ){{0,3}}{_PROGRAM})"),
    _cue("has code in it", 1,
        r"```|>>> |#include|[;{][ \t]*\n|=> ?[{(]|traceback \(most"
        r"|(?m:^ *(?:def|class) \w+[(:]|^(?:from [\w.]+ )?import [\w.*{]+$)"),
    _cue("speaks of algorithms", 1,
        r"\b(?:time|linear|quadratic|constant) complexity\b|\b(?:binary|linked|sorted) (?:tree|list|array)"),
    _cue("mathematical notation", 1,
        r"\\(?:frac|sqrt|sum|int|cdot|begin|log|sin|cos|tan|angle|le|ge)\b|\^ ?[\dn({]|[-+*/] ?\d+ ?[=<>]"
        r"|\|\w ?[-+] ?\d+\||\b[fgh]\(\w\) ?=|\$[^$\n]{1,80}[\^=<>_\\]"),
    _cue("asks for a proof", 1, r"\b(?:dis)?prove\b|\bproof (?:that|of)\b"),
    _cue("asks to reason", 1, r"\bstep[- ]by[- ]step\b|\breasoning\b|\blogical(?:ly)?\b|\bdeduc(?:e|tion)\b"),
    _cue("a puzzle", 0.6, r"\b(?:puzzle|riddle|brain ?teaser)\b|\btrue,? (?:or )?false\b|\bstatements?\b"),
    _cue("words of mathematics", 0.6,
        r"\b(?:equation|inequality|probability|integers?|triangle|polynomial|prime(?! minister)|remainder|divisible"
        r"|derivative|integral|matrix|vertices|perimeter|hypotenuse|factorial|decimal|fraction|circle|rectangle|radius"
        r"|sphere|cylinder|quadratic|ratio|multiple of|real numbers?)\b"),
    _cue("asks for a figure", 0.6,
        r"\bhow (?:many|much|far|fast|long|old|wide|tall|deep|heavy)\b"
        r"|\b(?:calculate|compute|solve|simplify|determine)\b"
        r"|\bwhat (?:is|was|are|were|will|would|percent|percentage|fraction|score|price)\b[^.?!]{0,40}"
        r"\b(?:total|combined|sum|average|area|cost|value|number|percentage|probability|distance|price|speed|volume"
        r"|product|difference|ratio|profit|measure|age|amount|length|population|radius|depth|chances?|odds)\b"
        r"|\bfind (?:the|all|constants)\b|\bwhat's the (?:total|probability|sum|average)\b"),
    _cue("several figures", 0.5, rf"(?s:{_NUMBER}.{{1,200}}?{_NUMBER})"),
    _cue("kinship", 0.6, rf"\b{_KIN} of\b|\b(?:has|have) \w+ {_KIN}\b"),
    _cue("asks for a relation", 0.6,
        r"\b(?:relationship|related|position|direction) (?:between|to|is|of|in|towards?)\b|\bwhere is the\b"
        r"|\bwho (?:is|sits|lives|stands|finished)\b|\bwhich (?:direction|person|one)\b|\bcurrent position\b"),
    _cue("order in space", 0.5, rf"(?s:{_SIDE}.{{1,200}}?{_SIDE})|\bovert(?:ake|ook)|\bfacing\b"),
    _cue("order by size", 0.5,
        r"\b(?:taller|shorter|older|younger|faster|slower|heavier|lighter|bigger|smaller|cheaper|earlier|later)"
        r" than\b"),
    _cue("asks to extract", -1,
        r"^\W{0,20}(?:(?:please|given|can|could|you|evaluate)\b[^.?!\n]{0,80}?)?"
        r"\b(?:extract|identify|classify|summari[sz]e|translate|rewrite|proofread|reviews?)\b"),
)  # fmt: skip
