"""The bytes of documents, kept once by digest under ``DATA_DIR/documents``, and gone with the last that needs them."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

from django.conf import settings
from django.db.models import Q

from retrieval.models import Document
from workspace.types import sha256


def path_of(digest: str) -> Path:
    return Path(settings.DOCUMENT_DIR) / digest[:2] / digest[2:]


def keep(data: bytes) -> str:
    """Store bytes and return their digest: whole or not at all."""
    digest = sha256(data)
    path = path_of(digest)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f"{path.name}.{uuid.uuid4().hex}.draft")  # two threads may keep the same bytes
        draft.write_bytes(data)
        os.replace(draft, path)
    return digest


def drop(digest: str) -> None:
    """Remove bytes that no document names any more."""
    if not Document.objects.filter(Q(digest=digest) | Q(coming=digest)).exists():
        path_of(digest).unlink(missing_ok=True)
