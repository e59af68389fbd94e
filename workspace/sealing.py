"""Secrets encrypted at rest: a key for each purpose, derived from ``SECRET_KEY`` (HKDF, RFC 5869; Fernet)."""

from __future__ import annotations

import base64
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings


def seal(secret: str, *, purpose: bytes) -> bytes:
    return _fernet(settings.SECRET_KEY, purpose).encrypt(secret.encode()) if secret else b""


def unseal(token: bytes, *, purpose: bytes) -> str:
    """The secret; empty when it was sealed under another SECRET_KEY or for another purpose."""
    try:
        return _fernet(settings.SECRET_KEY, purpose).decrypt(token).decode() if token else ""
    except InvalidToken:
        return ""


@lru_cache(maxsize=8)
def _fernet(secret_key: str, purpose: bytes) -> Fernet:
    derived = HKDF(SHA256(), 32, salt=None, info=purpose).derive(secret_key.encode())
    return Fernet(base64.urlsafe_b64encode(derived))
