"""Names of models and of their makers, blotted out of what blind lanes say until the vote.

A model that says “I am Claude” would end the blindness. Every name keeps its length, so a lane's pace and length do not
change. What the question or the evidence says is no tell and stays, and so does a model whose name is a plain word.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from workspace.router.catalog import Catalog

BLOT = "█"
LONGEST = 60  # characters of a name that may still be under way at the end of a text

# Makers and families, as models name themselves. Versions that follow are blotted out with them.
_KNOWN = (
    "anthropic", "claude", "openai", "chatgpt", "gpt", "google deepmind", "deepmind", "gemini", "gemma", "bard",
    "meta ai", "llama", "mistral", "mixtral", "ministral", "magistral", "codestral", "qwen", "qwq", "alibaba cloud",
    "tongyi", "deepseek", "grok", "xai", "cohere", "command-r", "nemotron", "kimi", "moonshot", "minimax", "hermes",
    "zhipu", "chatglm", "glm", "ernie", "hunyuan", "olmo", "tulu", "smollm", "granite", "falcon", "ollama",
    "lm studio", "openrouter", "copilot", "perplexity", "sonar",
)  # fmt: skip
_SIZES = "opus|sonnet|haiku|flash|pro|ultra|nano|mini|turbo|large|medium|small"
_VERSION = rf"(?:[-‑ ]?v?\d\w*(?:[.:-]\w+)*)?(?:[- ](?:{_SIZES})\b)*"
_UNDER_WAY = re.compile(rf"[\w.:/‑-]{{1,{LONGEST}}}(?: [\w.]*)?\Z")
_DISTINCT = re.compile(r"[\d._:/-]")


def mask(text: str, names: Iterable[str], said: str) -> str:
    """The text, as long as it was. ``said`` is the question and the evidence."""
    told = said.lower()

    def blot(found: re.Match[str]) -> str:
        return found[0] if found[0].lower() in told else BLOT * len(found[0])

    return _pattern(frozenset(names)).sub(blot, text)


def sure(text: str) -> int:
    """Up to where a text that still grows can be masked: behind it, a name may just be beginning."""
    found = _UNDER_WAY.search(text[-2 * LONGEST :])
    return len(text) - (len(found[0]) if found else 0)


def names_in(catalog: Catalog) -> frozenset[str]:
    """What the workspace calls its models and what their providers call them, but for plain words."""
    names = {name for c in catalog.candidates.values() for name in (c.name, c.upstream, c.upstream.split("/")[-1])}
    return frozenset(name.lower() for name in names if len(name) > 2 and _DISTINCT.search(name))


@lru_cache(maxsize=16)
def _pattern(names: frozenset[str]) -> re.Pattern[str]:
    own = sorted((re.escape(name) for name in names), key=len, reverse=True)
    known = "|".join(re.escape(name) for name in _KNOWN)
    return re.compile(rf"(?<!\w)(?:{'|'.join([*own, f'(?:{known}){_VERSION}'])})(?!\w)", re.IGNORECASE)
