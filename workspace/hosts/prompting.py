"""A request in OpenAI's words becomes tokens by the model's own chat template, and a job for its batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from workspace.hosts import seeing
from workspace.hosts.jobs import Job, Piece
from workspace.hosts.loading import Loaded
from workspace.hosts.sampling import sampling_of
from workspace.hosts.wording import Wording

# Tokens of an answer at most, where neither chat, route nor program says. Ours: an answer holds room for all it may
# grow to, so one without a limit would hold the whole window, and none could stand beside it. They are some 700 words.
USUAL = 1024


class TooLong(ValueError):
    """The prompt alone fills the model's window."""


def job_of(body: dict[str, Any], loaded: Loaded, hear: Callable[[Piece], None]) -> Job:
    """Raises ValueError for what can't be asked. A prompt of a model that sees takes its processor alone, and may be
    made beside the thread that writes, in any one other."""
    messages = _messages(body["messages"])
    made: dict[str, Any] = {}
    sight = 0
    shown = seeing.shown(messages)
    if loaded.processor is not None:
        files = seeing.files_of(shown)
        sight = seeing.sight_of(files)
        prompt, made = _looked_at(messages, seeing.opened(files), loaded)
    elif shown:
        raise ValueError("this model takes no pictures")
    else:
        prompt = _tokens([{**message, "content": _text(message["content"])} for message in messages], loaded.tokenizer)
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
        pictures=made or None,
        looking=seeing.looked_until(loaded.model.config, prompt) if made else 0,
        sight=sight,
    )


def _messages(messages: Any) -> list[dict[str, Any]]:
    if not isinstance(messages, list) or not messages:
        raise ValueError("messages is a list of at least one message")
    return [{"role": str(message["role"]), "content": message["content"]} for message in messages]


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "\n\n".join(part["text"] for part in content if part.get("type") == "text")


def _tokens(messages: list[dict[str, Any]], tokenizer: Any) -> list[int]:
    if not tokenizer.chat_template:
        text = "\n\n".join(message["content"] for message in messages)
        return list(tokenizer(text)["input_ids"])
    return list(tokenizer(_written(messages, tokenizer), add_special_tokens=False)["input_ids"])


def _looked_at(
    messages: list[dict[str, Any]], pictures: Sequence[Any], loaded: Loaded
) -> tuple[list[int], dict[str, Any]]:
    """Tokens, with as many for each picture as its model wants, and what it is given of the pictures."""
    processor = loaded.processor
    messages = [{**message, "content": _parts(message["content"])} for message in messages]
    if processor.chat_template or processor.tokenizer.chat_template:
        text, special = _written(messages, processor), False
    else:
        parts = [part for message in messages for part in message["content"]]
        sign = getattr(processor, "image_token", "<image>")
        text, special = "\n".join(part.get("text", sign) for part in parts), True
    made = processor(text=[text], images=list(pictures) or None, return_tensors="pt", add_special_tokens=special)
    return made["input_ids"][0].tolist(), seeing.taken(loaded.model, made) if pictures else {}


def _written(messages: list[dict[str, Any]], template: Any) -> str:
    """The talk as its model was taught to read it. A last message of the model's own is what it goes on with."""
    goes_on = messages[-1]["role"] == "assistant"
    how = {"tokenize": False, "add_generation_prompt": not goes_on, "continue_final_message": goes_on}
    try:
        return str(template.apply_chat_template(messages, **how))
    except Exception:  # templates raise errors of their own for a role they do not know
        return str(template.apply_chat_template(_without_system(messages), **how))


def _without_system(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Its words before the first question, for templates without a system prompt."""
    system = [m["content"] for m in messages if m["role"] == "system"]
    first, *others = [dict(m) for m in messages if m["role"] != "system"]
    if system and isinstance(first["content"], str):
        first["content"] = "\n\n".join([*system, first["content"]])
    elif system:
        first["content"] = [*(part for content in system for part in content), *first["content"]]
    return [first, *others]


def _parts(content: Any) -> list[dict[str, Any]]:
    """A message's parts as processors want them; what neither is text nor a picture is left out."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    kinds = {"text": lambda part: {"type": "text", "text": part["text"]}, "image_url": lambda part: {"type": "image"}}
    return [kinds[part["type"]](part) for part in content if part.get("type") in kinds]


def _ends(loaded: Loaded) -> frozenset[int]:
    """Every token that ends an answer."""
    told = [loaded.model.generation_config.eos_token_id, loaded.tokenizer.eos_token_id]
    ids = [end for ends in told for end in (ends if isinstance(ends, list) else [ends])]
    return frozenset(int(end) for end in ids if end is not None)
