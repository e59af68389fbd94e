"""Local models in the admin: what is on this machine and in memory, and what to do with it.

Asks the model host and draws what it says; the host does the work, and this page never waits for it to end.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from asgiref.sync import async_to_sync
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.timesince import timesince

from workspace.audit.log import record
from workspace.audit.models import Action
from workspace.hosts import link
from workspace.providers.adding import add_model
from workspace.providers.local_room import drawn, size_in, takes
from workspace.providers.models import LanguageModel, Provider, ProviderVersion

PAGE = "providers_languagemodel_local"
ACTIONS = {
    "load": "{} is being loaded.",
    "unload": "{} was taken out of memory. Its files stay.",
    "size": "{} has that room from its next load on.",
    "usual": "{} has what is free from its next load on.",
    "pin": "{} now stays in memory once it is loaded.",
    "unpin": "{} may be unloaded again when memory is short.",
    "delete": "The files of {} were deleted.",
    "download": "{} is being downloaded.",
    "stop": "The download of {} was stopped. What was fetched stays; the next one goes on from there.",
}
TASKS = {"embedding": "turns texts into vectors", "pairs": "scores pairs of texts"}
SEARCH = "it stands below, under models that serve search"


class LocalPages:
    """For the admin of language models: one more page."""

    def local_urls(self, view: Callable[..., Any]) -> list[URLPattern]:
        return [path("local/", view(self.local), name=PAGE)]

    def local(self, request: HttpRequest) -> HttpResponse:
        typed = ""
        if request.method == "POST":
            action, model = request.POST.get("action", ""), request.POST.get("model", "").strip()
            if self._do(request, action, model):
                return redirect(f"admin:{PAGE}")
            typed = model if action == "add" else ""
        ours = _ours()
        try:
            told = async_to_sync(_told)(list(ours))
            missing = ""
        except link.HostUnavailable as error:
            told, missing = {"models": [], "offline": False, "devices": []}, str(error)
        rows = [{**row, "name": ours.get(row["model"], ""), **_shown(row)} for row in told["models"]]
        context = {
            **self.admin_site.each_context(request),  # type: ignore[attr-defined]
            "title": "Local models",
            "opts": self.opts,  # type: ignore[attr-defined]
            "told": told,
            "host_up": _since(told["host"]["up"]) if told.get("host") else "",
            "typed": typed,
            "room": _room(request) if "room" in request.GET and not missing else None,
            "missing": missing,
            "rows": [row for row in rows if row["name"]],
            "offered": [row for row in rows if not row["name"] and row["task"] == "chat" and row["state"] != "absent"],
            "others": [row for row in rows if not row["name"] and row["task"] != "chat"],
            "moving": any(row["moving"] for row in rows),
        }
        return render(request, "admin/providers/local.html", context)

    def _do(self, request: HttpRequest, action: str, model: str) -> bool:
        """Whether it was done; else the reason stands among the messages."""
        try:
            if action == "add":
                self._add(request, model)
            elif action in ACTIONS:
                size = size_in(request.POST) if action == "size" else {}
                async_to_sync(_ask)("size" if action == "usual" else action, model, **size)
                done = ACTIONS[action].format(model.partition("@")[0])
                record(Action.CHANGED, name=model.partition("@")[0], words=done)
                messages.success(request, done)
        except (link.Refused, link.HostUnavailable) as error:
            messages.error(request, str(error))
            return False
        return True

    def _add(self, request: HttpRequest, model: str) -> None:
        """A folder or a model of the cache as it is now; else what the hub has, which is fetched."""
        if not model:
            messages.error(request, "Write the id of a model, such as org/name, or the path of a folder.")
            return
        when = "It is loaded when it is first asked."
        try:
            found = async_to_sync(_ask)("look", model)
        except link.Refused:
            if model.startswith(("/", "~")):
                raise
            found = async_to_sync(_ask)("download", model)
            when = "It is being downloaded, and answers when it is here."
        exact = found["model"]
        if found["task"] != "chat":
            messages.info(request, f"{exact.partition('@')[0]} {TASKS[found['task']]} and does not chat: {SEARCH}.")
            return
        if exact in _ours():
            messages.info(request, f"{_ours()[exact]} is that model already.")
            return
        abilities = ("system", "images") if found["images"] else ("system",)
        name = exact.partition("@")[0].rstrip("/").rpartition("/")[2]
        added = add_model(_provider(), exact, name=name, abilities=abilities, window=found.get("window"))
        self.log_addition(request, added, [{"added": {}}])  # type: ignore[attr-defined]
        self.admin_site.changed()  # type: ignore[attr-defined]
        messages.success(request, f"Added {added}. {when}")


async def _told(names: list[str]) -> dict[str, Any]:
    try:
        return await link.models(names)
    finally:
        await link.close()


async def _ask(action: str, model: str, **size: int) -> dict[str, Any]:
    try:
        return await link.ask(action, model, **size)
    finally:
        await link.close()


def _room(request: HttpRequest) -> dict[str, Any]:
    """What the model that is asked about takes, or ``why`` that can't be told."""
    model, size = request.GET["room"], size_in(request.GET)
    try:
        return drawn(model, async_to_sync(_ask)("estimate", model, **size))
    except (link.Refused, link.HostUnavailable) as error:
        return {"model": model, "title": model.partition("@")[0], **size, "why": str(error)}


def _ours() -> dict[str, str]:
    """What the host calls each local model of the workspace, and its name here."""
    rows = LanguageModel.objects.filter(current__provider__current__kind="local").order_by("-pk")
    return dict(rows.values_list("current__upstream", "name"))


def _provider() -> Provider:
    """The one that local models are of."""
    found = Provider.objects.filter(current__kind="local").order_by("pk").first()
    if found is None:
        found = Provider.objects.create(name="local")
        found.current = ProviderVersion.objects.create(provider=found, number=1, kind="local")
        found.save(update_fields=["current"])
    return found


def _since(seconds: float) -> str:
    return timesince(timezone.now() - timedelta(seconds=seconds))


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    name, _, pin = row["model"].partition("@")
    moving = row["state"] in ("downloading", "loading")
    estimate = row.get("estimate")  # none of what is not here
    return {
        "takes": takes(estimate) if estimate else 0,
        "title": name,
        "pin": pin[:12],
        "moving": moving,
        "does": TASKS.get(row["task"], ""),
        "percent": round(100 * row["progress"]),
        "fetched": round(row["disk"] * row["progress"]) if row["state"] == "downloading" else None,
        "words": {"absent": "not here", "ready": "in memory", "unloaded": "on disk"}.get(row["state"], row["state"]),
    }
