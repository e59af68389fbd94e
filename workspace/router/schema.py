"""The JSON Schema of the router's file (draft 2020-12), for editors and other programs.

What a schema can't say (conditions, unreachable routes) ``workspace/router/configuration.py`` checks; a test holds
the keys of the two equal.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from workspace.router.conditions import FUNCTIONS, MAX_LENGTH
from workspace.router.configuration import ANY, MAX_ROUTES
from workspace.router.facts import FACTS, LOOKUPS

# What stands behind each key where an author has it written for them; a test holds the keys complete and the file good.
ROUTE_EXAMPLES = {
    "name": '"short questions"',
    "condition": '"len(prompt) < 120"',
    "model": '"any"',
    "models": '{"any": 9, "quotes": 1}',
    "groups": '["research"]',
    "mode": '"background"',
    "parameters": '{"temperature": 0.2, "max_tokens": 2000}',
    "grounding": '{"documents": true}',
    "first_token_s": "10",
    "total_s": "120",
    "fallbacks": '["quotes"]',
    "budget": '{"usd": 0.05}',
}
FILE_EXAMPLES = {
    "fallback": '"quotes"',
    "autocomplete": '"any"',
    "judge": '"any"',
    "rewriter": '"any"',
    "hedge": '{"after_s": 2, "percent": 5}',
}


def schema(models: Collection[str]) -> dict[str, Any]:
    """``models`` are the names a file may use. ``//`` comments are taken out before it is held against this."""
    model = {"enum": [*sorted(models), ANY]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "model_router.json",
        "type": "object",
        "additionalProperties": False,
        "required": ["routes"],
        "properties": {
            "routes": {"type": "array", "minItems": 1, "maxItems": MAX_ROUTES, "items": _route(model)},
            "fallback": {**model, "description": "Answers when no route can."},
            "autocomplete": {**model, "description": "Finishes sentences in the composer. Left out: nobody does."},
            "judge": {
                **model,
                "description": "Reads each grounded answer again and says which of its sentences the passages support.",
            },
            "rewriter": {
                **model,
                "description": "Completes what leans on earlier questions, for the search. Left out: rules do.",
            },
            "hedge": {
                **_object(
                    after_s={"type": "number", "exclusiveMinimum": 0, "maximum": 60},
                    percent={"type": "number", "exclusiveMinimum": 0, "maximum": 100},
                ),
                "description": "After so many seconds without a token the next fallback is called too, and the first "
                "to speak answers; at most so many percent of calls.",
            },
        },
    }


def _route(model: dict[str, Any]) -> dict[str, Any]:
    seconds = {"type": "number", "exclusiveMinimum": 0, "maximum": 86_400}
    weight = {"type": "number", "exclusiveMinimum": 0, "maximum": 1_000_000}
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["condition"],
        "oneOf": [{"required": ["model"]}, {"required": ["models"]}],
        "properties": {
            "name": {
                "type": "string",
                "minLength": 1,
                "maxLength": 60,
                "description": "What the route is called in every explanation.",
            },
            "condition": {"type": "string", "minLength": 1, "maxLength": MAX_LENGTH, "description": _language()},
            "model": {**model, "description": "Answers when the condition is true. “any” is the oldest that can."},
            "models": {
                "type": "object",
                "minProperties": 1,
                "propertyNames": model,
                "additionalProperties": weight,
                "description": "Models and their weights. A chat keeps the model it drew.",
            },
            "groups": {
                "type": "array",
                "items": {"type": "string", "minLength": 1, "maxLength": 60},
                "description": "The route serves people of these groups alone.",
            },
            "mode": {
                "enum": ["interactive", "background"],
                "description": "In the background the person goes on chatting, and is told when the answer lands.",
            },
            "parameters": {
                **_object(
                    temperature={"type": "number", "minimum": 0, "maximum": 2},
                    top_p={"type": "number", "exclusiveMinimum": 0, "maximum": 1},
                    max_tokens={"type": "integer", "minimum": 1, "maximum": 10_000_000},
                    stop={"type": "array", "items": {"type": "string", "minLength": 1}, "maxItems": 4},
                ),
                "description": "Sent with the question, over the model's own.",
            },
            "grounding": {
                **_object(documents={"type": "boolean"}, web={"type": "boolean"}),
                "description": "What the answer stands on, whatever the person chose.",
            },
            "first_token_s": {**seconds, "description": "Seconds to the first token, at most."},
            "total_s": {**seconds, "description": "Seconds to the last token, at most."},
            "fallbacks": {"type": "array", "items": model, "description": "Asked in this order when the model fails."},
            "budget": {**_object(usd=weight), "description": "US dollars that an answer may cost at most."},
        },
    }


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _language() -> str:
    facts = "\n".join(f"{name} ({fact.kind}): {fact.meaning}" for name, fact in FACTS.items())
    functions = "\n".join(f"{name}(): {function.meaning}" for name, function in FUNCTIONS.items())
    lookups = "\n".join(f'{name}("model") ({fact.kind}): {fact.meaning}' for name, fact in LOOKUPS.items())
    return f"“default”, or a comparison of facts with and, or, not.\n{facts}\n{functions}\n{lookups}"
