"""Whether what a settled run is told to be fits its manifest: one rule for rows here and for the lines of a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from workspace.types import canonical, sha256


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A run as it stands; ``said`` are the words of its message, ``None`` where no message has them."""

    text: str
    evidence: Any
    decision: Any
    said: str | None = None


def misfits(manifest: Mapping[str, Any] | None, told: Told) -> Iterator[str]:
    """A run that never came to a manifest, as it was stopped or failed before, has neither words nor evidence."""
    if told.said is not None and told.said != told.text:
        yield "its words are not those of its run"
    if not manifest:
        if told.text or told.said or told.evidence:
            yield "its manifest is missing"
        return
    plain = {name: value for name, value in manifest.items() if name != "digest"}
    if manifest.get("digest") != sha256(canonical(plain)):
        yield "its manifest was altered"
    if manifest.get("text_digest") != sha256(told.text):
        yield "the text of its run was altered"
    if told.evidence != (manifest.get("evidence") or []):
        yield "the evidence of its run was altered"
    if told.decision != manifest.get("decision"):
        yield "the decision of its run was altered"
