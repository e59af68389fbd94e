"""Whether an answer says that it has none. A rule over words, pure, and printed with the figures that rest on it.

One of its sentences has to decline: somebody who could know (the passages, the text, "I", "it is") together with a
whole word for not knowing. No other may go on to assert something: "it is not stated, but it was William" has answered.
What passages are about, an excuse, a question and advice to look elsewhere assert nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

RULE = (
    "an answer abstains when a sentence says that the passages, “I” or “it is” do not tell, and no other sentence goes "
    "on to assert something; a rule over English words, whose precision and recall stand at the four cells"
)

_ADVERB = r"(?:\w+ly |even |also |quite |yet )?"
_SOURCES = r"(?:passages?|documents?|texts?|contexts?|sources?|excerpts?|articles?|evidence|materials?)"
_SOURCE = rf"{_SOURCES}(?: \d+)?(?: (?:given|provided|above|here))?"
_IN_SOURCES = rf"(?:in|by|from) (?:any of |either of )?(?:the |these |those |this |any |your )?(?:\w+ )?{_SOURCES}\b"
_NOT = r"(?: not|n['’]t)"
_DO_NOT = rf"(?:do|does|did){_NOT}"
_TELL = (
    r"(?:say|state|mention|contain|provide|specify|give|answer|include|address|tell|indicate|explain|name|define|"
    r"discuss|hold|support|offer|describe|reveal|list|cover|have (?:any|enough|the|an?) \w+)\b"
)
_TELLS = (
    r"(?:says?|states?|mentions?|contains?|provides?|specif(?:y|ies)|gives?|answers?|includes?|address(?:es)?|tells?|"
    r"indicates?|explains?|names?|defines?|discuss(?:es)?|holds?|supports?|offers?|describes?|lists?)\b"
)
_TOLD = (
    r"(?:known|stated|mentioned|specified|given|provided|clear|answered|determined|found|established|said|named|"
    r"described|discussed|available|addressed|contained|included|indicated|identified|disclosed|present|supplied)\b"
)
_UNTOLD = r"(?:known|stated|mentioned|specified|provided|clear|answered|determined|established)\b"
_WHO = r"(?:whether|if|who|whom|whose|what|when|where|which|why|how)\b"
_KNOWLEDGE = r"(?:information|answers?|mention|indication|details?|way to (?:know|tell|say)|definitive answer)\b"
_CANNOT = r"(?:cannot|can ?not|can['’]t|could not|couldn['’]t)"
_CLOSING = r"(?=\W*$| (?:from|based|by|with|without)\b)"
_DECLINES = re.compile(
    "|".join(
        (
            rf"\b{_SOURCE}\b[^.;:]{{0,40}}? {_DO_NOT} {_ADVERB}{_TELL}",
            rf"^\W*{_DO_NOT} {_ADVERB}{_TELL}",  # what stands after "but"
            rf"\b(?:none|neither|not one) of (?:the|these|those|them)\b[^.;:]{{0,30}}? {_ADVERB}{_TELLS}",
            rf"\bno (?:\w+ )?{_SOURCES} {_ADVERB}{_TELLS}",
            rf"\b(?:there (?:is|are|was|were)|{_SOURCES} (?:has|have|gives?|provides?|holds?|contains?|offers?)) "
            rf"(?:not enough|insufficient|no) (?:\w+ ){{0,2}}?(?:{_KNOWLEDGE}|\w+\b[^.;:]{{0,60}} {_IN_SOURCES})",
            rf"^\W*no (?:\w+ ){{0,2}}?{_KNOWLEDGE}(?: (?:is|was|are|were|can|could|has|about|in|on|of)\b|\W*$)",
            rf"^\W*(?:it|that|this) (?:is|was|are|remains){_NOT} {_ADVERB}(?:{_UNTOLD}{_CLOSING}|{_TOLD} (?:{_WHO}|"
            rf"{_IN_SOURCES})|possible to (?:say|tell|know|answer|determine)\b)",
            rf"\b(?:is|are|was|were|been){_NOT} {_ADVERB}{_TOLD} {_IN_SOURCES}",
            rf"\b(?:is|are|was|were){_NOT} {_ADVERB}(?:stated|mentioned|specified)\W*$",
            rf"\b{_CANNOT} be {_ADVERB}(?:known|answered|determined|found|established|said|identified)\b{_CLOSING}",
            r"\bunable to (?:answer|say|tell|determine|find|provide|give)\b",
            rf"\b(?:I|we|AI language model),? (?:{_CANNOT}|(?:do|did){_NOT} (?:have|know|see|find)\b|"
            rf"(?:am|are|was|were){_NOT} {_ADVERB}(?:able|aware|sure|certain)\b|"
            r"(?:am|are|was|were) (?:unable|afraid)\b)",
            r"\bI['’]m (?:not (?:able|aware|sure|certain)|unable|afraid)\b",
            rf"\bdo{_NOT} have (?:the |any |enough )?(?:\w+ )?(?:information|knowledge|access|answer|context|ability|"
            r"capability)\b",
            rf"\b{_SOURCE} (?:(?:say|contain|hold|mention|state|tell)s? nothing|(?:is|are) silent)\b",
            rf"\banswer\b[^.;:]{{0,40}} (?:is|are|was|were){_NOT} {_IN_SOURCES}",
            rf"\bthere (?:is|are){_NOT} (?:(?:enough|sufficient|any) {_KNOWLEDGE}|enough to (?:say|tell)\b)",
            rf"\b(?:I|we) have no (?:\w+ ){{0,2}}?(?:{_KNOWLEDGE}|knowledge|idea|answer)",
            r"\bunanswerable\b",
            rf"^\W*(?:unknown|n/?a|none|no answer|not {_ADVERB}{_TOLD}(?: {_IN_SOURCES})?|unclear)\W*$",
        )
    ),
    re.IGNORECASE,
)
_THEY_DO_NOT = re.compile(rf"\b(?:they|it|this|these|those|which) {_DO_NOT} {_ADVERB}{_TELL}", re.IGNORECASE)
_NAMES_SOURCES = re.compile(rf"\b{_SOURCES}\b", re.IGNORECASE)
_LEAD = re.compile(
    r"^\W*(?:(?:based|going|relying)(?: only| solely)? on|according to|from|in) (?:the |these |your )?(?:\w+ )?"
    rf"{_SOURCE},?|^\W*(?:however|therefore|thus|so|hence|unfortunately|additionally|also|but|and),?",
    re.IGNORECASE,
)
_ABOUT = re.compile(
    rf"\b{_SOURCES}\b|\b(?:more|further|additional) (?:information|context|details|questions?|assistance)\b"
    r"|^\W*(?:they|it|this|these|those|some|others?|one)\b(?: of \w+)?(?: \w+ly| only| just)? "
    r"(?:mentions?|describes?|discuss(?:es)?|covers?|focus(?:es)?|talks?|speaks?|deals?|refers?|concerns?|"
    r"(?:only|just|merely) \w+|(?:is|are) about)\b"
    r"|\b(?:please|sorry|apologi[sz]e|let me know|feel free|consult|refer to)\b"
    r"|\bI (?:can|could|would|will|suggest|recommend|hope|am|respect)\b|\bmy (?:function|capabilit|primary)"
    r"|\b(?:if|can|could|would) you\b|\?\W*$",
    re.IGNORECASE,
)
_THAT = re.compile(r"\b(?:say|state|indicate|suggest|explain|show|report|note)s? that\b", re.IGNORECASE)
_ONLY = re.compile(r"\b(?:only|just|merely)\b", re.IGNORECASE)
_GUESSES = re.compile(
    r"\bI (?:think|believe|guess|suspect|assume|(?:would|can|could) (?:say|guess|tell|confirm))\b", re.IGNORECASE
)
_CITED = re.compile(rf"\[\d{{1,3}}(?:\s*,\s*\d{{1,3}})*\]|\({_SOURCE}[^()]*\)", re.IGNORECASE)
_SENTENCE = re.compile(r"(?<=[.!?])[\"”’')\]]*\s+|\n+")
_CLAUSE = re.compile(r";|,? (?:but|however|although|though|yet|nevertheless|nonetheless)\b,?", re.IGNORECASE)
_WORD = re.compile(r"[^\W_]+")


def abstains(text: str) -> bool:
    """An empty answer says nothing either."""
    bare = _CITED.sub(" ", text)
    if not _WORD.search(bare):
        return True
    of_sources = bool(_NAMES_SOURCES.search(bare))
    declined = False
    for part in _parts(bare):
        if _DECLINES.search(part) or (of_sources and _THEY_DO_NOT.search(part)):
            declined = True
        elif _asserts(part):
            return False
    return declined


def _parts(text: str) -> Iterator[str]:
    """Sentences, and what stands on either side of a "but"; an echo of the question before a colon is neither."""
    for sentence in _SENTENCE.split(text):
        for part in _CLAUSE.split(sentence):
            if _WORD.search(part) and not part.rstrip().endswith(":"):
                yield part.strip()


def _asserts(part: str) -> bool:
    """What "they state that" is as good as stated."""
    bare = _LEAD.sub(" ", _LEAD.sub(" ", part, count=1), count=1)
    if _GUESSES.search(bare) or (_THAT.search(bare) and not _ONLY.search(bare)):
        return True
    return bool(_WORD.search(bare)) and not _ABOUT.search(bare)
