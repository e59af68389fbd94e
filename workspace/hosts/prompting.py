"""A request in OpenAI's words becomes tokens by the model's own chat template, and a job for its batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from workspace.hosts.jobs import Job, Piece
from workspace.hosts.loading import Loaded
from workspace.hosts.sampling import sampling_of
from workspace.hosts.wording import Wording

USUAL = 1024  # tokens of an answer at most, where the request does not say


class TooLong(ValueError):
    """The prompt alone fills the model's window."""


def job_of(body: dict[str, Any], loaded: Loaded, hear: Callable[[Piece], None]) -> Job:
    """Raises ValueError for what can't be asked."""
    prompt = _tokens(_messages(body["messages"]), loaded.tokenizer)
    if not prompt:
        raise ValueError("the prompt is empty")
    room = loaded.window - len(prompt)
    if room < 1:
        raise TooLong(f"the prompt has {len(prompt)} tokens and the maximum context length is {loaded.window}")
    asked = body.get("max_completion_tokens") or body.get("max_tokens") or USUAL
    if not isinstance(asked, int) or asked < 1:
        raise ValueError(f"max_tokens is a whole number from 1 on, not {asked!r}")
    stops = body.get("stop") or []
    return Job(
        prompt=prompt,
        sampling=sampling_of(body, loaded.model.generation_config),
        wording=Wording(loaded.tokenizer, [stops] if isinstance(stops, str) else list(stops), before=prompt),
        limit=min(asked, room),
        ends=_ends(loaded) if not body.get("ignore_eos") else frozenset(),
        hear=hear,
        chat=str(body.get("user") or ""),
    )


def _messages(messages: Any) -> list[dict[str, str]]:
    if not isinstance(messages, list) or not messages:
        raise ValueError("messages is a list of at least one message")
    return [{"role": str(message["role"]), "content": _text(message["content"])} for message in messages]


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "\n\n".join(part["text"] for part in content if part.get("type") == "text")


def _tokens(messages: list[dict[str, str]], tokenizer: Any) -> list[int]:
    """A last message of the model's own is what it goes on with."""
    if not tokenizer.chat_template:
        text = "\n\n".join(message["content"] for message in messages)
        return list(tokenizer(text)["input_ids"])
    goes_on = messages[-1]["role"] == "assistant"
    how = {"tokenize": False, "add_generation_prompt": not goes_on, "continue_final_message": goes_on}
    try:
        text = tokenizer.apply_chat_template(messages, **how)
    except Exception:  # templates raise errors of their own for a role they do not know
        text = tokenizer.apply_chat_template(_without_system(messages), **how)
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def _without_system(messages: list[dict[str, str]]) -> list[dict[str, str]]:
    """Its words before the first question, for templates without a system prompt."""
    system = "\n\n".join(m["content"] for m in messages if m["role"] == "system")
    others = [dict(m) for m in messages if m["role"] != "system"]
    if system and others:
        others[0]["content"] = f"{system}\n\n{others[0]['content']}"
    return others


def _ends(loaded: Loaded) -> frozenset[int]:
    """Every token that ends an answer."""
    told = [loaded.model.generation_config.eos_token_id, loaded.tokenizer.eos_token_id]
    ids = [end for ends in told for end in (ends if isinstance(ends, list) else [ends])]
    return frozenset(int(end) for end in ids if end is not None)
