"""Keys of providers: stored ones encrypted at rest, others read from the environment when a call is made."""

from __future__ import annotations

from django.conf import settings

from workspace.providers.models import Provider
from workspace.sealing import seal, unseal

PURPOSE = b"onepane provider keys"


def encrypt(secret: str) -> bytes:
    return seal(secret, purpose=PURPOSE)


def decrypt(token: bytes) -> str:
    """The secret; empty when it was made under another SECRET_KEY, so the provider says that its key is missing."""
    return unseal(token, purpose=PURPOSE)


def key_of(provider: Provider) -> str:
    """The key to call with: the stored one goes first."""
    if provider.encrypted_key:
        return decrypt(bytes(provider.encrypted_key))
    variable = provider.current.key_variable if provider.current else ""
    return settings.PROVIDER_KEYS.get(variable, "")


def lacks(provider: Provider) -> str:
    """What is missing to call it, in words; empty when nothing is. A provider without any key may need none."""
    variable = provider.current.key_variable if provider.current else ""
    return f"{variable} is not set" if variable and not key_of(provider) else ""
