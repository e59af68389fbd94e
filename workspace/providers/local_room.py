"""What a local model would take for a context and so many answers at once, as the admin's page has it in words."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

MOST = 9  # digits: no model has a window of more


def size_in(form: Mapping[str, Any]) -> dict[str, int]:
    """The context and the answers that a form holds; what is no number is left to the host."""
    typed = {name: str(form.get(name, "")).strip() for name in ("context", "answers")}
    return {name: int(text) for name, text in typed.items() if text.isdecimal() and len(text) <= MOST}


def takes(estimate: Mapping[str, Any]) -> int:
    """Bytes in all."""
    return int(estimate["weights"] + estimate["cache"] + estimate["working"])


def drawn(model: str, told: Mapping[str, Any]) -> dict[str, Any]:
    """What the host told, each try with its sum and what comes of it."""
    tries, last = told["tries"], told["tries"][-1]
    rows = [
        {**each, "total": takes(each), "verdict": _verdict(each, after)} for each, after in pairwise([*tries, None])
    ]
    can_be_kept = last["fits"] and last["context"] == tries[0]["context"]
    return {**told, "model": model, "title": model.partition("@")[0], "tries": rows, "can_be_kept": can_be_kept}


def _verdict(each: Mapping[str, Any], after: Mapping[str, Any] | None) -> str:
    if each["fits"]:
        names, are = " and ".join(each["turns"]), "is" if len(each["turns"]) == 1 else "are"
        return f"fits once {names} {are} out: they take turns" if names else "fits"
    if after is None:
        return "won't fit"
    if after["device"] != each["device"]:
        return f"won't fit: needs the {after['device'].upper()}"
    if after["precision"] != each["precision"]:
        return f"won't fit: needs lower precision, {after['precision']}"
    return f"won't fit: needs {'fewer answers' if after['context'] == each['context'] else 'a shorter context'}"
