"""What a question is about, for a leaderboard by topic: rules, the first that fits, which a reader can check.

They read English words and the notations of programs and mathematics; whatever fits none is "other". A question that
was to be answered from documents or the web counts as that: there the passages, more than the subject, decide.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from workspace.router.reasoning import ENOUGH, cues_in

OTHER = "other"
TOPICS = ("documents", "code", "maths", "writing", "translation", "reasoning", OTHER)
MOST = 2_000  # characters that are read

_CODE = {"asks for code", "has code in it", "speaks of algorithms"}
_MATHS = {"mathematical notation", "asks for a proof", "words of mathematics", "asks for a figure", "several figures"}
_WRITING = re.compile(
    r"\b(?:write|draft|compose|rewrite|rephrase|shorten|proofread|edit|summari[sz]e)\b[^.?!\n]{0,60}?"
    r"\b(?:e-?mail|letter|poem|story|essay|article|blog|post|speech|headline|slogan|tweet|text|paragraph|note|reply"
    r"|review|report|summary|haiku|lyrics|introduction|cover|announcement|message)\b"
    r"|\b(?:summari[sz]e|proofread|rephrase|rewrite)\b"
)
_TRANSLATION = re.compile(r"\btranslat(?:e|ion)\b|\bin(?:to)? (?:german|french|spanish|italian|japanese|chinese)\b")


def topic_of(question: str, grounding: Mapping[str, Any]) -> str:
    """One of ``TOPICS``."""
    if grounding.get("documents") or grounding.get("web"):
        return "documents"
    text = question[:MOST].lower()
    cues = {cue.name: cue.weight for cue in cues_in(question)}
    if cues.keys() & _CODE:
        return "code"
    if _TRANSLATION.search(text):
        return "translation"
    if sum(cues[name] for name in cues.keys() & _MATHS) >= ENOUGH:
        return "maths"
    if _WRITING.search(text):
        return "writing"
    return "reasoning" if sum(cues.values()) >= ENOUGH else OTHER
