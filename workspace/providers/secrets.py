"""Keys of providers, encrypted at rest."""

from __future__ import annotations

from workspace.sealing import seal, unseal

PURPOSE = b"onepane provider keys"


def encrypt(secret: str) -> bytes:
    return seal(secret, purpose=PURPOSE)


def decrypt(token: bytes) -> str:
    """The secret; empty when it was made under another SECRET_KEY, so the provider says that its key is missing."""
    return unseal(token, purpose=PURPOSE)
