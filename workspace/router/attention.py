"""What needs an admin now, and the month at a glance: what the router tells on the admin's first page.

Everything here is read from what is kept anyway (catalog, breakers, daily sums): the page stays cheap.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from django.contrib import admin
from django.contrib.humanize.templatetags.humanize import intcomma
from django.urls import reverse
from django.utils import timezone

from workspace.accounts.models import Person
from workspace.admin_site.first_page import Figure, Notice, Told
from workspace.providers.models import Provider
from workspace.router import catalog, decisions, money, usage
from workspace.router.catalog import ACTIVE, Candidate, Catalog
from workspace.router.configuration import ConfigurationError, parse
from workspace.router.health import health
from workspace.router.models import Budget, Rollout, RouterConfiguration
from workspace.router.usage import Span
from workspace.templatetags.onepane import dollars

NEARLY = Decimal("0.8")  # of a budget spent
MANY = 0.2  # of today's answers failed
FEW = 5  # answers that say nothing yet about how many fail


def tell() -> Told:
    kept = catalog.load_sync()
    called = [one for one in kept.candidates.values() if one.enabled]
    notices = [*_models(called), *_providers(called), *_router(kept), *_trials(), *_money(kept, called), *_failures()]
    return Told(notices=notices, figures=_figures())


def _models(called: list[Candidate]) -> Iterator[Notice]:
    if not any(one.kind != "quotes" for one in called):
        words = "No language model is set up: quotes answers alone, from documents."
        yield Notice(words=words, action="Add a provider", url=reverse("admin:providers_provider_add"))


def _providers(called: list[Candidate]) -> Iterator[Notice]:
    """A provider that lacks something, and a model whose calls keep failing."""
    lacking = {one.provider_name: one.lacks for one in called if one.lacks}
    for provider in Provider.objects.filter(name__in=lacking).order_by("name"):
        yield Notice(
            words=f"{provider.name} can’t be called: {lacking[provider.name]}",
            action="Set it up",
            url=reverse("admin:providers_provider_change", args=[provider.pk]),
        )
    for one in called:
        if why := health.why_not(one):
            url = reverse("admin:providers_languagemodel_change", args=[one.model_id])
            yield Notice(words=why, action="Look at the model", url=url)


def _router(kept: Catalog) -> Iterator[Notice]:
    stored = RouterConfiguration.objects.filter(name=ACTIVE).select_related("current").first()
    if stored is None or stored.current is None:
        return
    try:
        parse(stored.current.source, models=set(kept.candidates))
    except ConfigurationError as error:
        yield Notice(
            words=f"The router’s file no longer fits: {error.problems[0]}",
            action="Correct it",
            url=reverse("admin:router_routerconfiguration_change", args=[stored.pk]),
        )


def _trials() -> Iterator[Notice]:
    """A trial that ended by itself, until its version is used or another is tried."""
    newest = Rollout.objects.select_related("version", "configuration__current").order_by("-pk").first()
    if newest and newest.ended and newest.configuration.current_id == newest.against_id:
        url = reverse("admin:router_routerconfiguration_trial", args=[newest.configuration_id, newest.pk])
        words = f"The trial of version {newest.version.number} is over. {newest.why_ended}"
        yield Notice(words=words, action="See how it did", url=url)


def _money(kept: Catalog, called: list[Candidate]) -> Iterator[Notice]:
    for budget in Budget.objects.select_related("person", "group").order_by("pk"):
        left = max(money.left(money.limit_of(budget)), money.NOTHING)
        if budget.usd and left <= budget.usd * (1 - NEARLY):
            whose = f"{budget.person or budget.group}’s budget" if budget.person or budget.group else "the budget"
            when = "today" if budget.period == Budget.Period.DAY else "this month"
            words = f"Of {whose} for {when} {dollars(left)} of {dollars(budget.usd)} is left."
            url = reverse("admin:router_budget_change", args=[budget.pk])
            yield Notice(words=words, action="Change the budget", url=url)
    if not kept.limits:
        return
    for one in called:
        if one.price_input is None or one.price_output is None:
            words = f"The price of {one.name} is not known, so whoever has a budget can’t use it."
            url = reverse("admin:providers_languagemodel_change", args=[one.model_id])
            yield Notice(words=words, action="Enter its price", url=url)


def _failures() -> Iterator[Notice]:
    today = usage.total(Span(first=timezone.localdate(), last=timezone.localdate()))
    if today.answers >= FEW and today.failed / today.answers >= MANY:
        url = reverse("admin:router_loggeddecision_changelist") + "?state=failed"
        yield Notice(words=f"{today.failed} of today’s {today.answers} answers failed.", action="See which", url=url)
    if dropped := decisions.dropped():
        words = f"{dropped} decisions were not logged since this process started: more came than could be written."
        yield Notice(words=words, action="Open the log", url=reverse("admin:router_loggeddecision_changelist"))


def _figures() -> list[Figure]:
    month = Span.until_today(30)
    now, before = usage.total(month), usage.total(month.before)
    asked = len(usage.by("person", month))
    everybody = Person.objects.filter(is_active=True).count()
    url = reverse("admin:router_dailyusage_changelist")
    cost = f"{now.unpriced} calls without a price not counted" if now.unpriced else f"{dollars(before.cost)} before"
    return [
        Figure(title="Cost in 30 days", value=dollars(now.cost), note=cost, url=f"{url}?of=cost"),
        Figure(title="Answers", value=intcomma(now.answers), note=f"{now.failed} failed", url=f"{url}?of=answers"),
        Figure(
            title="Tokens",
            value=intcomma(now.tokens),
            note=f"{intcomma(before.tokens)} before",
            url=f"{url}?of=tokens",
        ),
        Figure(title="People who asked", value=str(asked), note=f"of {everybody}", url=url),
    ]


admin.site.on_first_page(tell)  # type: ignore[attr-defined]
