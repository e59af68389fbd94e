"""A real server in a process of its own, on data of its own, for tests of what only processes show.

``python -m tests.serving PEOPLE UPSTREAM ROUTES`` is the other half: inside ``DATA_DIR`` it makes people who are
signed in and a provider with every model of ``tests/upstream.py``, and prints the keys of the sessions.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import queue
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import httpx

ROOT = Path(__file__).resolve().parent.parent
CELERY = (sys.executable, "-m", "celery", "-A", "workspace.celery")
ABILITIES = {"vision": ["images"]}
SPARE = {"counting": 8_192}  # models at a second provider, with a known window: who goes on when the first fails
PRICE = 1  # US dollars of a million tokens


class Served:
    """``start`` returns when the server takes requests; ``kill`` is the hard end, ``stop`` is Ctrl-C."""

    def __init__(self, data: Path, *, local_models: bool = False, cpu: int | None = None, **environment: str) -> None:
        self.data = data
        self.port = free_port()
        self.command = [sys.executable, "manage.py", "serve"]
        self.link = ""
        self.keys: list[str] = []  # of sessions, each of somebody who is signed in
        self.said: list[str] = []
        self._cpu = cpu
        self._process: subprocess.Popen[str] | None = None
        self._worker: subprocess.Popen[bytes] | None = None
        self._lines: queue.Queue[str] = queue.Queue()
        self.environment = {
            **outside(),
            "DATA_DIR": str(data),
            "PORT": str(self.port),
            "DISCOVER": "",
            "LOCAL_MODELS": "1" if local_models else "0",
            "NAMESPACE": f"served-{uuid.uuid4().hex[:12]}",
            "DJANGO_SETTINGS_MODULE": "workspace.settings",
            **environment,
        }
        prepared = Prepared.once()
        if not (data / "secret.key").exists():
            shutil.copytree(prepared.data, data, dirs_exist_ok=True)
        self.database = prepared.database.copy() if prepared.database else None
        if self.database:
            self.environment["DATABASE_URL"] = self.database.url

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def people(self, count: int, upstream: str, extra_models: Sequence[str] = (), *, routes: str = "") -> list[str]:
        """Make people and models before the server starts; the keys of the people's sessions. ``routes`` is the
        router's file."""
        made = subprocess.run(
            [sys.executable, "-m", "tests.serving", str(count), upstream, routes, *extra_models],
            cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert made.returncode == 0, made.stderr
        keys: list[str] = json.loads(made.stdout.splitlines()[-1])
        self.keys += keys
        return keys

    def configure(self, source: str) -> None:
        """Make this the router's file."""
        code = "import django, sys; django.setup(); from workspace.router.configuration import save_version; "
        made = subprocess.run(
            [sys.executable, "-c", code + "save_version('default', sys.argv[1])", source],
            cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert made.returncode == 0, made.stderr

    def start_worker(self, *, threads: int = 8) -> None:
        """With Redis the server has no worker inside; without, there is nothing to do."""
        if self.environment.get("REDIS_URL"):
            self._worker = subprocess.Popen(
                [*CELERY, "worker", "--pool", "threads", "-c", str(threads)],
                cwd=ROOT, env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip

    def token(self, key: str) -> str:
        """A personal token, made as a person makes it: on its page, with the session they are signed in by."""
        with httpx.Client(base_url=self.url, cookies={"sessionid": key}) as browser:
            page = browser.get("/account/tokens/").text
            secret = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
            assert secret, page
            form = {"csrfmiddlewaretoken": secret[1], "name": "a program", "days": "90"}
            made = re.search(r"op_[\w-]{43}", browser.post("/account/tokens/", data=form).text)
            assert made
            return made[0]

    def start(self, *, within: float = 60) -> Served:
        self._process = subprocess.Popen(
            self.command,
            cwd=ROOT, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        if self._cpu is not None:
            os.sched_setaffinity(self._process.pid, {self._cpu})
        self._lines = queue.Queue()  # a server that was killed still ends the old one
        threading.Thread(target=self._read, args=(self._process, self._lines), daemon=True).start()
        self._wait_for_link(within)
        return self

    def kill(self) -> None:
        """As the kernel or a power cut would end it."""
        assert self._process is not None
        for process in filter(None, (self._process, self._worker)):
            process.kill()
            process.wait(10)
        self._worker = None

    def stop(self, *, within: float = 20) -> int:
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        return self._process.wait(within)

    def end(self) -> None:
        """Whatever state it is in."""
        if self._process is not None and self._process.poll() is None:
            try:
                self.stop()
            except subprocess.TimeoutExpired:
                self.kill()
        if self._worker is not None:
            self._worker.kill()
            self._worker.wait(10)
        if self.database:
            self.database.drop()

    def _read(self, process: subprocess.Popen[str], lines: queue.Queue[str]) -> None:
        assert process.stdout is not None
        with process.stdout as output:
            for line in output:
                self.said.append(line.rstrip())
                lines.put(line)
        lines.put("")

    def _wait_for_link(self, within: float) -> None:
        deadline = time.monotonic() + within
        while True:
            line = self._lines.get(timeout=max(0.01, deadline - time.monotonic()))
            assert line, "The server ended:\n" + "\n".join(self.said)
            if "/sign-in/" in line:
                self.link = next(word for word in line.split() if "/sign-in/" in word)
                return


@dataclass(frozen=True)
class Prepared:
    """What a server's first start leaves, made once a process of tests: every other server begins with a copy."""

    data: Path
    database: Database | None

    @classmethod
    @functools.cache
    def once(cls) -> Prepared:
        data = Path(tempfile.mkdtemp(prefix="onepane-prepared-"))
        atexit.register(shutil.rmtree, data, ignore_errors=True)
        database = Database.new(os.environ["DATABASE_URL"]) if os.environ.get("DATABASE_URL") else None
        environment = {**outside(), "DATA_DIR": str(data), "DJANGO_SETTINGS_MODULE": "workspace.settings"}
        if database:
            atexit.register(database.drop)
            environment["DATABASE_URL"] = database.url
        code = "import django; django.setup(); from workspace.prepare import prepare; prepare(print)"
        made = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        assert made.returncode == 0, made.stderr
        return cls(data, database)


@dataclass(frozen=True)
class Database:
    """A server's own database on the PostgreSQL of the tests, where DATA_DIR alone keeps no two apart."""

    server: str
    name: str

    @classmethod
    def new(cls, server: str) -> Database:
        database = cls(server, f"onepane_served_{uuid.uuid4().hex[:12]}")
        database._run("create database {}", database.name)
        return database

    def copy(self) -> Database:
        """Of what it holds; nobody may be connected to it."""
        database = Database(self.server, f"onepane_served_{uuid.uuid4().hex[:12]}")
        database._run("create database {} template {}", database.name, self.name)
        return database

    @property
    def url(self) -> str:
        return urlunsplit(urlsplit(self.server)._replace(path=f"/{self.name}"))

    def drop(self) -> None:
        self._run("drop database if exists {} with (force)", self.name)

    def _run(self, statement: str, *names: str) -> None:
        import psycopg
        from psycopg import sql

        with psycopg.connect(
            urlunsplit(urlsplit(self.server)._replace(path="/postgres")), autocommit=True
        ) as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


def outside() -> dict[str, str]:
    """The environment without what would make a server another one than a user's first."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("DJANGO_", "PYTEST_")) and not name.endswith("_API_KEY")
    }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def make_people(count: int) -> list[str]:
    from django.conf import settings
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY

    from workspace.accounts.models import Person
    from workspace.accounts.session_store import SessionStore

    keys = []
    for number in range(count):
        person, _ = Person.objects.get_or_create(username=f"person{number}")
        session = SessionStore()
        session[SESSION_KEY] = str(person.pk)
        session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
        session[HASH_SESSION_KEY] = person.get_session_auth_hash()
        session.save()
        keys.append(str(session.session_key))
    return keys


def make_models(base_url: str, names: Sequence[str]) -> None:
    from workspace.providers.models import LanguageModel, LanguageModelVersion, Provider, ProviderVersion

    def add_provider(name: str) -> Provider:
        provider = Provider.objects.create(name=name)
        provider.current = ProviderVersion.objects.create(provider=provider, number=1, kind="openai", base_url=base_url)
        provider.save()
        return provider

    first, spare = add_provider("upstream"), add_provider("spare")
    for name in names:
        model = LanguageModel.objects.create(name=name, mark=LanguageModel.objects.count())
        model.current = LanguageModelVersion.objects.create(
            model=model, number=1, provider=spare if name in SPARE else first, upstream=name, window=SPARE.get(name),
            abilities=ABILITIES.get(name, []), price_input=PRICE, price_output=PRICE,
        )  # fmt: skip
        model.save()


def main(count: int, base_url: str, routes: str, extra: Sequence[str]) -> None:
    import django

    django.setup()
    from django.db import transaction

    from tests.upstream import MODELS
    from workspace.prepare import prepare
    from workspace.router.configuration import save_version

    prepare(lambda step: None)
    with transaction.atomic():
        make_models(base_url, [*MODELS, *extra])
        keys = make_people(count)
        if routes:
            save_version("default", routes)
    print(json.dumps(keys))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4:])
