"""Keys of providers, encrypted at rest with a key derived from ``SECRET_KEY`` (HKDF, RFC 5869; Fernet)."""

from __future__ import annotations

import base64
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings


def encrypt(secret: str) -> bytes:
    return _fernet(settings.SECRET_KEY).encrypt(secret.encode()) if secret else b""


def decrypt(token: bytes) -> str:
    """The secret; empty when it was made under another SECRET_KEY, so the provider says that its key is missing."""
    try:
        return _fernet(settings.SECRET_KEY).decrypt(token).decode() if token else ""
    except InvalidToken:
        return ""


@lru_cache(maxsize=4)
def _fernet(secret_key: str) -> Fernet:
    derived = HKDF(SHA256(), 32, salt=None, info=b"onepane provider keys").derive(secret_key.encode())
    return Fernet(base64.urlsafe_b64encode(derived))
