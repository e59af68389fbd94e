"""The chain of digests: writers at once make one without a gap, and whatever is done to its rows is found."""

from __future__ import annotations

import hashlib
import io
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction
from django.test import Client
from django.urls import reverse

from workspace.accounts.models import Person
from workspace.audit import chain, guard
from workspace.audit.log import record
from workspace.audit.models import Action, AuditEntry

LENGTH = 6


@pytest.fixture
def entries(db: None) -> list[AuditEntry]:
    return [record(Action.CHANGED, name=f"thing {number}", changes={"n": ("", number)}) for number in range(LENGTH)]


@pytest.fixture
def guarded(db: None) -> Iterator[None]:
    """The database's own refusal, which other tests do without."""
    guard.install()
    yield
    guard.lift()


def checked(*options: str) -> tuple[int, str]:
    out = io.StringIO()
    try:
        call_command("verify_audit", *options, stdout=out)
    except SystemExit as end:
        return int(end.code or 0), out.getvalue()
    return 0, out.getvalue()


def test_an_untouched_log_fits(entries: list[AuditEntry]) -> None:
    last = entries[-1]
    assert chain.verify() == chain.Verdict(entries=LENGTH, digest=last.digest)
    code, said = checked()
    assert code == 0 and f"All {LENGTH} entries fit. Note {LENGTH}:{last.digest}" in said
    code, said = checked("--json", "--expect", f"{LENGTH}:{last.digest}")
    assert code == 0 and json.loads(said) == {"entries": LENGTH, "digest": last.digest, "wrong": ""}


def test_an_empty_log_fits_too(db: None) -> None:
    assert checked() == (0, "All 0 entries fit.\n")


def swap(a: int, b: int) -> None:
    first, second = AuditEntry.objects.get(number=a), AuditEntry.objects.get(number=b)
    AuditEntry.objects.filter(number__in=(a, b)).delete()
    first.number, second.number = b, a
    AuditEntry.objects.bulk_create([first, second])


def insert(at: int) -> None:
    later = list(AuditEntry.objects.filter(number__gte=at).order_by("-number"))
    AuditEntry.objects.filter(number__gte=at).delete()
    for row in later:
        row.number += 1
    AuditEntry.objects.bulk_create(later)
    forged = AuditEntry.objects.get(number=at - 1)
    forged.number, forged.previous = at, forged.digest
    forged.digest = chain.digest_of(chain.content(forged))
    AuditEntry.objects.bulk_create([forged])


@pytest.mark.parametrize(
    ("tamper", "said"),
    [
        *(
            (lambda field=field: AuditEntry.objects.filter(number=3).update(**{field: "x"}), "Entry 3 was altered")
            for field in ("actor", "actor_id", "address", "action", "about", "about_id", "about_name", "words")
        ),
        (lambda: AuditEntry.objects.filter(number=3).update(changes={"n": ["", "9"]}), "Entry 3 was altered"),
        (lambda: AuditEntry.objects.filter(number=3).update(when="2001-01-01T00:00Z"), "Entry 3 was altered"),
        (lambda: AuditEntry.objects.filter(number=3).update(digest="f" * 64), "Entry 3 was altered"),
        (lambda: AuditEntry.objects.filter(number=3).update(previous="f" * 64), "Entry 3 does not follow"),
        (lambda: AuditEntry.objects.filter(number=3).delete(), "Entry 3 is missing: after 2 comes 4."),
        (lambda: AuditEntry.objects.filter(number=1).delete(), "Entry 1 is missing: after 0 comes 2."),
        (lambda: swap(2, 5), "Entry 2 does not follow"),
        (lambda: insert(4), "Entry 5 does not follow"),
    ],
)
def test_what_was_done_to_a_row_is_found(entries: list[AuditEntry], tamper: Callable[[], Any], said: str) -> None:
    tamper()
    code, told = checked()
    assert code == 1 and said in told


def test_a_cut_end_and_a_rewritten_log_are_found_by_what_was_noted(entries: list[AuditEntry]) -> None:
    noted = f"{LENGTH}:{entries[-1].digest}"
    AuditEntry.objects.filter(number=LENGTH).delete()
    assert checked()[0] == 0  # by itself it fits
    code, said = checked("--expect", noted)
    assert code == 1 and "the end of the log was cut off" in said
    record(Action.CHANGED, name="another end")
    code, said = checked("--expect", noted)
    assert code == 1 and "has another digest than you noted" in said


def test_the_database_refuses_to_change_or_delete_an_entry(entries: list[AuditEntry], guarded: None) -> None:
    everything = list(AuditEntry.objects.order_by("number").values())
    for attempt in (
        lambda: AuditEntry.objects.filter(number=2).update(words="better so"),
        lambda: AuditEntry.objects.filter(number=2).delete(),
        lambda: AuditEntry.objects.all().delete(),
    ):
        with pytest.raises(DatabaseError, match="never changed or deleted"), transaction.atomic():
            attempt()
    assert list(AuditEntry.objects.order_by("number").values()) == everything
    assert record(Action.CHANGED).number == LENGTH + 1  # adding goes on


def test_the_guard_comes_with_the_migrations(db: None) -> None:
    guard.install()
    guard.install()  # after every migration again
    with connection.cursor() as cursor:
        where = {"sqlite": "sqlite_master WHERE name", "postgresql": "pg_trigger WHERE tgname"}[connection.vendor]
        cursor.execute(f"SELECT count(*) FROM {where} LIKE %s", [f"{guard.NAME}%"])
        [found] = cursor.fetchone()
    guard.lift()
    assert found == (2 if connection.vendor == "sqlite" else 1)


def test_writers_at_once_make_one_chain(transactional_db: None) -> None:
    def write(writer: int) -> None:
        for number in range(10):
            record(Action.CHANGED, name=f"{writer}.{number}")
        connection.close()

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    verdict = chain.verify()
    assert (verdict.entries, verdict.wrong) == (40, "")


def test_text_that_no_database_keeps_is_kept_as_what_it_can(db: None) -> None:
    record(Action.CHANGED, name="a\x00b\ud800", words="ü – 漢 🙂", changes={"x": (None, "\x00")})
    assert chain.verify().wrong == "" and AuditEntry.objects.get().about_name == "ab?"


# --- The page


@pytest.fixture
def owner(client: Client, alice: Person) -> Client:
    client.force_login(alice)
    return client


def page(client: Client, **query: Any) -> str:
    text: str = client.get(reverse("admin:audit_auditentry_changelist"), query).text
    return text


def test_the_page_tells_the_newest_first_and_narrows(owner: Client, bob: Person) -> None:
    record(Action.CHANGED, about=bob, changes={"role": ("member", "viewer"), "groups": ([], ["a", "b"])})
    record(Action.TOKEN_MADE, about=bob, actor=bob, name="editor")
    told = page(owner)
    assert told.index("editor") < told.index("viewer")
    assert "<del>member</del> → <ins>viewer</ins>" in told and "<ins>a, b</ins>" in told
    assert reverse("admin:accounts_person_change", args=[bob.pk]) in told
    assert "editor" in page(owner, actor="bob") and "viewer" not in page(owner, actor="bob")
    assert "editor" not in page(owner, action="changed")
    assert "Nothing fits" in page(owner, day="2001-01-01")
    assert "Nothing fits" in page(owner, actor="nobody")


def test_older_entries_are_a_link_away(owner: Client) -> None:
    for number in range(60):
        record(Action.CHANGED, name=f"thing-{number:02}")
    told = page(owner, action="changed")
    assert "thing-59" in told and "thing-09" not in told and "action=changed&amp;before=" in told
    assert "thing-09" in page(owner, before=AuditEntry.objects.get(about_name="thing-10").number)
    assert owner.get(reverse("admin:audit_auditentry_changelist"), {"before": "x"}).status_code == 404


def test_the_chain_is_checked_by_a_button(owner: Client, entries: list[AuditEntry]) -> None:
    check = reverse("admin:audit_auditentry_verify")
    assert f"All {AuditEntry.objects.count()} entries fit" in owner.post(check, follow=True).text
    AuditEntry.objects.filter(number=2).update(words="better so")
    assert "Entry 2 was altered" in owner.post(check, follow=True).text


def test_a_download_is_whole_and_can_be_checked_elsewhere(owner: Client, bob: Person) -> None:
    record(Action.CHANGED, about=bob, words="ü – 漢 🙂", changes={"role": ("member", "viewer")})
    download = reverse("admin:audit_auditentry_download")
    rows = [json.loads(line) for line in owner.post(download).content.splitlines()]
    assert [row["action"] for row in rows] == ["signed_in", "changed", "exported"]
    for row in rows:
        digest = row.pop("digest")
        plain = json.dumps(row, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert digest == hashlib.sha256(plain.encode()).hexdigest()  # as a stranger would read the docstring
    [only] = owner.post(download, {"actor": "alice", "action": "signed_in"}).content.splitlines()
    assert json.loads(only)["about_name"] == "alice"
