"""What another program asks, as the router takes it: a body of chat completions or of ``generate`` in, a ``Request``
out, or a refusal that names the field.

What changes nothing here is passed over; what would change the answer and can't be done is refused, and so is a field
nobody knows, as OpenAI does. Reference: https://platform.openai.com/docs/api-reference/chat/create
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from django.conf import settings

from workspace import blobs
from workspace.api.refusals import Refusal, wrong
from workspace.api.tokens import Caller
from workspace.pictures import ImageRefused, picture_of
from workspace.types import Part, PromptMessage, Request, Role, text_part

LONG = 200_000  # bytes
REASONS = ("medium", "high", "xhigh")  # efforts that ask for reasoning
EFFORTS = ("none", "minimal", "low", *REASONS)
ROLES: dict[str, Role] = {"user": "person", "assistant": "model"}
PASSED_OVER = {
    "user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key", "prompt_cache_retention",
    "prediction", "parallel_tool_calls",
}  # fmt: skip
# Fields that would change the answer, with the values that leave it as it is.
CANNOT: dict[str, tuple[Any, ...]] = {
    "n": (1,),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "logit_bias": ({},),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "audio": (),
    "web_search_options": (),
    "verbosity": ("medium",),
}
OLLAMA_PASSED_OVER = {"keep_alive", "num_ctx"}
OLLAMA_CANNOT: dict[str, tuple[Any, ...]] = {
    "format": ("",), "raw": (False,), "suffix": ("",), "template": ("",), "context": ([],), "think": (False,),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """``usage`` wants the tokens at the end of a stream."""

    request: Request
    stream: bool = False
    usage: bool = False


def completion(body: bytes, caller: Caller) -> Asked:
    """A body of ``POST /v1/chat/completions``. Pictures in it are stored. Raises Refusal."""
    fields = _fields(body)
    system, messages = _messages(fields.pop("messages", None))
    options = fields.pop("stream_options", None) or {}
    if not isinstance(options, dict):
        raise wrong("stream_options", "stream_options is an object.")
    asked = Asked(
        request=_request(fields, caller, messages=messages, system=system),
        stream=_truth(fields.pop("stream", False), "stream"),
        usage=_truth(options.get("include_usage", False), "stream_options.include_usage"),
    )
    _refuse_the_rest(fields, passed_over=PASSED_OVER, cannot=CANNOT)
    return asked


def generation(body: bytes, caller: Caller) -> Asked:
    """A body of ``POST /api/generate``, as Ollama's programs write it. Raises Refusal."""
    fields = _fields(body)
    prompt, system = _text(fields.pop("prompt", None), "prompt"), _text(fields.pop("system", ""), "system")
    if not prompt:
        raise wrong("prompt", "prompt must not be empty.", code="invalid_value")
    pictures = [_picture(image, "images") for image in _list(fields.pop("images", []), "images")]
    options = fields.pop("options", None) or {}
    if not isinstance(options, dict):
        raise wrong("options", "options is an object.")
    if (limit := options.pop("num_predict", None)) is not None and limit != -1:
        options["max_tokens"] = limit
    options["model"] = fields.pop("model", "")
    message = PromptMessage(role="person", parts=(text_part(prompt), *pictures))
    asked = Asked(
        request=_request(options, caller, messages=(message,), system=system),
        stream=_truth(fields.pop("stream", False), "stream"),
    )
    _refuse_the_rest({**options, **fields}, passed_over=OLLAMA_PASSED_OVER, cannot=OLLAMA_CANNOT)
    return asked


def takes_long(body: bytes) -> bool:
    """Whether this body is better read in a thread: it may hold pictures, or a book."""
    return len(body) > LONG or b'"image' in body


def _request(fields: dict[str, Any], caller: Caller, *, messages: tuple[PromptMessage, ...], system: str) -> Request:
    """Takes out of ``fields`` what a request has room for."""
    effort = _one_of(fields.pop("reasoning_effort", None), EFFORTS, "reasoning_effort")
    newer, older = (_count(fields.pop(name, None), name) for name in ("max_completion_tokens", "max_tokens"))
    parameters = {
        "temperature": _number(fields.pop("temperature", None), "temperature", 0, 2),
        "top_p": _number(fields.pop("top_p", None), "top_p", 0, 1),
        "presence_penalty": _number(fields.pop("presence_penalty", None), "presence_penalty", -2, 2),
        "frequency_penalty": _number(fields.pop("frequency_penalty", None), "frequency_penalty", -2, 2),
        "max_tokens": newer or older,
        "stop": _stop(fields.pop("stop", None)),
        "reasoning_effort": effort,
    }
    return Request(
        messages=messages,
        system=system,
        model=_text(fields.pop("model", None) or "", "model"),
        parameters={name: value for name, value in parameters.items() if value is not None},
        seed=_whole(fields.pop("seed", None), "seed"),
        requires_reasoning=effort in REASONS,
        person_id=str(caller.person_id),
        user=caller.name,
        groups=caller.groups,
    )


def _fields(body: bytes) -> dict[str, Any]:
    try:
        fields = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refusal(400, f"The body is not JSON: {error}") from None
    if not isinstance(fields, dict):
        raise Refusal(400, "The body is JSON, but not an object.")
    return fields


def _messages(given: Any) -> tuple[str, tuple[PromptMessage, ...]]:
    """The system prompt, and the conversation. System and developer messages are joined wherever they stand: only some
    protocols know a place for them between the others."""
    system: list[str] = []
    told: list[PromptMessage] = []
    for number, message in enumerate(_list(given, "messages")):
        where = f"messages[{number}]"
        if not isinstance(message, dict):
            raise wrong(where, f"{where} is an object with a role and a content.")
        role = message.get("role")
        if role in ("system", "developer"):
            system += [part.text for part in _parts(message.get("content"), where, pictures=False)]
        elif role in ("tool", "function") or message.get("tool_calls") or message.get("function_call"):
            raise wrong(where, "Tools can't be used here yet. Send what they said as text.", code="unsupported_value")
        elif role in ROLES:
            parts = _parts(message.get("content"), where, pictures=role == "user")
            told += [PromptMessage(role=ROLES[role], parts=parts)] if parts else []
        else:
            raise wrong(f"{where}.role", f"{where}.role is system, developer, user or assistant.")
    if not told or told[-1].role != "person":
        raise wrong("messages", "The last message must be the user's, and not be empty.")
    return "\n\n".join(system), tuple(told)


def _parts(content: Any, where: str, *, pictures: bool) -> tuple[Part, ...]:
    where = f"{where}.content"
    if content is None or isinstance(content, str):
        return (text_part(content),) if content else ()
    return tuple(
        _part(part, f"{where}[{number}]", pictures=pictures) for number, part in enumerate(_list(content, where))
    )


def _part(part: Any, where: str, *, pictures: bool) -> Part:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind in ("text", "refusal"):
        return text_part(_text(part.get(kind), f"{where}.{kind}"))
    if kind == "image_url" and pictures:
        image = part.get("image_url")
        return _picture_at(image.get("url") if isinstance(image, dict) else image, f"{where}.image_url")
    known = "text and images" if pictures else "text"
    raise wrong(where, f"{where} is of a kind that can't be taken here: {known} can.", code="unsupported_value")


def _picture_at(url: Any, where: str) -> Part:
    head, comma, data = _text(url, where).partition(",")
    if not comma or not head.startswith("data:") or not head.endswith(";base64"):
        cause = "Images are taken as data URLs (data:image/png;base64,…) alone: nothing is fetched for a request."
        raise wrong(where, cause, code="unsupported_value")
    return _picture(data, where)


def _picture(encoded: Any, where: str) -> Part:
    text = _text(encoded, where)
    if len(text) * 3 // 4 > settings.MAX_UPLOAD:
        raise wrong(where, f"The image is over {settings.MAX_UPLOAD // 1_000_000} MB. Make it smaller.")
    try:
        data = base64.b64decode(text, validate=True)
        found = picture_of(data)
    except binascii.Error:
        raise wrong(where, "The image is not base64.") from None
    except ImageRefused as refused:
        raise wrong(where, f"{refused.cause} {refused.action}") from None
    return Part(
        kind="image",
        digest=blobs.keep(data),
        media_type=found.media_type,
        size=len(data),
        width=found.width,
        height=found.height,
    )


def _refuse_the_rest(
    fields: Mapping[str, Any], *, passed_over: Iterable[str], cannot: Mapping[str, tuple[Any, ...]]
) -> None:
    for name, value in fields.items():
        if value is None or name in passed_over:
            continue
        if name not in cannot:
            raise wrong(name, f"{name} is not known here. Leave it out.", code="unknown_parameter")
        if value not in cannot[name]:
            raise wrong(name, f"{name} can't be done here. Leave it out.", code="unsupported_parameter")


def _text(value: Any, where: str) -> str:
    return _of(value, where, "text", lambda v: isinstance(v, str))


def _list(value: Any, where: str) -> list[Any]:
    return _of(value, where, "a list", lambda v: isinstance(v, list))


def _truth(value: Any, where: str) -> bool:
    return _of(value or False, where, "true or false", lambda v: isinstance(v, bool))


def _number(value: Any, where: str, low: float, high: float) -> float | None:
    def fits(number: Any) -> bool:
        return isinstance(number, int | float) and not isinstance(number, bool) and low <= number <= high

    return None if value is None else _of(value, where, f"a number from {low} to {high}", fits)


def _whole(value: Any, where: str) -> int | None:
    return None if value is None else _of(value, where, "a whole number", lambda v: type(v) is int)


def _count(value: Any, where: str) -> int | None:
    return None if value is None else _of(value, where, "a whole number above 0", lambda v: type(v) is int and v > 0)


def _one_of(value: Any, words: tuple[str, ...], where: str) -> str | None:
    return None if value is None else _of(value, where, f"one of {', '.join(words)}", lambda v: v in words)


def _stop(value: Any) -> list[str] | None:
    given = [value] if isinstance(value, str) else value or None
    if given is None:
        return None
    return _of(
        given, "stop", "text, or a list of texts",
        lambda v: isinstance(v, list) and all(isinstance(text, str) and text for text in v),
    )  # fmt: skip


def _of(value: Any, where: str, what: str, fits: Callable[[Any], bool]) -> Any:
    if not fits(value):
        raise wrong(where, f"{where} must be {what}.", code="invalid_value")
    return value
