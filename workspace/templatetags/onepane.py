"""Template tags of the whole project: icons, marks, figures, the style sheet and the import map."""

from __future__ import annotations

import json
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

from django import template
from django.conf import settings
from django.contrib.humanize.templatetags.humanize import intcomma
from django.contrib.staticfiles.storage import staticfiles_storage
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

register = template.Library()

# Sixteen units square, drawn with a stroke.
ICONS = {
    "menu": "M2.5 4.5h11M2.5 8h11M2.5 11.5h7",
    "plus": "M8 3v10M3 8h10",
    "find": "M2.5 7a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0-9 0m8 3.5 3 3",
    "attach": "m12.5 7.5-4.8 4.8a2.8 2.8 0 0 1-4-4L9 3a1.9 1.9 0 0 1 2.7 2.7l-5 5",
    "book": "M3 3h4a1.5 1.5 0 0 1 1 .5A1.5 1.5 0 0 1 9 3h4v9.5H9.5L8 13.5l-1.5-1H3zM8 3.5v10",
    "web": "M8 1.800a6.200 6.200 0 1 0 0 12.400a6.200 6.200 0 1 0 0-12.400M1.800 8h12.400"
    "M8 1.800c-3.600 3.400-3.600 9 0 12.400c3.600-3.400 3.600-9 0-12.400",
    "mask": "M2.500 3.500c3.500 1.200 7.500 1.200 11 0v4c0 3.200-2.600 5.500-5.500 5.500s-5.500-2.300-5.500-5.500z"
    "M5 7.200h2M9 7.200h2M6 10.200c1.200.8 2.800.8 4 0",
    "send": "M8 13V3.5M4 7.5l4-4 4 4",
    "stop": "M4.5 4.5h7v7h-7z",
    "copy": "M5.5 5.5h8v8h-8zM10.5 5.5v-3h-8v8h3",
    "retry": "M13 8a5 5 0 1 1-1.6-3.7M13 2v3h-3",
    "suggest": "M2 4.5h10M2 8h5M9.5 8h.6M12 8h.6M14.4 8h.1M2 11.5h7",
    "think": "M6.5 12.500h3M7 14.500h2M8 1.500a4.300 4.300 0 0 0-2.600 7.700c.7.6 1 1.200 1.100 1.800h3"
    "c.1-.6.4-1.200 1.100-1.800A4.300 4.300 0 0 0 8 1.500",
    "edit": "m3 13 .6-2.8L10.8 3l2.2 2.2-7.2 7.2z",
    "back": "M9.5 4 5.5 8l4 4",
    "on": "m6.5 4 4 4-4 4",
    "down": "m4 6.5 4 4 4-4",
    "more": "M3.5 8h.01M8 8h.01M12.5 8h.01",
    "up": "M5 7.500v6M5 7.500 8 2.500c1.200 0 1.800.9 1.500 2L9 6.500h3.500l1 1.200-1 5.800h-10v-6H5",
    "thumb-down": "M5 8.500v-6M5 8.500l3 5c1.200 0 1.800-.9 1.500-2L9 9.500h3.500l1-1.200-1-5.800h-10v6H5",
    "lanes": "M2.500 3h3v10h-3zM6.500 3h3v10h-3zM10.500 3h3v10h-3z",
    "blind": "M2 2.500l12 11M4 5C2.700 6.200 2 8 2 8s2.200 4.500 6 4.500c1 0 1.900-.3 2.700-.7"
    "M6.500 3.700c.5-.1 1-.2 1.500-.2 3.800 0 6 4.500 6 4.500s-.5 1-1.400 2.100",
    "tune": "M2.500 5h6M11.500 5h2M2.500 11h2M7.500 11h6M8.500 3.500v3M5.500 9.500v3",
    "flag": "M4 14V2.500M4 3h8l-2 2.700 2 2.800H4",
    "map": "M4 3v10M4 6c0 3 7 1 7 4M4 3.100h.010M11 13h.010M11 10v3",
    "star": "m8 2 1.800 3.900 4.200.5-3.100 2.900.8 4.200L8 11.400l-3.700 2.100.8-4.200L2 6.400l4.200-.5z",
    "up-fold": "m4 9.500 4-4 4 4",
    "check": "m3.500 8.500 3 3 6-7",
    "close": "m4 4 8 8M12 4l-8 8",
    "sun": "M8 5.2a2.8 2.8 0 1 0 0 5.6a2.8 2.8 0 1 0 0-5.6M8 1.5v1.3M8 13.2v1.3M1.5 8h1.3M13.2 8h1.3"
    "M3.4 3.4l.9.9M11.7 11.7l.9.9M3.4 12.6l.9-.9M11.7 4.3l.9-.9",
    "key": "M9 6.5a3 3 0 1 0-2.2 2.9L8 10.500h1.500v1.500h1.500v1.500h2.500v-2L8.800 7.300M5.800 6h.01",
    "keys": "M2 4.5h12v7H2zM4.5 7h.01M7 7h.01M9.5 7h.01M11.5 7h.01M5 9.5h6",
    "share": "M8 9.5V2.5M5.2 5.3 8 2.5l2.8 2.8M4.5 8H3v5.5h10V8h-1.5",
    "bin": "M3 4.5h10M6.5 4.5V3h3v1.5M4.5 4.5l.6 8.5h5.8l.6-8.5",
}
# Twelve units square, filled. A model keeps its shape and its hue everywhere.
MARKS = (
    "M6 1a5 5 0 1 1 0 10a5 5 0 1 1 0-10z",
    "M2.4 1.400h7.2a1 1 0 0 1 1 1v7.2a1 1 0 0 1-1 1h-7.2a1 1 0 0 1-1-1v-7.2a1 1 0 0 1 1-1z",
    "M6 .8 11.6 11H.4z",
    "M6 0 12 6 6 12 0 6z",
    "M6 11.2.4 1h11.2z",
    "M3.3 1.200h5.4L11.5 6 8.700 10.8H3.3L.5 6z",
    "M4.2.6h3.6v3.6h3.6v3.6H7.800v3.6H4.2V7.800H.6V4.2h3.6z",
    "M.6 3.6h10.8v4.8H.6z",
)
BRAND = (
    '<svg viewBox="0 0 20 20" aria-hidden="true"><rect x="1.5" y="1.5" width="17" height="17" rx="3.5" fill="none" '
    'stroke="currentColor" stroke-width="1.8"/><path d="M7 1.5v17M7 7.5c0 3.5 6 1.5 6 5.5" fill="none" '
    'stroke="currentColor" stroke-width="1.8"/><circle cx="13" cy="13.5" r="1.9" fill="currentColor"/></svg>'
)


@register.simple_tag
def icon(name: str) -> SafeString:
    return format_html('<svg class="i" viewBox="0 0 16 16" aria-hidden="true"><path d="{}"/></svg>', ICONS[name])


@register.simple_tag
def mark(number: int | None) -> SafeString:
    """The shape of a model by its number; a dash for the router, which is no model."""
    if number is None or number < 0:
        return mark_safe('<svg class="mark m0" viewBox="0 0 12 12" aria-hidden="true"><path d="M1 5h10v2H1z"/></svg>')
    place = number % len(MARKS)
    hollow = " hollow" if number >= len(MARKS) else ""
    return format_html(
        '<svg class="mark m{}{}" viewBox="0 0 12 12" aria-hidden="true"><path d="{}"/></svg>',
        place + 1,
        hollow,
        MARKS[place],
    )


@register.simple_tag
def brand() -> SafeString:
    return mark_safe(BRAND)


@register.filter
def seconds(value: float | str | None) -> str:
    """0.41 s; under a tenth in milliseconds, so that a fast model is not told as 0. What a row lacks comes as ""."""
    if value is None or value == "":
        return "unknown"
    told = float(value)
    return f"{told * 1000:.0f} ms" if told < 0.1 else f"{told:.2f} s" if told < 10 else f"{told:.0f} s"


@register.filter
def dollars(value: Decimal | float | str | None) -> str:
    """Enough digits to tell small costs apart; an unknown cost is said to be so, and never 0."""
    if value is None or value == "":
        return "cost unknown"
    amount = Decimal(value)
    if amount == 0:
        return "$0"
    return f"${amount:.2f}" if amount >= 1 else f"${amount:.4f}" if amount >= Decimal("0.0001") else "<$0.0001"


@register.filter
def at(share: float) -> str:
    """A share as its place on a scale of 100."""
    return f"{100 * share:.1f}"


@register.filter
def points(share: float) -> str:
    """+2 points."""
    return f"{signed(share)} point{'' if abs(round(100 * share)) == 1 else 's'}"


@register.filter
def signed(share: float) -> str:
    """A share in points, with its sign: +2, −5, 0."""
    value = round(100 * share)
    return f"+{value}" if value > 0 else f"−{-value}" if value else "0"


@register.filter
def hue(mark: int) -> str:
    """The class that gives a model's mark its colour."""
    return f"m{mark % len(MARKS) + 1}" if mark >= 0 else "m0"


@register.filter
def whole(value: float) -> str:
    """1,240, or −47 with a minus that is one."""
    return f"{round(value):,}".replace("-", "−")


@register.filter
def item(values: dict[str, Any], name: str) -> Any:
    """What a mapping has under a name; nothing where it has none."""
    return values.get(name, "")


@register.filter
def percent(value: float) -> str:
    return f"{value:.0%}"


@register.filter
def amount(value: Decimal, measure: str) -> str:
    """Money or a number of things, by what was measured."""
    return dollars(value) if measure == "cost" else str(intcomma(int(value)))


@register.simple_tag
def stylesheet() -> SafeString:
    """The one style sheet, by its hashed name."""
    return format_html('<link rel="stylesheet" href="{}">', staticfiles_storage.url("css/onepane.css"))


@register.simple_tag(takes_context=True)
def import_map(context: Any) -> SafeString:
    """Plain module URLs to hashed ones: modules import each other by their plain names (HTML, import maps)."""
    nonce = context["request"].csp_nonce
    return format_html('<script type="importmap" nonce="{}">{}</script>', nonce, mark_safe(_imports()))


@lru_cache(maxsize=1)
def _imports() -> str:
    folder = Path(settings.BASE_DIR) / "static"
    names = sorted(str(path.relative_to(folder)) for path in (folder / "js").rglob("*.js"))
    urls = {settings.STATIC_URL + name: staticfiles_storage.url(name) for name in names}
    changed = {plain: hashed for plain, hashed in urls.items() if plain != hashed}
    return json.dumps({"imports": changed}).replace("<", "\\u003c")
