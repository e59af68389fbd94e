"""A version on trial: the shadow calls nothing, a split keeps its chats, and the rule that ends it holds."""

from __future__ import annotations

import random
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from tests.scripted import add_model, say
from workspace.accounts.models import Person
from workspace.audit.models import AuditEntry
from workspace.ids import new_id
from workspace.router import catalog, rollout, rollouts
from workspace.router.configuration import save_version
from workspace.router.execute import Execution
from workspace.router.models import LoggedDecision, Rollout, RouterConfiguration, RouterVersion
from workspace.router.rollout_report import WRONG, report
from workspace.router.sequential import FEWEST, Sample, difference, radius, share
from workspace.types import PromptMessage, Request, text_part

pytestmark = pytest.mark.usefixtures("scripted")
PLUM = '{"routes": [{"condition": "default", "model": "plum"}], "fallback": "plum"}'
PEACH = '{"routes": [{"name": "all", "condition": "default", "model": "peach"}], "fallback": "plum"}'


@pytest.fixture
def versions(db: None) -> tuple[RouterVersion, RouterVersion]:
    for name in ("plum", "peach"):
        add_model(name, price="2")
    return save_version(catalog.ACTIVE, PLUM), save_version(catalog.ACTIVE, PEACH, activate=False)


def asked(chat: str = "", model: str = "") -> Request:
    message = PromptMessage(role="person", parts=(text_part("Hello there"),))
    return Request(messages=(message,), chat_id=chat, model=model)


def tried(percent: int, versions: tuple[RouterVersion, RouterVersion], most: int = 1_000) -> Rollout:
    started = rollouts.begin(versions[1], percent=percent, most=most)
    catalog.forget()
    return started


def answer(started: Rollout, version: RouterVersion, **more: Any) -> LoggedDecision:
    values = {
        "person": None, "run": new_id(), "router_version": version, "model": "plum", "chosen_by": "route",
        "mode": "interactive", "state": "done", "cost": Decimal("0.01"), "first_token_s": 0.5, "rollout": started,
    }  # fmt: skip
    return LoggedDecision.objects.create(**{**values, **more})


# --- Which version decides


def test_a_share_of_the_chats_is_the_trials_own_and_each_keeps_its_version(versions: Any) -> None:
    tried(30, versions)
    kept = catalog.load_sync()
    arms = {str(n): rollout.arm(kept, asked(str(n))).router_version_id for n in range(2_000)}
    share_of = sum(version == versions[1].pk for version in arms.values()) / len(arms)
    assert share_of == pytest.approx(0.3, abs=0.04)
    assert all(rollout.arm(kept, asked(chat)).router_version_id == version for chat, version in list(arms.items())[:50])


def test_another_trial_draws_other_chats(versions: Any) -> None:
    tried(50, versions)
    first = {
        n for n in range(200) if rollout.arm(catalog.load_sync(), asked(str(n))).router_version_id == versions[1].pk
    }
    tried(50, versions)
    second = {
        n for n in range(200) if rollout.arm(catalog.load_sync(), asked(str(n))).router_version_id == versions[1].pk
    }
    assert first != second and first & second


async def run(request: Request) -> Execution:
    say("Hello.")
    execution = Execution(request)
    _ = [event async for event in execution.events()]
    return execution


async def test_in_the_shadow_another_decides_and_nothing_of_it_is_called(transactional_db: None, scripted: Any) -> None:
    from channels.db import database_sync_to_async

    def prepare() -> Rollout:
        for name in ("plum", "peach"):
            add_model(name, price="2")
        old, new = save_version(catalog.ACTIVE, PLUM), save_version(catalog.ACTIVE, PEACH, activate=False)
        return tried(0, (old, new))

    started = await database_sync_to_async(prepare)()
    execution = await run(asked("a chat"))
    assert execution.manifest("").decision.model == "plum"  # type: ignore[union-attr]
    said = execution.shadowed()
    assert said == rollout.Shadow(rollout_id=started.pk, route="all", model="peach")
    assert {attempt.model for attempt in execution.manifest("").attempts} == {"plum"}
    chosen = await run(asked("a chat", model="plum"))
    assert chosen.shadowed() is None  # no version has a say there


async def test_in_a_split_its_chats_are_answered_by_it(transactional_db: None, scripted: Any) -> None:
    from channels.db import database_sync_to_async

    def prepare() -> tuple[RouterVersion, RouterVersion]:
        for name in ("plum", "peach"):
            add_model(name, price="2")
        found = save_version(catalog.ACTIVE, PLUM), save_version(catalog.ACTIVE, PEACH, activate=False)
        tried(50, found)
        return found

    old, new = await database_sync_to_async(prepare)()
    models = {}
    for number in range(12):
        decision = (await run(asked(str(number)))).manifest("").decision
        assert decision is not None
        models[decision.configuration] = decision.model
    assert models == {old.pk: "plum", new.pk: "peach"}


# --- Beginning and ending


@pytest.mark.parametrize(("percent", "most", "said"), [(100, 10, "1 to 99"), (-1, 10, "1 to 99"), (5, 0, "after 1 to")])
def test_what_can_not_be_tried_is_refused_in_words(versions: Any, percent: int, most: int, said: str) -> None:
    with pytest.raises(rollouts.RolloutRefused, match=said):
        rollouts.begin(versions[1], percent=percent, most=most)
    with pytest.raises(rollouts.RolloutRefused, match="the version in use"):
        rollouts.begin(versions[0], percent=5, most=10)
    assert not Rollout.objects.exists()


def test_one_trial_at_a_time_and_each_is_in_the_audit_log(versions: Any) -> None:
    first = tried(5, versions)
    second = tried(0, versions)
    first.refresh_from_db()
    assert first.ended and first.why_ended == "Another version is tried." and second.ended is None
    assert rollouts.end(second, why="Enough.") and not rollouts.end(second, why="Twice.")
    told = AuditEntry.objects.filter(about="router.rollout").order_by("number")
    assert [(entry.action, entry.words) for entry in told] == [
        ("created", ""),
        ("changed", "Ended: Another version is tried."),
        ("created", ""),
        ("changed", "Ended: Enough."),
    ]


def test_what_fails_more_for_sure_is_ended_and_what_may_is_not(versions: Any) -> None:
    started = tried(50, versions)
    for number in range(80):
        answer(started, versions[0], state="failed" if number < 3 else "done")
        answer(started, versions[1], state="failed" if number < 8 else "done")
    rollouts.watch()
    assert Rollout.objects.get().ended is None  # 10 against 4 of a hundred may be chance
    for _ in range(60):
        answer(started, versions[1], state="failed")
    rollouts.watch()
    assert Rollout.objects.get().why_ended.startswith("It fails more often")
    assert catalog.load_sync().trial is None


def test_a_trial_ends_when_enough_was_counted(versions: Any) -> None:
    started = tried(50, versions, most=3)
    for _ in range(2):
        answer(started, versions[1])
    answer(started, versions[1], chosen_by="person")  # no say of the version's
    rollouts.watch()
    assert Rollout.objects.get().ended is None
    answer(started, versions[1])
    rollouts.watch()
    assert Rollout.objects.get().why_ended == "3 answers were counted, as many as it was to have."


def test_using_a_version_ends_the_trial(versions: Any, client: Client, alice: Person) -> None:
    tried(5, versions)
    client.force_login(alice)
    client.post(reverse("admin:router_routerconfiguration_use", args=[versions[1].configuration_id, 2]))
    assert Rollout.objects.get().why_ended == "Version 2 was put in use."


# --- What it shows


def test_both_arms_are_counted_from_the_log(versions: Any) -> None:
    started = tried(50, versions)
    for number in range(FEWEST):
        answer(started, versions[0], cost=Decimal("0.02"))
        answer(started, versions[1], cost=Decimal("0.01"), first_token_s=None, state="failed" if number < 2 else "done")
    answer(started, versions[0], rollout=None)  # before it began
    found = report(started)
    assert (found.old, found.new) == (FEWEST, FEWEST)
    failed, cost, first = found.figures
    assert cost.better and cost.old.mean == pytest.approx(0.02) and cost.new.mean == pytest.approx(0.01)
    assert failed.new.mean == pytest.approx(3 / (FEWEST + 2)) and not failed.worse
    assert first.difference is None and first.new.count == 0


@pytest.fixture
def owner(client: Client, alice: Person) -> Client:
    client.force_login(alice)
    return client


def address(page: str, *args: int) -> str:
    return reverse(
        f"admin:router_routerconfiguration_{page}", args=[RouterConfiguration.objects.get(name="default").pk, *args]
    )


def test_a_split_is_begun_read_and_ended_in_the_admin(owner: Client, versions: Any) -> None:
    assert "Try version 2 first" in owner.get(address("compare", 1, 2)).text
    page = owner.post(address("try", 2), {"percent": "10", "most": "500"}, follow=True).text
    assert "version 2 on 10 % of chats is tried" in page and "too few answers" in page
    started = Rollout.objects.get()
    assert (started.mode, started.most) == ("split", 500)
    for _ in range(FEWEST):
        answer(started, versions[0], cost=Decimal("0.02"))
        answer(started, versions[1])
    page = owner.get(address("trial", started.pk)).text
    assert "$0.0200" in page and "$0.0100" in page and "better" in page and "can’t tell yet" in page
    assert "is being tried" in owner.get(address("change")).text
    owner.post(address("end_trial", started.pk))
    assert Rollout.objects.get().why_ended == "alice ended it."
    assert "The trial of version 2 is over" in owner.get(reverse("admin:index")).text


def test_the_shadow_tells_where_requests_would_have_gone(owner: Client, versions: Any) -> None:
    owner.post(address("try", 2), {"percent": "0", "most": "500"})
    started = Rollout.objects.get()
    for model in ("peach", "peach", "plum", ""):
        answer(started, versions[0], shadow_model=model, shadow_route="all" if model == "peach" else "")
    page = owner.get(address("trial", started.pk)).text
    assert "4 requests so far; 1 would have gone to the same model" in page
    assert "nowhere: it would have been refused" in page


@pytest.mark.parametrize("form", [{"percent": "200", "most": "5"}, {"percent": "x", "most": "5"}, {"most": "5"}])
def test_a_wrong_form_tries_nothing(owner: Client, versions: Any, form: dict[str, str]) -> None:
    owner.post(address("try", 2), form)
    assert not Rollout.objects.exists()


def test_a_trial_is_found_under_its_own_configuration_alone(owner: Client, versions: Any) -> None:
    started = tried(5, versions)
    other = save_version("other", PLUM).configuration_id
    page = reverse("admin:router_routerconfiguration_trial", args=[other, started.pk])
    assert owner.get(page).status_code == 404 and owner.get(address("trial", started.pk)).status_code == 200


# --- The statistics


def test_an_interval_shrinks_and_holds_the_mean() -> None:
    widths = [radius(Sample(count=n, sum=0, squares=n), 0.05) for n in (50, 500, 5_000)]
    assert widths[0] > widths[1] > widths[2]
    assert widths[1] == pytest.approx(0.137, abs=0.01)  # 1.6 times that of a count fixed beforehand, 0.088
    assert difference(share(FEWEST - 3, 0), share(500, 5), wrong=WRONG) is None


def watched(chance: random.Random, old: float, new: float, steps: int) -> int:
    """After how many answers of each arm somebody who looks after every tenth would end a split; 0 for never."""
    counts = [0, 0]
    for step in range(1, steps + 1):
        counts[0] += chance.random() < old
        counts[1] += chance.random() < new
        if step % 10 == 0:
            found = difference(share(step, counts[0]), share(step, counts[1]), wrong=WRONG)
            if found and found.low > 0:
                return step
    return 0


def test_looking_often_ends_few_splits_that_are_alike_and_most_that_are_not() -> None:
    chance = random.Random(20_261_124)
    alike = sum(watched(chance, 0.1, 0.1, 600) > 0 for _ in range(200))
    assert alike <= 4  # 2 of 100, at 1.7 of 100 allowed to this figure
    unlike = [watched(chance, 0.05, 0.25, 600) for _ in range(40)]
    assert all(unlike) and sorted(unlike)[20] < 250


def test_a_trial_that_ended_long_ago_still_reads(versions: Any, owner: Client) -> None:
    started = tried(5, versions)
    Rollout.objects.update(ended=timezone.now() - timedelta(days=90), why_ended="Enough.")
    assert "Ended" in owner.get(address("trial", started.pk)).text
