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
from django.db.models import F, Q, QuerySet

from workspace.providers.base import Address
from workspace.providers.models import LanguageModel, LanguageModelVersion, Provider, ProviderVersion
from workspace.providers.secrets import key_of, lacks
from workspace.router.configuration import DEFAULT_SOURCE, Configuration, ConfigurationError, parse
from workspace.router.models import PromptTemplate, PromptTemplateVersion, Rollout, RouterConfiguration, RouterVersion
from workspace.router.money import Limit, limits
from workspace.router.pins import digest_of
from workspace.router.prompts import DEFAULT_SYSTEM
from workspace.types import Request, Usage

logger = logging.getLogger(__name__)

LOCAL = "local"  # the kind of models of this machine's model host
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
    digest: str = ""  # of its version, and of its provider's
    provider_digest: str = ""

    @property
    def takes_seed(self) -> bool:
        return self.kind == LOCAL or "seed" in self.abilities


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    name: str = ACTIVE
    version_id: int | None = None
    system: str = DEFAULT_SYSTEM
    variables: Mapping[str, str] = field(default_factory=dict)
    digest: str = ""

    @classmethod
    def of(cls, row: PromptTemplateVersion) -> Template:
        return cls(
            name=row.template.name,
            version_id=row.pk,
            system=row.system,
            variables=row.variables,
            digest=digest_of(row),
        )


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
    router_digest: str = ""
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


async def pinned(catalog: Catalog, request: Request) -> Catalog:
    """The catalog with the versions that a request names in place of the current ones; one that is gone leaves the
    current."""
    if any((request.configuration, request.template, request.persona, request.model_version)):
        return await database_sync_to_async(_pinned)(catalog, request)
    return catalog


def _pinned(catalog: Catalog, request: Request) -> Catalog:
    version = RouterVersion.objects.filter(pk=request.configuration).first() if request.configuration else None
    if version and (file := _configuration(version)):
        digest = digest_of(version)
        catalog = replace(catalog, configuration=file, router_version_id=version.pk, router_digest=digest, trial=None)
    templates = PromptTemplateVersion.objects.select_related("template")
    chosen = Q(pk=request.template) if request.template else Q(pk=F("template__current"), template=request.persona)
    if (request.template or request.persona) and (row := templates.filter(chosen).first()):
        catalog = replace(catalog, template=Template.of(row))
    models = LanguageModelVersion.objects.select_related("model", "provider__current")
    model = models.filter(pk=request.model_version).first() if request.model_version else None
    if model and (known := catalog.candidates.get(model.model.name)):
        at = model.provider.versions.filter(pk=request.provider_version or 0).first() or model.provider.current
        old = _candidate(model.model, model, known.groups or frozenset(), at=at)
        catalog = replace(catalog, candidates={**catalog.candidates, old.name: replace(old, groups=known.groups)})
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
    template = PromptTemplate.objects.filter(name=ACTIVE).select_related("current__template").first()
    configuration = _configuration(version)
    return Catalog(
        candidates=candidates,
        configuration=configuration or parse(DEFAULT_SOURCE, models=None),
        router_version_id=version.pk if version and configuration else None,
        template=Template.of(template.current) if template and template.current else Template(),
        router_digest=digest_of(version) if version and configuration else "",
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


def _candidate(
    model: LanguageModel,
    version: LanguageModelVersion,
    groups: frozenset[str],
    *,
    at: ProviderVersion | None = None,
) -> Candidate:
    """``at`` is another version of the provider than its current one."""
    provider = version.provider
    served = at or provider.current
    assert served is not None
    return Candidate(
        name=model.name,
        model_id=model.pk,
        version_id=version.pk,
        mark=model.mark,
        provider_name=provider.name,
        provider_version_id=served.pk,
        kind=served.kind,
        address=Address(base_url=served.base_url, key=key_of(provider), options=served.options),
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
        digest=digest_of(version),
        provider_digest=digest_of(served),
    )
