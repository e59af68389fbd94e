"""The learned score: right by brute force, cheap to teach, and off until it has earned its place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from workspace.providers.models import LanguageModel
from workspace.router import neighbours as neighbours_module
from workspace.router import score
from workspace.router.measures import auc, curve, interval, places_within, routing
from workspace.router.models import RouterLabel, RouterVerdict
from workspace.router.neighbours import PRIOR, K, Neighbours, Vectors
from workspace.router.trial import ENOUGH, Label, fold_of, held_out, verdict

SIZE = 384


def unit(rows: int, seed: int = 0) -> Vectors:
    drawn = np.random.default_rng(seed).normal(size=(rows, SIZE))
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True), np.float32)


def by_hand(asked: Vectors, known: Vectors, outcomes: np.ndarray) -> float:
    """The definition, one neighbour after the other."""
    near = sorted(((float(asked @ row), float(it)) for row, it in zip(known, outcomes, strict=True)), reverse=True)[:K]
    weights = [max(similarity, 0.0) for similarity, _ in near]
    together = sum(weight * outcome for weight, (_, outcome) in zip(weights, near, strict=True))
    return (together + PRIOR * float(np.mean(outcomes))) / (sum(weights) + PRIOR)


# Neighbours


@pytest.mark.parametrize("past", [1, K - 1, K, K + 1, 500])
def test_a_prediction_is_the_weighted_mean_of_the_nearest(past: int) -> None:
    known, outcomes, asked = unit(past), np.random.default_rng(1).random(past), unit(7, seed=2)
    neighbours = Neighbours()
    neighbours.add("small", known, outcomes)
    expected = [by_hand(row, known, outcomes) for row in asked]
    assert [neighbours.predict(row)["small"] for row in asked] == pytest.approx(expected, abs=1e-4)
    assert list(neighbours.predict_many("small", asked)) == pytest.approx(expected, abs=1e-4)


def test_outcomes_added_one_by_one_count_like_outcomes_added_at_once() -> None:
    known, outcomes, asked = unit(200), np.random.default_rng(1).random(200), unit(1, seed=2)[0]
    at_once, one_by_one = Neighbours(), Neighbours()
    at_once.add("small", known, outcomes)
    for row, outcome in zip(known, outcomes, strict=True):
        one_by_one.add("small", row, outcome)
    assert len(one_by_one) == len(at_once) == 200
    assert one_by_one.predict(asked)["small"] == pytest.approx(at_once.predict(asked)["small"], abs=1e-5)


def test_each_model_has_its_own_past() -> None:
    neighbours = Neighbours()
    neighbours.add("good", unit(50), np.ones(50))
    neighbours.add("bad", unit(50), np.zeros(50))
    assert neighbours.predict(unit(1)[0]) == pytest.approx({"good": 1.0, "bad": 0.0})
    assert "unknown" not in neighbours


def test_who_knows_nothing_says_nothing() -> None:
    assert Neighbours().predict(unit(1)[0]) == {}


def test_the_nearer_counts_more() -> None:
    near, far = np.zeros((1, SIZE), np.float32), np.zeros((1, SIZE), np.float32)
    near[0, 0], far[0, :2] = 1.0, (0.1, 0.995)
    neighbours = Neighbours()
    neighbours.add("small", np.concatenate([near, far]), [1.0, 0.0])
    assert neighbours.predict(near[0])["small"] > 0.55
    assert neighbours.predict(far[0])["small"] < 0.45


def test_teaching_is_cheap_and_a_prediction_looks_at_each_outcome_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds counted, not timed: room is made a few times for many outcomes, and nothing is built for a prediction."""
    grown: list[int] = []
    looked: list[int] = []
    grow, look = neighbours_module._Past._grow, neighbours_module._similarities

    def counted_grow(self: neighbours_module._Past, room: int) -> None:
        grown.append(room)
        grow(self, room)

    def counted_look(asked: Vectors, known: Vectors) -> Vectors:
        looked.append(len(known))
        return look(asked, known)

    monkeypatch.setattr(neighbours_module._Past, "_grow", counted_grow)
    monkeypatch.setattr(neighbours_module, "_similarities", counted_look)
    neighbours, rows = Neighbours(), unit(3_000)
    for n, row in enumerate(rows):
        neighbours.add("small", row, n % 2)
    assert len(grown) <= 6
    neighbours.predict(rows[0])
    neighbours.predict(rows[1])
    assert looked == [3_000, 3_000]


# Measures


def test_routing_is_measured_as_by_routellm() -> None:
    """Two models, ten prompts of which five need the strong one; a score that knows them, one that is upside down."""
    weak = np.array([1, 1, 1, 1, 1, 0, 0, 0, 0, 0], float)
    strong = np.ones(10)
    knows = np.arange(10, dtype=float)
    share, quality = curve(knows, weak, strong)
    assert list(share) == pytest.approx([n / 10 for n in range(11)])
    assert list(quality) == pytest.approx([0.5, 0.6, 0.7, 0.8, 0.9, 1, 1, 1, 1, 1, 1])
    best = routing(knows, weak, strong)
    assert (best.apgr, best.cpt50, best.cpt80) == pytest.approx((0.75, 25, 40))
    assert routing(-knows, weak, strong).apgr == pytest.approx(0.25)


def test_a_place_is_told_within_its_fold() -> None:
    folds = np.array([0, 0, 1, 1, 1, 1])
    assert list(places_within(np.array([1.0, 2, 30, 10, 10, 40]), folds)) == [0.5, 1, 0.75, 0.375, 0.375, 1]


def test_models_that_earned_the_same_leave_nothing_to_measure() -> None:
    assert np.isnan(routing(np.arange(10.0), np.ones(10), np.ones(10)).apgr)


def test_chance_is_half() -> None:
    chance = np.random.default_rng(3)
    weak, strong = chance.random(20_000) < 0.4, chance.random(20_000) < 0.8
    told = routing(chance.random(20_000), weak.astype(float), strong.astype(float))
    assert told.apgr == pytest.approx(0.5, abs=0.03)
    assert auc(chance.random(20_000), weak) == pytest.approx(0.5, abs=0.03)


def test_auc_counts_pairs_and_halves_ties() -> None:
    positive = np.array([True, True, False, False])
    assert auc(np.array([4.0, 3, 2, 1]), positive) == 1
    assert auc(np.array([1.0, 1, 1, 1]), positive) == 0.5
    assert auc(np.array([2.0, 1, 1, 0]), positive) == pytest.approx(0.875)


def test_an_interval_is_the_same_every_time() -> None:
    values = np.random.default_rng(0).random(500)
    low, high = interval(lambda draw: float(values[draw].mean()), 500)
    assert low < values.mean() < high
    assert (low, high) == interval(lambda draw: float(values[draw].mean()), 500)


# The gate


def labels_of(count: int, *, learnable: bool) -> list[Label]:
    """Prompts of two unnamed sorts, which lie apart; ``learnable`` says whether the model is good at one of them."""
    chance = np.random.default_rng(5)
    sorts, noise = unit(2, seed=6), unit(count, seed=7)
    labels = []
    for n in range(count):
        sort = int(chance.integers(2))
        good = chance.random() < (0.9 if sort else 0.1) if learnable else chance.random() < 0.5
        vector = np.asarray(sorts[sort] + noise[n] * 0.8, np.float32)
        vector /= np.linalg.norm(vector)
        labels.append(Label(f"{int(chance.integers(2**32)):08x}", vector, "small", float(good), n % 97, f"{n % 3}"))
    return labels


def test_a_score_that_knows_more_than_every_baseline_passes() -> None:
    found = verdict(labels_of(600, learnable=True))
    assert found.passed, found
    assert found.aucs["score"] > 0.8
    assert set(found.ahead) == {"chance", "prompt length", "subject mean"}
    assert all(low > 0 for low, _ in found.ahead.values())


def test_a_score_that_knows_nothing_stays_off() -> None:
    found = verdict(labels_of(600, learnable=False))
    assert not found.passed
    assert "not surely better than" in found.reason


def test_a_score_that_knows_only_what_the_subject_tells_stays_off() -> None:
    """The baseline most learned routers do not name."""
    first = unit(2, seed=6)[0]
    labels = [replace(it, subject=f"sort {it.vector @ first > 0.4}") for it in labels_of(600, learnable=True)]
    found = verdict(labels)
    assert not found.passed
    assert "subject mean" in found.reason


@pytest.mark.parametrize("count", [0, 1, ENOUGH - 1])
def test_few_labels_decide_nothing(count: int) -> None:
    assert not verdict(labels_of(count, learnable=True)).passed


def test_labels_that_are_all_good_decide_nothing() -> None:
    assert not verdict([replace(it, outcome=1.0) for it in labels_of(300, learnable=True)]).passed


def test_labels_of_one_prompt_decide_nothing() -> None:
    assert not verdict([replace(it, prompt="00000001") for it in labels_of(300, learnable=True)]).passed


def test_what_a_label_is_told_never_comes_from_its_own_prompt() -> None:
    """A model that was good once, on a prompt held out twice over: both labels are in one fold."""
    labels = labels_of(300, learnable=False)
    twin = Label(labels[0].prompt, labels[0].vector, "large", 1.0, 10, "")
    told = held_out([*labels, twin])
    assert fold_of(twin.prompt) == fold_of(labels[0].prompt)
    mean = np.mean([it.outcome for it in labels if fold_of(it.prompt) != fold_of(twin.prompt)])
    assert told["score"][-1] == pytest.approx(mean), "nobody else knows the model large"


# In a workspace


@pytest.fixture
def fresh() -> Iterator[None]:
    score._known, score._last = None, 0
    yield
    score._known, score._last = None, 0


def taught(count: int, *, learnable: bool = True) -> LanguageModel:
    model = LanguageModel.objects.create(name="small")
    for label in labels_of(count, learnable=learnable):
        score.remember(
            prompt=f"question {label.prompt}", embedding=label.vector.tolist(), model_id=model.pk,
            outcome=label.outcome, source=RouterLabel.Source.VOTE,
        )  # fmt: skip
    return model


@pytest.mark.django_db
@pytest.mark.usefixtures("fresh")
def test_a_workspace_scores_once_its_labels_have_proved_themselves() -> None:
    model = taught(400)
    score.refresh()
    assert score.predict([0.0] * SIZE) == {}, "off until there is a verdict"
    assert score.judge().passed
    assert score.predict([0.0] * SIZE) == {}, "off until it is read"
    score.refresh()
    bad, good = unit(2, seed=6)
    assert score.predict(good.tolist())["small"] > 0.7
    assert score.predict(bad.tolist())["small"] < 0.3

    score.remember(prompt="new", embedding=good.tolist(), model_id=model.pk, outcome=0, source="override")
    score.refresh()
    assert score._known is not None and len(score._known) == 401, "what came in since is added, nothing twice"

    RouterVerdict.objects.create(passed=False, reason="not any more", labels=401)
    score.refresh()
    assert score.predict(good.tolist()) == {}


@pytest.mark.django_db
@pytest.mark.usefixtures("fresh")
def test_the_oldest_labels_are_let_go_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(score, "MOST", 10)
    model = taught(25)
    RouterVerdict.objects.create(passed=True, reason="", labels=25)
    score.refresh()
    assert score._known is not None and len(score._known) == 10
    for expected in (15, 20, 10):
        for _ in range(5):
            score.remember(prompt="new", embedding=[1.0] * SIZE, model_id=model.pk, outcome=1, source="vote")
        score.refresh()
        assert len(score._known) == expected


@pytest.mark.django_db
@pytest.mark.usefixtures("fresh")
def test_a_verdict_keeps_its_figures() -> None:
    taught(250, learnable=False)
    found = score.judge()
    found.refresh_from_db()
    assert not found.passed
    assert found.labels == 250
    assert set(found.figures["ahead"]) == {"chance", "prompt length", "subject mean"}
    score.refresh()
    assert score.predict([0.0] * SIZE) == {}


@pytest.mark.django_db
def test_a_label_holds_no_word_of_the_prompt() -> None:
    model = LanguageModel.objects.create(name="small")
    prompt = "Write a function about secretword."
    label = score.remember(prompt=prompt, embedding=[0.5] * SIZE, model_id=model.pk, outcome=1, source="checklist")
    again = score.remember(prompt=prompt, embedding=[0.5] * SIZE, model_id=model.pk, outcome=0, source="vote")
    label.refresh_from_db()
    kept = [str(getattr(label, field.attname)) for field in RouterLabel._meta.fields]
    assert not any("secret" in value for value in kept)
    assert label.prompt == again.prompt, "labels of one prompt are held out together"
    assert (label.characters, label.subject, len(label.vector)) == (len(prompt), "asks for code", 2 * SIZE)
