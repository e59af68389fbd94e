"""Settings come from the environment: none is needed, and a malformed one is refused by name."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def start(tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Load the settings in a process of its own, with nothing of ours in its environment but what is given."""
    return subprocess.run(
        [sys.executable, "-c", "from workspace import settings; print(settings.DATABASES['default']['ENGINE'])"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "DATA_DIR": str(tmp_path), **environment},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def test_no_environment_means_sqlite_and_no_service(tmp_path: Path) -> None:
    done = start(tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "django.db.backends.sqlite3"


def test_a_database_url_means_postgresql(tmp_path: Path) -> None:
    done = start(tmp_path, DATABASE_URL="postgres://somebody@database.example/onepane")
    assert done.stdout.strip() == "django.db.backends.postgresql"


def test_the_secret_key_is_made_once_and_readable_by_its_owner_alone(tmp_path: Path) -> None:
    start(tmp_path)
    key = tmp_path / "secret.key"
    first = key.read_text()
    start(tmp_path)
    assert key.read_text() == first
    assert key.stat().st_mode & 0o077 == 0
    assert len(first) >= 50


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "eighty"),
        ("DEBUG", "perhaps"),
        ("FIRST_TOKEN_DEADLINE", "soon"),
        ("WORKERS", "many"),
        ("MAX_UPLOAD_MB", "large"),
        ("RETENTION_DAYS", "a while"),
    ],
)
def test_a_malformed_setting_is_refused_by_name(tmp_path: Path, name: str, value: str) -> None:
    done = start(tmp_path, **{name: value})
    assert done.returncode != 0
    assert name in done.stderr
