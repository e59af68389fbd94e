"""What made an answer, as its manifest has it, and what two answers differ in by it: for every page that compares.

Each thing is told once: a model with its versions is one. What was measured is told by ``diff.figures``, and the
passages by ``diff.evidence``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from chat.diff import Difference
from workspace.router.models import PromptTemplateVersion, RouterVersion, Run
from workspace.types import canonical, sha256

Fact = tuple[Any, ...]  # what is shown of it first; all of it must be the same
CAME_OF_IT = frozenset({"route", "chosen by", "collections", "finish reason"})  # nobody asks for these to be repeated
NONE = "none"


def facts(manifest: Mapping[str, Any] | None) -> dict[str, Fact]:
    """What is known of it, by the names on the page."""
    told = manifest or {}
    decision, conversation = (told.get(name) or {} for name in ("decision", "conversation"))
    found: dict[str, Fact] = {
        "model": tuple(
            told.get(name)
            for name in ("model", "resolved_model", "upstream_model", "model_version", "provider", "provider_version")
        ),
        "prompt template": (told.get("prompt_template"), told.get("prompt_template_version"), told.get("system")),
        "router version": (decision.get("configuration"),),
        "route": (decision.get("route"),),
        "chosen by": (decision.get("chosen_by"),),
        "evidence": tuple(one["digest"] for one in told.get("evidence") or ()),
        "collections": tuple((one.get("name"), one.get("digest")) for one in told.get("collections") or ()),
        "seed": (told.get("seed"),),
        "run in": _ran(told),
        "conversation": (conversation.get("messages"), conversation.get("digest")),
        "system prompt as sent": (told.get("system_digest"),),
        "parameters as sent": tuple(sorted(_sent(told).items())),
        "finish reason": (told.get("finish_reason"),),
    }
    found |= {name.replace("_", " "): (value,) for name, value in asked(told).items()}
    found |= {f"{{{name}}}": (value,) for name, value in (told.get("variables") or {}).items()}
    return {name: fact for name, fact in found.items() if any(value not in (None, "") for value in fact)}


def asked(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters by our names; the first manifests have them only as they were sent."""
    return dict(manifest.get("asked" if manifest.get("version", 1) > 1 else "parameters") or {})


def between(old: Run | None, new: Run, *, leaving: Collection[str] = ()) -> list[Difference]:
    """The same of two runs. What one that came in a file names is no row of ours: its versions are told by digest."""
    left, right = (_portable(run) if run and run.imported else run.manifest if run else None for run in (old, new))
    return differences(left, right, leaving=leaving)


def differences(
    old: Mapping[str, Any] | None, new: Mapping[str, Any] | None, *, leaving: Collection[str] = ()
) -> list[Difference]:
    """Everything that made the two and is not the same, but for what is to be left out."""
    left, right = facts(old), facts(new)
    unlike = [name for name in dict.fromkeys([*left, *right]) if left.get(name) != right.get(name)]
    follows = _following(set(unlike), {name.replace("_", " ") for one in (old, new) for name in asked(one or {})})
    told = [name for name in unlike if name not in leaving and name not in follows]
    return [Difference(name, *_beside(name, left.get(name, ()), right.get(name, ()))) for name in told]


def shown(name: str, fact: Fact) -> str:
    """As a page has it; empty where it is not known."""
    if not fact:
        return ""
    first = "" if fact[0] is None else f"{fact[0]:.3g}" if isinstance(fact[0], float) else str(fact[0])
    match name:
        case "model":
            upstream = fact[1] or fact[2]
            return f"{first} ({upstream})" if upstream and upstream != first else first
        case "prompt template":
            return f"{first} ({_template(fact[1])})" if first else "its own"
        case "router version":
            return _router(fact[0])
        case "evidence":
            return f"{len(fact)} passage{'' if len(fact) == 1 else 's'}"
        case "conversation":
            return f"{first or '?'} message{'' if first == '1' else 's'}"
        case "collections":
            return ", ".join(str(one) for one, _ in fact)
        case "parameters as sent":
            return ", ".join(f"{key} {value}" for key, value in fact)
        case "system prompt as sent":
            return first[:12]
        case "run in":
            return f"{first} on {fact[1]}{f', {fact[2]} tokens read' if fact[2] else ''}"
        case _:
            return first


def _ran(manifest: Mapping[str, Any]) -> Fact:
    """What a model of this machine ran in, at the end."""
    told = [each for one in manifest.get("attempts") or () for each in one.get("ran") or ()]
    return tuple(told[-1].get(name) for name in ("precision", "device", "context")) if told else ()


def _sent(manifest: Mapping[str, Any]) -> dict[str, str]:
    """The first manifests have no others. The seed is told apart."""
    sent = (manifest.get("parameters") or {}) if manifest.get("version", 1) > 1 else {}
    return {name: str(value) for name, value in sent.items() if name != "seed"}


def _following(unlike: set[str], parameters: set[str]) -> set[str]:
    """What goes without saying where something else differs: the words that were sent, and the numbers."""
    words = {"prompt template", "evidence"} & unlike
    numbers = ({"model", "seed"} | parameters) & unlike
    return {name for name, why in (("system prompt as sent", words), ("parameters as sent", numbers)) if why}


def _beside(name: str, old: Fact, new: Fact) -> tuple[str, str]:
    """Both as they are shown; where that is the same, with what differs behind it."""
    left, right = shown(name, old) or NONE, shown(name, new) or NONE
    if left != right:
        return left, right
    return f"{left} ({_behind(old, new)})", f"{right} ({_behind(new, old)})"


def _behind(one: Fact, other: Fact) -> str:
    """A number or a name as it is, and of anything longer its digest's beginning."""
    apart = [value for at, value in enumerate(one) if other[at : at + 1] != (value,)]
    short = [str(value) if len(str(value)) < 20 else sha256(canonical(value))[:8] for value in apart]
    return ", ".join(short[:3])


def _portable(run: Run) -> dict[str, Any]:
    """A manifest with digests in the place of ids."""
    told = dict(run.manifest or {})
    known = told.get("versions") or {}

    def version(name: str, id: Any) -> str | None:
        if id is None:
            return None
        return f"digest {str(known[name])[:8]}" if known.get(name) else "of another workspace"

    decision = dict(told.get("decision") or {})
    told["prompt_template_version"] = version("prompt template", told.get("prompt_template_version"))
    decision["configuration"] = version("router", decision.get("configuration"))
    return {**told, "decision": decision}


def _template(id: int | str | None) -> str:
    if isinstance(id, str):
        return id
    row = PromptTemplateVersion.objects.filter(pk=id or 0).first()
    return f"version {row.number if row else 'gone'}"


def _router(id: int | str | None) -> str:
    if isinstance(id, str):
        return id
    row = RouterVersion.objects.filter(pk=id).first() if id else None
    return f"version {row.number}" if row else NONE
