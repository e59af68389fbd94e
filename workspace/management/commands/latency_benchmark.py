"""``manage.py latency_benchmark``: how long an HTTP endpoint takes, at several numbers of requests at once."""

from __future__ import annotations

import asyncio
import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.core.management.base import BaseCommand, CommandError

from workspace.http_latency import Asked, measure
from workspace.spread import line_of


class Command(BaseCommand):
    help = "Post the same payload to an address again and again, and tell how long answers took: median, mean, p95."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("url")
        parser.add_argument("--payload", default="", help="JSON to post, or @FILE; left out, the address is read.")
        parser.add_argument("--header", action="append", default=[], help='Such as "Authorization: Bearer op_...".')
        parser.add_argument("--requests", type=int, default=100, help="That are counted, at each level.")
        parser.add_argument("--concurrency", default="1", help="Requests at once; several levels with commas: 1,8,32.")
        parser.add_argument("--json", action="store_true", help="Print the figures as JSON.")

    def handle(self, *args: Any, **options: Any) -> None:
        rows = asyncio.run(measure(_asked(options), _levels(options["concurrency"])))
        if all(row["failed"] == row["requests"] for row in rows):
            raise CommandError(f"No request succeeded: {', '.join(rows[0]['failures'])}.")
        if options["json"]:
            self.stdout.write(json.dumps({"url": options["url"], "levels": rows}, indent=2))
            return
        for row in rows:
            lost = f", {row['failed']} failed ({', '.join(row['failures'])})" if row["failed"] else ""
            self.stdout.write(f"{row['at_once']} at once: {row['requests']} requests{lost}, {row['requests_per_s']}/s")
            self.stdout.write(f"  whole answer  {line_of(row['whole_s'], 's')}, mean {row['whole_s']['mean']:g} s")
            if row["streamed"]:
                self.stdout.write(f"  first byte    {line_of(row['first_byte_s'], 's')}")


def _asked(options: dict[str, Any]) -> Asked:
    if urlsplit(options["url"]).scheme not in ("http", "https"):
        raise CommandError("The address starts with http:// or https://.")
    if not 1 <= options["requests"] <= 1_000_000:
        raise CommandError("--requests is a number from 1 on.")
    headers = {}
    for header in options["header"]:
        name, colon, value = header.partition(":")
        if not colon:
            raise CommandError(f"{header!r} is no header: write NAME: VALUE.")
        headers[name.strip()] = value.strip()
    return Asked(
        url=options["url"], payload=_payload(options["payload"]), headers=headers, requests=options["requests"]
    )


def _payload(text: str) -> bytes | None:
    if not text:
        return None
    try:
        payload = Path(text[1:]).read_bytes() if text.startswith("@") else text.encode()
        json.loads(payload)
    except OSError as error:
        raise CommandError(f"The payload can't be read: {error}") from None
    except ValueError as error:
        raise CommandError(f"The payload is no JSON: {error}") from None
    return payload


def _levels(text: str) -> list[int]:
    try:
        levels = [int(part) for part in text.split(",")]
    except ValueError:
        levels = []
    if not levels or not all(1 <= level <= 1_000 for level in levels):
        raise CommandError("--concurrency is a number from 1 to 1000, or several with commas.")
    return levels
