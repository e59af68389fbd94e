"""What a chat costs as it grows: opening it, asking in it, standing on another branch, and its map.

Chats of 10, 100, 1,000 and 10,000 messages (the longest with 500 branches) lie in one workspace and are asked in turn,
so that whatever else the machine does meets all alike; a short one gives way to its twin before it has grown. Times are
of one person's requests, one after the other.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
import uuid
from collections import defaultdict
from pathlib import Path
from typing import Any

import httpx

from tests.faults.talk import Talk
from tests.serving import ROOT, Served
from tests.upstream import log_of

SIZES = {10: 1, 100: 5, 1_000: 50, 10_000: 500}  # messages, and how many of its branches leave the line
WORDS = "The survey gives a heat loss of 41.6 kW at minus nine degrees [1], so radiators must run below their rating. "
ROUNDS = 40
WARM = 3  # rounds that do not count
SMALL = 100  # messages: what a chat is asked adds to it, so one that small is asked once, and then its twin


def measure(folder: Path, upstream: str, *, quick: bool = False) -> dict[str, Any]:
    """By number of messages: milliseconds and bytes of each thing done, medians; the last is what 10,000 cost in
    times what 10 do."""
    served = Served(folder)
    [key] = served.people(1, upstream)
    chats = _grown(served)
    served.start()
    try:
        found = _asked(served, key, chats, upstream, rounds=8 if quick else ROUNDS)
    finally:
        served.end()
    few, many = (found[str(size)] for size in (min(SIZES), max(SIZES)))
    found["ratios"] = {name: round(many[name] / few[name], 2) for name in few}
    return found


def lines(found: dict[str, Any]) -> list[str]:
    names = list(found[str(min(SIZES))])
    head = f"{'Messages in the chat':28}" + "".join(f"{size:>10,}" for size in SIZES) + f"{'×':>8}"
    return [head] + [
        f"{name.replace('_', ' '):28}"
        + "".join(f"{found[str(size)][name]:>10,}" for size in SIZES)
        + f"{found['ratios'].get(name, ''):>8}"
        for name in names
    ]


def _asked(served: Served, key: str, chats: dict[str, Any], upstream: str, *, rounds: int) -> dict[str, Any]:
    taken: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    with httpx.Client(base_url=served.url, cookies={"sessionid": key}) as browser, Talk(served, key) as talk:
        browser.get("/")
        headers = {"X-CSRFToken": browser.cookies["csrftoken"], "Referer": served.url}

        def timed(size: str, name: str, address: str, to: str = "") -> None:
            begun = time.perf_counter()
            post = {"method": "POST", "data": {"message": to}, "headers": headers}
            response = browser.request(url=address, **(post if to else {"method": "GET"}))
            taken[size][f"{name}_ms"].append(1e3 * (time.perf_counter() - begun))
            assert response.status_code == 200, response.text[:300]
            taken[size][f"{name}_bytes"].append(len(response.content))

        for number in range(-WARM, rounds):
            for size, twins in chats.items():
                chat = twins[number % len(twins)]
                address = f"/c/{chat['id']}/"
                timed(size, "open", address)
                timed(size, "switch", f"{address}place/", chat["other"])
                timed(size, "switch_at_the_top", f"{address}place/", chat["early"])
                timed(size, "map", f"{address}history/")
                _append(talk, chat, size, upstream, taken)
            if number < 0:
                taken.clear()
    return {size: {name: _median(name, values) for name, values in of.items()} for size, of in taken.items()}


def _append(talk: Talk, chat: dict[str, Any], size: str, upstream: str, taken: Any) -> None:
    """From a question sent to its turn being open, and to the provider being called."""
    talk.send("open", chat=chat["id"], seen={})
    talk.until("opened")
    log_of(upstream)
    rid = uuid.uuid4().hex[:12]
    begun = time.monotonic()
    text = f"Go on. rid:{rid}"
    talk.send("send", client_id=str(uuid.uuid4()), chat=chat["id"], parent=chat["tip"], text=text, model="instant")
    chat["tip"] = talk.until("started")["answer"]
    taken[size]["append_ms"].append(1e3 * (time.monotonic() - begun))
    talk.until("settled")
    taken[size]["append_settled_ms"].append(1e3 * (time.monotonic() - begun))
    [line] = [line for line in log_of(upstream) if line["rid"] == rid]
    taken[size]["until_provider_ms"].append(1e3 * (line["received"] - begun))


def _median(name: str, values: list[float]) -> float:
    middle = statistics.median(values)
    return round(middle) if name.endswith("bytes") else round(middle, 1)


def _grown(served: Served) -> dict[str, Any]:
    made = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.long_chats"],
        cwd=ROOT, env=served.environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    found: dict[str, Any] = json.loads(made.stdout.splitlines()[-1])
    return found


def grow(person: Any, messages: int, branches: int) -> dict[str, Any]:
    """A chat whose line is left by ``branches`` of two messages each, the last one just above its end, all as the
    product would have written them. ``other`` is the version beside the end, ``early`` one near the top of the line."""
    from chat import tree
    from chat.models import Chat

    chat = Chat.objects.create(owner=person, title=f"{messages:,} messages")
    line = messages - 2 * branches
    made = [_message(chat, person, None)]
    for _ in range(line - 1):
        made.append(_message(chat, person, made[-1]))
    tip, early = made[-1], made[2 if messages < 20 else 4]
    spread = [made[2 * (n * ((line - 4) // 2) // max(1, branches)) + 1] for n in range(branches - 1)]
    for above in [*spread, made[-3]]:
        beside = _message(chat, person, above)
        made += [beside, _message(chat, person, beside)]
    _write(chat, made)
    tree.stand(chat, person, tip)
    return {"id": str(chat.pk), "tip": str(tip.pk), "other": str(made[-2].pk), "early": str(early.pk)}


def _message(chat: Any, person: Any, above: Any) -> Any:
    from chat.models import Message
    from workspace.ids import new_id
    from workspace.router.models import Run
    from workspace.types import canonical, sha256

    asks = above is None or above.role == "model"
    text = "What does the survey say about the radiators?" if asks else WORDS * 4
    parts = [{"kind": "text", "text": text}]
    run = None
    if not asks:
        evidence = [_passage(number) for number in (1, 2, 3, 4)]
        plain = {
            "model": "instant",
            "evidence": evidence,
            "text_digest": sha256(text),
            "usage": {"input": 9, "output": 90},
        }
        manifest = {**plain, "digest": sha256(canonical(plain))}
        run = Run(
            id=new_id(), person=person, state="done", text=text, evidence=evidence, manifest=manifest, total_s=2.0
        )
    return Message(
        chat=chat, parent=above, role="person" if asks else "model", author=person if asks else None, run=run,
        parts=parts, digest=sha256(canonical(parts)), depth=above.depth + 1 if above else 0, settled=True,
    )  # fmt: skip


def _passage(number: int) -> dict[str, Any]:
    from workspace.types import Evidence, plain, sha256

    text = f"Passage {number}. {WORDS}"
    ids = {"chunk_id": str(number), "document_id": str(uuid.UUID(int=number))}
    return plain(Evidence(number=number, title="Survey", text=text, digest=sha256(text), score=0.5, **ids))


def _write(chat: Any, made: list[Any]) -> None:
    from chat import chain
    from chat.models import Chat, Message
    from workspace.router.models import Run

    total = ""
    for one in made:
        one.chain = chain.link(one, chain.above(one.parent))
        total = chain.add(total, one.chain)
    Run.objects.bulk_create([one.run for one in made if one.run], batch_size=200)
    Message.objects.bulk_create(made, batch_size=50)
    Chat.objects.filter(pk=chat.pk).update(sum=total)


def main() -> None:
    import django

    django.setup()
    from django.db import transaction

    from workspace.accounts.models import Person

    person = Person.objects.get(username="person0")
    with transaction.atomic():
        twins = {size: ROUNDS + WARM if size <= SMALL else 1 for size in SIZES}
        print(json.dumps({size: [grow(person, size, SIZES[size]) for _ in range(twins[size])] for size in SIZES}))


if __name__ == "__main__":
    main()
