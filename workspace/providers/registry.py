"""Which providers there are. Each is imported when it is first used."""

from __future__ import annotations

from django.utils.module_loading import import_string

from workspace.providers.base import Provider

PROVIDERS: dict[str, str] = {
    "openai": "workspace.providers.openai.OpenAI",
    "openai-responses": "workspace.providers.openai_responses.OpenAIResponses",
    "anthropic": "workspace.providers.anthropic.Anthropic",
    "gemini": "workspace.providers.gemini.Gemini",
    "quotes": "workspace.providers.quotes.Quotes",
    "local": "workspace.providers.local.Local",
}

_made: dict[str, Provider] = {}


def provider(kind: str) -> Provider:
    """The provider that speaks this protocol. Providers keep no state, so there is one of each."""
    path = PROVIDERS[kind]
    if path not in _made:
        _made[path] = import_string(path)()
    return _made[path]


def kinds() -> list[tuple[str, str]]:
    """Every kind with its label, for a form."""
    return [(kind, provider(kind).label) for kind in PROVIDERS]
