"""``make run``: prepare everything, then serve until stopped."""

from __future__ import annotations

import os
import socket
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from workspace import ownership
from workspace.prepare import prepare


class Command(BaseCommand):
    help = "Serve Onepane: HTTP and websockets, background work and the hosts of models and indexes."
    requires_system_checks: list[str] = []  # they cost a second of every start; make test runs them

    def handle(self, *args: Any, **options: Any) -> None:
        host, port = settings.HOST, settings.PORT
        self._check_port(host, port)
        try:
            ownership.take(settings.DATA_DIR, about=f"http://{_shown(host)}:{port}")
        except ownership.OwnedElsewhere as elsewhere:
            raise CommandError(
                f"Another Onepane already serves {settings.DATA_DIR} ({elsewhere.owner}). "
                "Stop it, or give this one its own data: make run DATA_DIR=other"
            ) from None
        try:
            prepare(self._say)
        except PermissionError as refused:
            raise CommandError(str(refused)) from None
        from workspace.server import Server  # after the tables exist: loading the doors may read them

        Server(host=host, port=port, ready=self._greet).serve()
        self.stdout.write("Stopped.")
        self.stdout.flush()
        os._exit(0)  # a library's thread must not hold a server that has settled everything

    def _check_port(self, host: str, port: int) -> None:
        """Daphne on a busy port logs and exits with 0, so it is tried here first."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                raise CommandError(
                    f"Port {port} can't be used ({error.strerror}). "
                    f"Stop what uses it, or choose another: make run PORT={port + 1}"
                ) from None

    def _say(self, step: str) -> None:
        self.stdout.write(f"… {step}")
        self.stdout.flush()

    def _greet(self) -> None:
        from workspace.accounts import links
        from workspace.accounts.owner import ensure_owner

        owner = ensure_owner()
        address = f"http://{_shown(settings.HOST)}:{settings.PORT}"
        token = links.make(owner, minutes=24 * 60)
        self.stdout.write(
            f"\nOnepane is at {address}/\nSign in as {owner} with this link. It works once:\n\n"
            f"  {address}/sign-in/{token}/\n\nCtrl-C stops."
        )
        self.stdout.flush()


def _shown(host: str) -> str:
    return "localhost" if host in ("0.0.0.0", "::", "127.0.0.1") else f"[{host}]" if ":" in host else host
