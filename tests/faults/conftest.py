"""A scripted provider and one server for the tests that leave it alive; the others start their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.serving import Served
from tests.upstream import Upstream


@pytest.fixture(autouse=True)
def shut_gate(upstream: Upstream) -> None:
    """Words that another test released are not for this one."""
    upstream.shut()


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Served]:
    served = Served(tmp_path_factory.mktemp("data"), FIRST_TOKEN_DEADLINE="1", IDLE_DEADLINE="1")
    served.people(60, upstream.url)
    yield served.start()
    served.end()
