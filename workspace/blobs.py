"""The blob store: bytes kept once under their digest in ``DATA_DIR/blobs``. It knows no row and no person."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from django.conf import settings

from workspace.types import sha256


def path_of(digest: str) -> Path:
    if len(digest) != 64 or not all(c in "0123456789abcdef" for c in digest):
        raise ValueError("not a digest")
    return Path(settings.BLOB_DIR) / digest[:2] / digest[2:]


def keep(data: bytes) -> str:
    """Store bytes and return their digest. The same bytes are stored once, whole or not at all."""
    digest = sha256(data)
    path = path_of(digest)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(f".{os.getpid()}.draft")
        draft.write_bytes(data)
        os.replace(draft, path)
    return digest


async def read_blob(digest: str) -> bytes:
    return await asyncio.to_thread(path_of(digest).read_bytes)
