"""The certificates that connections are held against, read once.

A client that reads them itself takes 20 ms for that, with Python's lock held.
"""

from __future__ import annotations

import ssl
from functools import cache

import httpx


@cache
def context() -> ssl.SSLContext:
    """What ``httpx`` takes by itself."""
    return httpx.create_ssl_context()
