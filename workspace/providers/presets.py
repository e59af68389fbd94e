"""Providers that are known by name: how each is reached, where its key is looked for, and which family of models it is
begun with.

A name in ``MODEL_NAMES`` is what the article's router file calls a model; which model it is, the admin says.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MODEL_NAMES = {
    "fast-flash": "short prompts and autocomplete: a Gemini Flash, or another quick model",
    "atlas-long": "long answers that nobody waits for: a long-form model behind any address",
    "balanced-sonnet": "everything else: a Claude Sonnet, or another balanced model",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """``families`` are patterns of model names, each with numbers in groups: of each family the highest is begun with.
    ``variables`` are where the key is looked for, the first that is set."""

    name: str
    label: str
    kind: str
    base_url: str = ""
    variables: tuple[str, ...] = ()
    families: tuple[str, ...] = ()
    upstreams: tuple[str, ...] = ()
    abilities: tuple[str, ...] = ("system",)
    hint: str = ""


PRESETS = (
    Preset(
        name="anthropic",
        label="Anthropic: Claude Sonnet",
        kind="anthropic",
        base_url="https://api.anthropic.com/v1",
        variables=("ANTHROPIC_API_KEY",),
        families=(r"claude-sonnet-(\d+)-(\d+)", r"claude-haiku-(\d+)-(\d+)"),
        abilities=("system", "images", "tools", "reasoning"),
    ),
    Preset(
        name="gemini",
        label="Google: Gemini Flash",
        kind="gemini",
        base_url="https://generativelanguage.googleapis.com/v1beta",
        variables=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
        families=(r"gemini-(\d+)\.(\d+)-flash", r"gemini-(\d+)\.(\d+)-pro"),
        abilities=("system", "images", "tools", "reasoning"),
    ),
    Preset(
        name="openai",
        label="OpenAI",
        kind="openai-responses",
        base_url="https://api.openai.com/v1",
        variables=("OPENAI_API_KEY",),
        families=(r"gpt-(\d+)\.(\d+)", r"gpt-(\d+)\.(\d+)-mini"),
        abilities=("system", "images", "tools", "reasoning"),
    ),
    Preset(
        name="openrouter",
        label="OpenRouter: many providers with one key",
        kind="openai",
        base_url="https://openrouter.ai/api/v1",
        variables=("OPENROUTER_API_KEY",),
        families=(r"anthropic/claude-sonnet-(\d+)\.(\d+)",),
        abilities=("system", "images", "tools", "reasoning"),
    ),
    Preset(
        name="groq",
        label="Groq",
        kind="openai",
        base_url="https://api.groq.com/openai/v1",
        variables=("GROQ_API_KEY",),
        families=(r"openai/gpt-oss-(\d+)b",),
    ),
    Preset(
        name="mistral",
        label="Mistral",
        kind="openai",
        base_url="https://api.mistral.ai/v1",
        variables=("MISTRAL_API_KEY",),
        upstreams=("mistral-large-latest", "mistral-small-latest"),
    ),
    Preset(
        name="deepseek",
        label="DeepSeek",
        kind="openai",
        base_url="https://api.deepseek.com/v1",
        variables=("DEEPSEEK_API_KEY",),
        upstreams=("deepseek-chat", "deepseek-reasoner"),
    ),
    Preset(name="ollama", label="Ollama on this machine", kind="openai", base_url="http://127.0.0.1:11434/v1"),
    Preset(name="lm-studio", label="LM Studio on this machine", kind="openai", base_url="http://127.0.0.1:1234/v1"),
    Preset(name="vllm", label="vLLM on this machine", kind="openai", base_url="http://127.0.0.1:8000/v1"),
    Preset(
        name="atlas",
        label="Any OpenAI-compatible address, such as a long-form model of your own",
        kind="openai",
        hint="Enter the address of the server that serves it, then find its models.",
    ),
    Preset(
        name="local",
        label="gpt2 on this machine, by transformers",
        kind="local",
        upstreams=("gpt2",),
        hint="It is loaded from the Hugging Face cache when it is first asked.",
    ),
)


def preset(name: str) -> Preset | None:
    return next((one for one in PRESETS if one.name == name), None)


def begun_with(one: Preset, known: list[str]) -> list[str]:
    """The newest of each family among these names, and what the preset names outright."""
    newest = [_newest(re.compile(family), known) for family in one.families]
    return [name for name in newest if name] + list(one.upstreams)


def _newest(family: re.Pattern[str], known: list[str]) -> str:
    """The highest numbers win: ``claude-sonnet-5-5`` over ``claude-sonnet-4-6``. A date is no version."""
    found = [(tuple(map(int, match.groups())), name) for name in known if (match := family.fullmatch(name))]
    return max((pair for pair in found if max(pair[0]) < 1000), default=((), ""))[1]
