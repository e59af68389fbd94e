"""Long versions, run by ``make soak``: a server that is killed again and again, and crowds with faults among them."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.faults.talk import Talk, rows, wait_for_journal, wait_for_run
from tests.serving import Served
from tests.upstream import WORDS, Upstream

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]

KILLS = 20
CROWD = 40
QUESTIONS = 25  # of each person in the crowd: a thousand answers
MODELS = ("echo", "echo", "echo", "md", "cut", "err429", "err500", "garbage")


def words(count: int) -> str:
    return "".join(f"word{number} " for number in range(1, count + 1))


def test_an_answer_survives_every_kill(tmp_path: Path, upstream: Upstream) -> None:
    """One answer, the server killed at random words of it: nothing of it is lost, nothing comes twice."""
    chance = random.Random(7)
    served = Served(tmp_path)
    key = served.people(1, upstream.url)[0]
    said = 0
    try:
        served.start()
        with Talk(served, key) as talk:
            upstream.shut()
            talk.ask("Count.", model="gated")
            started = talk.until("started")
            said = 1
            upstream.release(said)
            wait_for_journal(served, words(said).split()[-1])
        for _ in range(KILLS):
            served.kill()
            served.start()
            wait_for_run(served, "interrupted", words(said))
            with Talk(served, key) as talk:
                talk.send("open", chat=started["chat"])
                talk.until("opened")
                upstream.shut()
                talk.send("continue", chat=started["chat"], message=started["answer"])
                talk.until("started")
                more = chance.choice((0, 1)) if said < WORDS - 2 else 0
                if more:
                    upstream.release(more)
                    said += more
                    wait_for_journal(served, words(said).split()[-1])
        served.kill()
        served.start()
        wait_for_run(served, "interrupted", words(said))
        with Talk(served, key) as talk:
            talk.send("open", chat=started["chat"])
            talk.until("opened")
            talk.send("continue", chat=started["chat"], message=started["answer"])
            upstream.release(WORDS)
            assert talk.until("settled")["state"] == "done"
        assert rows(served, "SELECT state, text FROM router_run") == [("done", words(WORDS))]
    finally:
        served.end()


def test_a_crowd_with_faults_loses_no_question_and_no_word(tmp_path: Path, upstream: Upstream) -> None:
    served = Served(tmp_path, FIRST_TOKEN_DEADLINE="5", IDLE_DEADLINE="5")
    people = served.people(CROWD, upstream.url)
    try:
        served.start()
        with ThreadPoolExecutor(CROWD) as pool:
            outcomes = list(pool.map(lambda key: one_person(served, key), people))
        asked = sum(len(outcome) for outcome in outcomes)
        assert asked == CROWD * QUESTIONS
        states = dict(rows(served, "SELECT state, COUNT(*) FROM router_run GROUP BY state"))
        assert set(states) <= {"done", "failed"}
        assert sum(states.values()) == asked
        assert rows(served, "SELECT COUNT(*) FROM router_runevent") == [(0,)]
    finally:
        served.end()


def one_person(served: Served, key: str) -> list[str]:
    chance = random.Random(key)
    states = []
    with Talk(served, key) as talk:
        for number in range(QUESTIONS):
            model = chance.choice(MODELS)
            text = f"question {number} {chance.random()}"
            talk.ask(text, model=model)
            settled = talk.until("settled", "refused", within=120)
            assert settled["type"] == "settled", settled
            if model == "echo":
                assert settled["state"] == "done" and settled["html"].count(text) >= 1
            states.append(settled["state"])
    return states
