"""Hosts of a test: real children on sockets and data of their own, gone with the test."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from django.conf import LazySettings

from workspace.hosts import link
from workspace.hosts.supervisor import Supervisor
from workspace.providers import http


@pytest.fixture(autouse=True)
def sockets(settings: LazySettings, tmp_path: Path) -> Iterator[Path]:
    """A folder with a short name: a Unix socket's may have 108 bytes."""
    folder = Path(tempfile.mkdtemp(prefix="op-"))
    settings.SOCKET_DIR = folder
    settings.DATA_DIR = tmp_path
    settings.CHROMA_URL = ""
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest_asyncio.fixture(autouse=True)
async def connections() -> AsyncIterator[None]:
    yield
    await link.close()


@pytest_asyncio.fixture
async def model_host() -> AsyncIterator[Supervisor]:
    kept = Supervisor((link.MODEL_HOST,))
    await kept.start()
    try:
        await kept.serving()
        yield kept
    finally:
        await http.close()
        await kept.stop()
