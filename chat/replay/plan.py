"""Answering again from a manifest: what is asked then, what may be changed, and what can't come out the same.

Everything is as the manifest has it (model and provider in their versions, parameters, prompt template, variables,
evidence, seed) but for one thing. It decides nothing about models: the router does, and checks permission as ever.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from chat import made, requests, tree
from chat.compare.rows import fused
from chat.frames import PARAMETERS, Refused
from chat.models import Chat, Fusion, Message
from retrieval import states
from workspace.accounts.models import Person
from workspace.router import catalog as catalogs
from workspace.router import prompts
from workspace.router.catalog import ACTIVE, LOCAL, Candidate, Catalog
from workspace.router.decide import QUOTES, may_use, stored
from workspace.router.models import PromptTemplateVersion, RouterVersion, Run
from workspace.router.personas import versions_for
from workspace.router.states import RunState
from workspace.types import Decision, Evidence, Grounding, Request

MOST = 200  # answers of one replay
WHAT = ("model", "parameter", "template", "router", "evidence")
READS = "While the model host starts, sentences are found by words alone, and else by meaning."
VERSIONS: dict[str, Any] = {"template": PromptTemplateVersion, "router": RouterVersion}
# What a change is called among the causes.
CALLED = {"model": "model", "template": "prompt template", "router": "router version", "evidence": "evidence"}
EVIDENCE = {"again": "searched anew", "none": "none at all"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The one thing that is not as it was; nothing where ``what`` is empty. ``name`` is a parameter's."""

    what: str = ""
    value: Any = None
    name: str = ""

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Change:
        return cls(what=row.get("what", ""), value=row.get("value"), name=row.get("name", ""))

    @property
    def row(self) -> dict[str, Any]:
        return {"what": self.what, "value": self.value, "name": self.name} if self.what else {}

    @property
    def named(self) -> Any:
        """The value, where it is a version its name: one that came in a file is no row of ours."""
        if isinstance(self.value, str) or self.what not in VERSIONS:
            return self.value
        return str(VERSIONS[self.what].objects.filter(pk=self.value).first() or "gone")

    def __str__(self) -> str:
        match self.what:
            case "":
                return "nothing"
            case "template" | "router":
                return f"{CALLED[self.what]}: {self.named}"
            case "evidence":
                return f"evidence: {EVIDENCE[self.value]}"
            case _:
                return f"{self.name or self.what}: {self.value}".replace("_", " ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What can be said of an answer before it is made again with the same manifest. ``blocked`` is why it can't be
    made again at all; ``notes`` are why it may come out otherwise, none where it will not."""

    message: Message
    notes: tuple[str, ...] = ()
    blocked: str = ""

    @property
    def mark(self) -> int | None:
        version = self.message.run.model_version if self.message.run else None
        return version.model.mark if version else None

    @property
    def exact(self) -> bool:
        return not self.notes and not self.blocked


def ids_of(chat: Chat, person: Person, scope: str, message: Message | None) -> list[UUID]:
    """The answers that are meant: of a ``branch`` (that leads to the message, or to where the person stands), of the
    whole ``chat``, or that one alone. Oldest first; what is still being written, or withheld, is left out."""
    finished = Message.objects.filter(chat=chat, role=Message.Role.MODEL, settled=True, run__withheld=False)
    found = list(finished.order_by("pk").values_list("pk", flat=True))
    tip = message or tree.place_of(chat, person)
    if scope == "chat" or tip is None:
        return found
    meant = set(tree.ids_above(tip, tree.ALL if scope == "branch" else 1))
    return [id for id in found if id in meant]


def answers(ids: Iterable[UUID]) -> list[Message]:
    """At most ``MOST``, with all that is asked of them here."""
    rows = Message.objects.filter(pk__in=list(ids)).select_related("chat", "parent", "run__model_version__model")
    return list(rows.order_by("pk"))


def change_of(person: Person, form: Mapping[str, str]) -> Change:
    """The change that a form names. Raises Refused."""
    what = form.get("what", "")
    value = form.get(what, "").strip() if what else ""
    match what:
        case "":
            return Change()
        case "model" if value:
            return Change(what=what, value=value[:80])
        case "parameter":
            return _parameter(form.get("name", ""), value)
        case "template" if value.isascii() and value.isdigit():
            if versions_for(person).filter(pk=min(int(value), 2**62)).exists():
                return Change(what=what, value=int(value))
        case "router" if value.isascii() and value.isdigit():
            if RouterVersion.objects.filter(configuration__name=ACTIVE, pk=min(int(value), 2**62)).exists():
                return Change(what=what, value=int(value))
        case "evidence" if value in EVIDENCE:
            return Change(what=what, value=value)
    raise Refused("bad_change", "What is to be changed is not there.", "Choose one of those listed.")


def request_of(person: Person, old: Message, change: Change) -> tuple[Request, Decision | None]:
    """What the router is asked, and what it decided then where that still holds. Raises Refused."""
    run = old.run
    if run is None or not run.manifest or not run.manifest.get("model") or old.parent is None:
        raise Refused("no_manifest", "That answer has no manifest to repeat.", "Retry it in the chat.")
    manifest = run.manifest
    base = requests.as_answer(requests.request_for(person, old.chat, old.parent, model=""), old)
    if fusion := Fusion.objects.filter(answer=old).first():
        base = fused(base, fusion)
    grounded = bool(run.evidence or manifest.get("collections") or manifest.get("searched"))
    request = replace(
        base,
        model=manifest["model"],
        parameters=_parameters(manifest),
        seed=manifest.get("seed"),
        system=manifest.get("system"),
        variables=manifest.get("variables") or {},
        evidence=tuple(Evidence(**one) for one in run.evidence) if grounded else None,
        grounding=Grounding(),
        persona=None,
        alone=True,
    )
    if not run.imported:  # its manifest names rows of another workspace
        request = replace(
            request,
            model_version=manifest.get("model_version"),
            provider_version=manifest.get("provider_version"),
            template=manifest.get("prompt_template_version"),
            configuration=(manifest.get("decision") or {}).get("configuration"),
        )
    return _with(request, change, base.grounding), _decided(run, change)


def outlook(message: Message, catalog: Catalog, groups: Collection[str]) -> Outlook:
    run = message.run
    manifest: Mapping[str, Any] = (run.manifest if run else None) or {}
    if run is None or not manifest.get("model"):
        return Outlook(message=message, blocked="It has no manifest: no model answered.")
    candidate = catalog.candidates.get(manifest["model"])
    if candidate is None or not candidate.enabled or candidate.lacks or not may_use(candidate, set(groups)):
        return Outlook(message=message, blocked=f"{manifest['model']} is withdrawn. Choose another model to go on.")
    notes = _notes(run, manifest, candidate)
    if not _is_asked_the_same(message, manifest):
        notes.append("What was said above it has been written further since, and that is sent now.")
    return Outlook(message=message, notes=tuple(notes))


def outlooks(person: Person, messages: Sequence[Message]) -> list[Outlook]:
    groups = set(person.groups.values_list("name", flat=True))
    catalog = catalogs.load_sync()
    return [outlook(one, catalog, groups) for one in messages]


def documents_changed(run: Run) -> list[str]:
    """Which collections are not what they were when the answer was written: it matters where evidence is searched
    anew."""
    told = []
    for one in (run.manifest or {}).get("collections") or ():
        now = states.now(one["id"])
        if now is None:
            told.append(f"“{one['name']}” is gone.")
        elif now["digest"] != one["digest"]:
            told.append(f"“{one['name']}” held {one['documents']} documents then, and holds {now['documents']} now.")
    return told


def _notes(run: Run, manifest: Mapping[str, Any], candidate: Candidate) -> list[str]:
    """Why the same manifest may not give the same text."""
    notes = []
    if run.imported:
        notes.append(
            "It was imported: what its manifest names is of another workspace, and the current versions answer."
        )
    elif candidate.version_id != manifest.get("model_version"):
        notes.append(
            f"{candidate.name} has a newer version here; the old one is asked, as long as its provider has it."
        )
    if candidate.kind == QUOTES and run.evidence:
        by_words = "threshold" in (manifest.get("parameters") or {})
        notes.append(f"It was found by {'words alone' if by_words else 'meaning'}. {READS}")
    elif candidate.kind == LOCAL and manifest.get("seed") is None:
        notes.append("It was written without a seed.")
    elif candidate.kind not in (LOCAL, QUOTES):
        if candidate.takes_seed and manifest.get("seed") is not None:
            notes.append(f"{candidate.name} takes a seed, but its provider does not promise the same text.")
        else:
            notes.append(f"{candidate.name} takes no seed, so it may answer in other words.")
    attempts = manifest.get("attempts") or []
    if sum(1 for one in attempts if one.get("usage")) > 1 or any(one.get("offset") for one in attempts):
        notes.append("It was broken off and gone on with; now it is written in one go.")
    if short := [each for one in attempts for each in one.get("ran") or () if each["short"]]:
        notes.append(f"Memory was short when it was written: it ran {_how(short[-1])}.")
    if run.state == RunState.STOPPED:
        notes.append("Somebody stopped it; now it goes on to its end.")
    if run.state == RunState.FAILED:
        notes.append("It failed before its end.")
    return notes


def _how(ran: Mapping[str, Any]) -> str:
    cut = f", and read {ran['context']} tokens of what was said" if ran.get("context") else ""
    return f"in {ran['precision']} on {ran['device']}{cut}"


def _is_asked_the_same(message: Message, manifest: Mapping[str, Any]) -> bool:
    """Whether what stands above an answer says what was sent then; the first manifests do not tell."""
    told = manifest.get("conversation") or {}
    if not told.get("digest") or message.parent is None:
        return True
    request = Request(messages=requests.conversation(message.parent))
    if request.messages and (fusion := Fusion.objects.filter(answer=message).first()):
        request = fused(request, fusion)
    return prompts.digest_of(request.messages[-told["messages"] :]) == told["digest"]


def _parameters(manifest: Mapping[str, Any]) -> dict[str, Any]:
    asked = made.asked(manifest)
    return asked if manifest.get("version", 1) > 1 else {one: asked[one] for one in PARAMETERS if one in asked}


def _with(request: Request, change: Change, grounding: Grounding) -> Request:
    match change.what:
        case "model":
            return replace(request, model=change.value, model_version=None, provider_version=None)
        case "parameter" if change.name == "seed":
            return replace(request, seed=int(change.value))
        case "parameter":
            return replace(request, parameters={**request.parameters, change.name: change.value})
        case "template":
            return replace(request, template=change.value, system=None)
        case "router":
            return replace(request, model="", model_version=None, provider_version=None, configuration=change.value)
        case "evidence" if change.value == "none":
            return replace(request, evidence=())
        case "evidence":
            return replace(request, evidence=None, grounding=grounding)
        case _:
            return request


def _decided(run: Run, change: Change) -> Decision | None:
    """The decision of then, for the model that answered; the router decides anew where that is what changes."""
    manifest = run.manifest or {}
    if change.what in ("model", "router") or run.imported or not manifest.get("decision"):
        return None
    decision = stored(manifest["decision"])
    return replace(
        decision,
        model=manifest["model"],
        model_version=manifest["model_version"],
        fallbacks=(),
        mode="interactive",
    )


def _parameter(name: str, value: str) -> Change:
    if name == "seed" and value.isascii() and value.isdigit() and len(value) < 16:
        return Change(what="parameter", name=name, value=int(value))
    try:
        low, high = PARAMETERS[name]
        number = float(value)
    except (KeyError, ValueError):
        raise Refused(
            "bad_change", "A parameter needs a name and a number.", "Choose one, and write a number."
        ) from None
    if not low <= number <= high or (isinstance(low, int) and number != int(number)):
        whole = "whole " if isinstance(low, int) else ""
        raise Refused("bad_change", f"{name} is a {whole}number from {low:g} to {high:g}.", "Write one of those.")
    return Change(what="parameter", name=name, value=int(number) if isinstance(low, int) else number)
