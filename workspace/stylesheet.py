"""The one style sheet: the files of ``static/css``, joined in order when static files are collected."""

from __future__ import annotations

from django.conf import settings

ORDER = (
    "tokens", "base", "shell", "controls", "thread", "prose", "composer", "lanes", "comparisons", "sharing",
    "documents", "measure", "history", "exchange", "account",
)  # fmt: skip
NAME = "css/onepane.css"


def build() -> None:
    """Write the joined file where the static files' finder looks for it."""
    parts = [(settings.BASE_DIR / "static" / "css" / f"{name}.css").read_text() for name in ORDER]
    target = settings.BUNDLE_DIR / NAME
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text("\n".join(parts))
