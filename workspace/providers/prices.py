"""What others keep of the known models: prices, windows, and whether they reason; out of the package genai-prices.

Unknown stays unknown. The package is imported when somebody adds a model, in 0.2 s and 29 MB, and never for a chat.
Prices that rise with the length of a prompt are taken at their base.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from importlib.metadata import version
from typing import Any

PACKAGE = "genai-prices"


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """US dollars per million tokens; a window in tokens."""

    window: int | None = None
    price_input: Decimal | None = None
    price_output: Decimal | None = None
    price_cached: Decimal | None = None
    source: str = ""


def source() -> str:
    """What a version row says of where its prices are from: "genai-prices 0.2.3"."""
    return f"{PACKAGE} {version(PACKAGE)}"


def known(upstream: str, *, base_url: str) -> Known:
    """What is known of a model at an address; empty for one that nobody lists."""
    try:
        _, model = _snapshot().find_provider_model(upstream, None, None, base_url)
    except LookupError:
        return Known()
    prices: Any = model.get_prices(datetime.now(UTC))
    return Known(
        window=model.context_window,
        price_input=_base(prices.input_mtok),
        price_output=_base(prices.output_mtok),
        price_cached=_base(prices.cache_read_mtok),
        source=source(),
    )


def names_at(base_url: str) -> list[str]:
    """The models that are listed for an address, but those that nobody should begin with any more."""
    try:
        provider = _snapshot().find_provider(None, None, base_url)
    except LookupError:
        return []
    return [model.id for model in provider.models if not model.deprecated]


def _base(price: Any) -> Decimal | None:
    return getattr(price, "base", price)


@lru_cache(maxsize=1)
def _snapshot() -> Any:
    from genai_prices import data_snapshot

    return data_snapshot.get_snapshot()
