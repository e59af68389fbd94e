"""What the router can choose from: models, the active configuration, the prompt template; read once and kept.

A decision must not wait for the database, so this is one frozen value per process. Whoever changes a row it is made
of calls ``forget``; what another process changed is seen within a second.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from channels.db import database_sync_to_async
from django.db.models import QuerySet

from workspace.providers.base import Address
from workspace.providers.models import LanguageModel, LanguageModelVersion, Provider
from workspace.providers.secrets import key_of, lacks
from workspace.router.configuration import DEFAULT_SOURCE, Configuration, ConfigurationError, parse
from workspace.router.models import PromptTemplate, PromptTemplateVersion, Rollout, RouterConfiguration, RouterVersion
from workspace.router.money import Limit, limits
from workspace.router.prompts import DEFAULT_SYSTEM
from workspace.types import Usage

logger = logging.getLogger(__name__)

ACTIVE = "default"  # the name of the configuration, and of the template, that decides
FRESH = 1.0  # seconds until another process's change is looked for


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A language model as the router sees it: its current version and where it runs."""

    name: str
    model_id: int
    version_id: int
    mark: int
    provider_name: str
    provider_version_id: int
    kind: str
    address: Address
    upstream: str
    window: int | None = None
    abilities: frozenset[str] = frozenset()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    price_input: Decimal | None = None
    price_output: Decimal | None = None
    price_cached: Decimal | None = None
    enabled: bool = True
    lacks: str = ""  # what must be set up before it can be called, in words
    groups: frozenset[str] | None = None  # whose people may use it; None is everybody


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    name: str = ACTIVE
    version_id: int | None = None
    system: str = DEFAULT_SYSTEM


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A version that is tried on real requests; ``percent`` of the chats are its own, none in the shadow."""

    rollout_id: int
    configuration: Configuration
    version_id: int
    percent: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """``candidates`` by name, oldest model first."""

    candidates: Mapping[str, Candidate]
    configuration: Configuration
    router_version_id: int | None
    template: Template
    limits: tuple[Limit, ...] = ()
    trial: Trial | None = None

    @property
    def names(self) -> frozenset[str]:
        """Every fact that a condition needs, of the file in use or of one that is tried."""
        return self.configuration.names | (self.trial.configuration.names if self.trial else frozenset())

    @property
    def lookups(self) -> frozenset[tuple[str, str]]:
        return self.configuration.lookups | (self.trial.configuration.lookups if self.trial else frozenset())


_lock = threading.Lock()
_kept: tuple[Catalog, tuple[Any, ...], float] | None = None


async def load() -> Catalog:
    kept = _kept
    if kept is not None and time.monotonic() - kept[2] < FRESH:
        return kept[0]
    return await database_sync_to_async(load_sync)()


def load_sync() -> Catalog:
    global _kept
    with _lock:
        now = time.monotonic()
        if _kept is not None and now - _kept[2] < FRESH:
            return _kept[0]
        stamp = _stamp()
        catalog = _kept[0] if _kept is not None and _kept[1] == stamp else _read()
        _kept = (catalog, stamp, now)
        return catalog


async def pinned(catalog: Catalog, *, configuration: int | None = None, template: int | None = None) -> Catalog:
    """The catalog with these versions in place of the current ones; one that is gone leaves the current."""
    if configuration and (version := await RouterVersion.objects.filter(pk=configuration).afirst()):
        file = _configuration(version)
        catalog = replace(catalog, configuration=file, router_version_id=version.pk, trial=None) if file else catalog
    if template and (row := await PromptTemplateVersion.objects.filter(pk=template).afirst()):
        catalog = replace(catalog, template=Template(version_id=row.pk, system=row.system))
    return catalog


def forget() -> None:
    """Something the catalog is made of has changed."""
    global _kept
    with _lock:
        _kept = None


def cost(candidate: Candidate | LanguageModelVersion, usage: Usage) -> Decimal | None:
    """US dollars; ``None`` when a price that is needed is not known. A provider's own figure goes first."""
    if usage.cost is not None:
        return usage.cost
    if candidate.price_input is None or candidate.price_output is None:
        return None
    cached_price = candidate.price_input if candidate.price_cached is None else candidate.price_cached
    fresh = max(0, usage.input - usage.cached)
    return (
        fresh * candidate.price_input + usage.cached * cached_price + usage.output * candidate.price_output
    ) / 1_000_000


def _stamp() -> tuple[Any, ...]:
    """Changes whenever a pointer moves, a model is switched or a key is renewed. Seven small queries, once a second."""
    models = tuple(LanguageModel.objects.order_by("id").values_list("id", "name", "current_id", "enabled", "for_all"))
    allowed = tuple(_allowed())
    providers = tuple(
        (pk, bytes(key)) for pk, key in Provider.objects.order_by("id").values_list("current_id", "encrypted_key")
    )
    router = tuple(RouterConfiguration.objects.filter(name=ACTIVE).values_list("current_id", flat=True))
    template = tuple(PromptTemplate.objects.filter(name=ACTIVE).values_list("current_id", flat=True))
    trial = tuple(_rollouts().values_list("pk", flat=True))
    return models, allowed, providers, router, template, limits(), trial


def _allowed() -> list[tuple[int, str]]:
    """Each model's groups, by name."""
    rows = LanguageModel.groups.through.objects.order_by("pk")
    return list(rows.values_list("languagemodel_id", "group__name"))


def _read() -> Catalog:
    allowed: dict[int, set[str]] = {}
    for model_id, group in _allowed():
        allowed.setdefault(model_id, set()).add(group)
    rows = LanguageModel.objects.exclude(current=None).select_related("current__provider__current").order_by("id")
    candidates = {
        row.name: _candidate(row, row.current, frozenset(allowed.get(row.pk, ())))
        for row in rows
        if row.current and row.current.provider.current
    }
    stored = RouterConfiguration.objects.filter(name=ACTIVE).select_related("current").first()
    version = stored.current if stored else None
    template = PromptTemplate.objects.filter(name=ACTIVE).select_related("current").first()
    configuration = _configuration(version)
    return Catalog(
        candidates=candidates,
        configuration=configuration or parse(DEFAULT_SOURCE, models=None),
        router_version_id=version.pk if version and configuration else None,
        template=Template(version_id=template.current.pk, system=template.current.system)
        if template and template.current
        else Template(),
        limits=limits(),
        trial=_trial(),
    )


def _rollouts() -> QuerySet[Rollout]:
    return Rollout.objects.filter(configuration__name=ACTIVE, ended=None)


def _trial() -> Trial | None:
    live = _rollouts().select_related("version").first()
    configuration = _configuration(live.version) if live else None
    if live is None or configuration is None:
        return None
    return Trial(rollout_id=live.pk, configuration=configuration, version_id=live.version_id, percent=live.percent)


def _configuration(version: RouterVersion | None) -> Configuration | None:
    """A stored file was checked when it was saved. A model it names may have gone since: the decision says so. Should
    the language have changed since, the default serves on rather than nothing at all."""
    try:
        return parse(version.source, models=None) if version else None
    except ConfigurationError as error:
        logger.error("The router's version %s no longer reads; the default decides. %s", version, error)
        return None


def _candidate(model: LanguageModel, version: LanguageModelVersion, groups: frozenset[str]) -> Candidate:
    provider = version.provider
    assert provider.current is not None
    return Candidate(
        name=model.name,
        model_id=model.pk,
        version_id=version.pk,
        mark=model.mark,
        provider_name=provider.name,
        provider_version_id=provider.current.pk,
        kind=provider.current.kind,
        address=Address(base_url=provider.current.base_url, key=key_of(provider), options=provider.current.options),
        upstream=version.upstream,
        window=version.window,
        abilities=frozenset(version.abilities),
        parameters=version.parameters,
        price_input=version.price_input,
        price_output=version.price_output,
        price_cached=version.price_cached,
        enabled=model.enabled,
        lacks=lacks(provider),
        groups=None if model.for_all else groups,
    )
