"""Trials in the admin: a version is put on trial, its page tells how it does, and there it is used or ended."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_POST, require_safe

from workspace.router import rollouts
from workspace.router.configuration import ConfigurationError, parse
from workspace.router.editor_pages import PAGE, model_names
from workspace.router.models import Rollout, RouterConfiguration
from workspace.router.rollout_report import Figure, report
from workspace.router.sequential import FEWEST
from workspace.templatetags.onepane import dollars, seconds

TITLES = {"failed": "Failed", "cost": "Cost of an answer", "first_token_s": "First token"}


class TrialForm(forms.Form):
    """How a version is tried. ``percent`` of the chats; 0 is the shadow."""

    percent = forms.IntegerField(min_value=0, max_value=99)
    most = forms.IntegerField(min_value=1, max_value=rollouts.MOST, initial=1_000)


class Pages:
    """The addresses below a configuration; a trial is found under its own configuration alone."""

    def __init__(self, model_admin: ModelAdmin[RouterConfiguration]) -> None:
        self._admin = model_admin

    def urls(self) -> list[URLPattern]:
        view = self._admin.admin_site.admin_view
        return [
            path("<int:id>/try/<int:number>/", view(require_POST(self.begin)), name=f"{PAGE}_try"),
            path("<int:id>/trial/<int:rollout>/", view(require_safe(self.trial)), name=f"{PAGE}_trial"),
            path("<int:id>/trial/<int:rollout>/end/", view(require_POST(self.end)), name=f"{PAGE}_end_trial"),
        ]

    def begin(self, request: HttpRequest, id: int, number: int) -> HttpResponse:
        configuration = self._configuration(request, id)
        version = configuration.versions.filter(number=number).first()
        if version is None:
            raise Http404
        form = TrialForm(request.POST)
        try:
            if not form.is_valid():
                raise rollouts.RolloutRefused(
                    "Say on how many percent of the chats, and after how many answers it ends."
                )
            parse(version.source, models=model_names())
            author: Any = request.user
            rollout = rollouts.begin(version, **form.cleaned_data, author=author)
        except (rollouts.RolloutRefused, ConfigurationError) as refused:
            messages.error(request, str(refused))
            return redirect(f"admin:{PAGE}_change", id)
        messages.success(request, f"From now on, {rollout} is tried.")
        return redirect(f"admin:{PAGE}_trial", id, rollout.pk)

    def trial(self, request: HttpRequest, id: int, rollout: int) -> HttpResponse:
        found = self._trial(request, id, rollout)
        told = report(found)
        context = {
            **self._admin.admin_site.each_context(request),
            "opts": self._admin.opts,
            "title": f"Trial of version {found.version.number}",
            "rollout": found,
            "told": told,
            "same": sum(one.count for one in told.would if one.same),
            "figures": [_shown(figure) for figure in told.figures],
            "fewest": FEWEST,
        }
        return TemplateResponse(request, "admin/router/trial.html", context)

    def end(self, request: HttpRequest, id: int, rollout: int) -> HttpResponse:
        found = self._trial(request, id, rollout)
        if rollouts.end(found, why=f"{request.user} ended it."):
            messages.success(request, f"The trial is over; version {found.against.number} decides alone.")
        return redirect(f"admin:{PAGE}_trial", id, rollout)

    def _configuration(self, request: HttpRequest, id: int) -> RouterConfiguration:
        configuration = self._admin.get_object(request, str(id))
        if configuration is None:
            raise Http404
        return configuration

    def _trial(self, request: HttpRequest, id: int, rollout: int) -> Rollout:
        rows = self._configuration(request, id).rollouts.select_related("version", "against", "author")
        found = rows.filter(pk=rollout).first()
        if found is None:
            raise Http404
        return found


def live(configuration: RouterConfiguration) -> dict[str, str] | None:
    """The trial that runs, in words, and its page."""
    rollout = configuration.rollouts.filter(ended=None).select_related("version").first()
    if rollout is None:
        return None
    words = str(rollout)
    url = reverse(f"admin:{PAGE}_trial", args=[configuration.pk, rollout.pk])
    return {"words": words[:1].upper() + words[1:], "url": url}


def _shown(figure: Figure) -> dict[str, Any]:
    """A figure in its own unit; a difference that may be nothing is said to be so."""
    unit = {"failed": _percent, "cost": dollars, "first_token_s": seconds}[figure.name]
    told = figure.difference
    verdict = "worse" if figure.worse else "better" if figure.better else "can’t tell yet"
    return {
        "title": TITLES[figure.name],
        "old": unit(figure.old.mean) if figure.old.count else "unknown",
        "new": unit(figure.new.mean) if figure.new.count else "unknown",
        "between": f"{_signed(told.low, unit)} to {_signed(told.high, unit)}" if told else "",
        "verdict": verdict if told else "too few answers",
    }


def _percent(value: float) -> str:
    return f"{value * 100:.1f} %"


def _signed(value: float, unit: Any) -> str:
    return f"{'+' if value > 0 else '−'}{unit(abs(value))}"
