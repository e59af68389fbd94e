"""``manage.py verify_history`` finds every row of history that was altered or taken out past the product.

The guards of the database are lifted here, as somebody with its password could lift them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, timedelta
from importlib import import_module
from io import StringIO
from types import SimpleNamespace
from typing import Any

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import connection, transaction
from django.db.models import F, ForeignObjectRel, Model
from django.utils import timezone

from chat import chain, copies, integrity, ledger
from chat.models import Chat, Message, Replay, Replayed
from retrieval.models import Collection, CollectionState
from tests.scripted import add_model
from workspace.accounts.models import Person
from workspace.ids import new_id
from workspace.providers.models import LanguageModelVersion, ProviderVersion
from workspace.router import frozen, personas, pins
from workspace.router.configuration import save_version
from workspace.router.models import PromptTemplate, PromptTemplateVersion, RouterVersion, Run
from workspace.router.seed import ensure_defaults
from workspace.types import canonical, sha256

pytestmark = pytest.mark.django_db
ROUTES = '{"routes": [{"condition": "default", "model": "plain"}], "fallback": "plain"}'


class History:
    """A chat of two answers, of the workspace's own prompt and of a persona; the second read a collection."""

    def __init__(self, alice: Person, bob: Person) -> None:
        self.alice, self.bob = alice, bob
        ensure_defaults()
        model = add_model("plain", price="1").current
        assert model and model.provider.current
        self.named: dict[str, Model] = {
            "model": model,
            "provider": model.provider.current,
            "router": save_version("default", ROUTES, models=["plain"], activate=True),
        }
        own = PromptTemplate.objects.get(name="default").current
        persona = personas.keep(alice, None, title="Teacher", about="", system="Teach {person}.", variables={})
        assert own and persona.current
        self.critic = PromptTemplate.objects.create(name="critic", title="Critic")
        collection = Collection.objects.create(name="Town", owner=alice)
        documents = [{"id": "d", "digest": sha256("Masons")}]
        self.state = CollectionState.objects.create(
            collection=collection, number=1, documents=documents, digest=sha256(canonical(documents))
        )
        read = {"id": str(collection.pk), "name": "Town", "state": 1, "digest": self.state.digest}
        self.chat = ledger.begin(owner=alice)
        self.question = self._add(None, "Which bridge?", variables={"audience": "all"}, author=bob)
        self.answer = self._add(self.question, "The old one.", self._run(own), author_name="carol")
        self.below = self._add(self.answer, "Who built it?", persona=self.critic, origin=self.question)
        self.last = self._add(self.below, "Masons [1].", self._run(persona.current, collections=[read]))
        self.rows = {**self.named, "prompt template": own, "persona": persona.current, "collection": self.state}

    def _run(self, template: PromptTemplateVersion, **more: Any) -> dict[str, Any]:
        named = {**self.named, "prompt template": template}
        return {
            "model": "plain",
            "model_version": self.named["model"].pk,
            "provider_version": self.named["provider"].pk,
            "prompt_template_version": template.pk,
            "decision": {"model": "plain", "configuration": self.named["router"].pk},
            "versions": {name: pins.digest_of(row) for name, row in named.items()},
            "evidence": [{"number": 1, "text": "Masons built it."}],
            "usage": {"input": 7, "output": 20},  # of the last part alone: the answer was broken off and continued
            **more,
        }

    def _add(self, above: Message | None, text: str, made: dict[str, Any] | None = None, **fields: Any) -> Message:
        run = None
        if made is not None:
            plain = {**made, "text_digest": sha256(text)}
            run = Run.objects.create(
                state="done", text=text, manifest={**plain, "digest": sha256(canonical(plain))},
                evidence=made["evidence"], decision=made["decision"], model_version_id=made["model_version"],
                router_version_id=made["decision"]["configuration"],
                template_version_id=made["prompt_template_version"], reasoning="Hm.", tokens_input=12, tokens_output=30,
                person=self.bob, cost="0.00001234", first_token_s=0.125, total_s=1.5, settled=timezone.now(),
            )  # fmt: skip
        parts = [{"kind": "text", "text": text}]
        one = Message.objects.create(
            chat=self.chat, parent=above, role="model" if run else "person", run=run, parts=parts, settled=True,
            digest=sha256(canonical(parts)), depth=above.depth + 1 if above else 0, **fields,
        )  # fmt: skip
        chain.settle(one.pk)
        return one


@pytest.fixture
def history(alice: Person, bob: Person) -> History:
    found = History(alice, bob)
    assert faults() == [], "the premise: as it was written, all of it fits"
    frozen.lift()
    _lift_messages()
    return found


def faults() -> list[tuple[str, str]]:
    """As the command tells them: of which message, and what."""
    told, code = StringIO(), 0
    try:
        call_command("verify_history", "--json", stdout=told)
    except SystemExit as ended:
        code = int(ended.code or 0)
    found = [(str(one["message"]), one["what"]) for one in json.loads(told.getvalue())["faults"]]
    assert code == int(bool(found)), "a script hears of it too"
    return found


def _lift_messages() -> None:
    """Undone with the test's transaction."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("DROP TRIGGER message_guard ON chat_message")
            cursor.execute("DROP TRIGGER ledger_guard ON chat_ledgerentry")
        for statement in integrity.SQLITE if connection.vendor == "sqlite" else ():
            cursor.execute(f"DROP TRIGGER {statement.split()[5]}")


ALTERED: dict[str, tuple[type[Model], dict[str, Any]]] = {
    "model": (LanguageModelVersion, {"upstream": "another"}),
    "provider": (ProviderVersion, {"base_url": "http://elsewhere.example/v1"}),
    "prompt template": (PromptTemplateVersion, {"system": "Say that all is well."}),
    "router": (RouterVersion, {"source": "{}"}),
    "persona": (PromptTemplateVersion, {"variables": {"audience": "children"}}),
    "collection": (CollectionState, {"documents": []}),
}


def test_every_kind_of_version_is_in_the_matrix() -> None:
    assert {table for table, _ in ALTERED.values()} == set(pins.CONTENT)


@pytest.mark.parametrize("way", ["altered", "removed"])
@pytest.mark.parametrize("kind", ALTERED)
def test_a_version_that_was_forged_or_deleted_is_found(history: History, kind: str, way: str) -> None:
    """At every answer that names it, and at no other."""
    table, fields = ALTERED[kind]
    if way == "altered":
        assert table._default_manager.filter(pk=history.rows[kind].pk).update(**fields) == 1
    else:
        take_out(history.rows[kind])
    of = {"persona": [history.last], "collection": [history.last], "prompt template": [history.answer]}
    where = [str(one.pk) for one in of.get(kind, [history.answer, history.last])]
    what = f"the version of its {'prompt template' if kind == 'persona' else kind}"
    what = "the state of the collection “Town”" if kind == "collection" else what
    word = "was altered" if way == "altered" else "is missing"
    assert faults() == [(one, f"{what} {word}") for one in where]


def test_a_collection_that_was_deleted_took_its_states_with_it(history: History) -> None:
    """As the product does it, on somebody's wish: that is no forgery."""
    history.state.collection.delete()
    assert faults() == []


def take_out(row: Model) -> None:
    """The row and whatever holds it, as somebody would who knows the tables."""
    for held in row._meta.get_fields(include_hidden=True):
        if isinstance(held, ForeignObjectRel):
            held.related_model._base_manager.filter(**{held.field.name: row}).update(**{held.field.name: None})
    gone = type(row)._base_manager.filter(pk=row.pk)
    gone._raw_delete(gone.db)


Forge = Callable[[History], object]
OWN = "its content was altered"
LINK = "its link does not fit: it, what its run took, or what is above it was altered"
LOST = "messages are missing, or were added past the product"
OPEN = "it was settled, and is told not to be"
AGAIN = "of a replay of it, "
TEXT = "the text of its run was altered"
VERSION, ANOTHER = "the version of the", "that its run names is another one"
WORDS = "its words are not those of its run"
BARE = "its manifest is missing"
DEPTH = "it stands deeper or higher than below what it follows"
AUTHOR, PERSONA, ORIGIN, PERSON = (f"its {one} was altered" for one in ("author", "persona", "origin", "run's person"))


def _message(which: str, **fields: Any) -> Forge:
    return lambda history: Message.objects.filter(pk=getattr(history, which).pk).update(**fields)


def _made(**fields: Any) -> Forge:
    return lambda history: Run.objects.filter(pk=history.answer.run_id).update(**fields)


def _given(which: str, **named: str) -> Forge:
    """To somebody else, whom the history knows by this name."""
    return lambda history: _message(which, **{name: getattr(history, one) for name, one in named.items()})(history)


def _other_persona(history: History) -> None:
    Message.objects.filter(pk=history.below.pk).update(persona=PromptTemplate.objects.get(name="default"))


def _version(name: str) -> Forge:
    def forge(history: History) -> None:
        """Its run names a newer version than its manifest."""
        run = history.answer.run
        assert run
        row = getattr(run, f"{name}_version")
        row.pk, row.number = None, row.number + 1
        row.save(force_insert=True)
        Run.objects.filter(pk=run.pk).update(**{f"{name}_version": row})

    return forge


def _replayed(**fields: Any) -> Forge:
    def forge(history: History) -> None:
        """The answer was made again, and then what came out was altered."""
        run = history.answer.run
        assert run
        run.pk = new_id()
        run.save(force_insert=True)
        replay = Replay.objects.create(chat=history.chat)
        Replayed.objects.create(replay=replay, place=0, message=history.answer, run=run)
        assert faults() == [], "the premise"
        Run.objects.filter(pk=run.pk).update(**fields)

    return forge


def _manifest(history: History) -> None:
    """With its digest made anew."""
    run = history.answer.run
    assert run and run.manifest
    plain = {**{name: value for name, value in run.manifest.items() if name != "digest"}, "model": "another"}
    Run.objects.filter(pk=run.pk).update(manifest={**plain, "digest": sha256(canonical(plain))})


def _words(history: History) -> None:
    parts = [{"kind": "text", "text": "Another one."}]
    Message.objects.filter(pk=history.answer.pk).update(parts=parts, digest=sha256(canonical(parts)))


def _added(history: History) -> None:
    made = history._run(PromptTemplateVersion.objects.get(pk=history.rows["persona"].pk))
    total = Chat.objects.values_list("sum", flat=True).get()
    history._add(history.below, "Nobody.", made)
    Chat.objects.update(sum=total)


@pytest.mark.parametrize(
    ("forge", "where", "what"),
    [
        pytest.param(_message("question", parts=[]), "question", [OWN], id="the words of a question"),
        pytest.param(_message("answer", parts=[]), "answer", [OWN, WORDS], id="the words of an answer"),
        pytest.param(_words, "answer", [WORDS, LINK], id="its words and their digest"),
        pytest.param(_message("question", variables={}), "question", [LINK], id="its variables"),
        pytest.param(_message("below", grounding={"web": True}), "below", [LINK], id="what it was to be read from"),
        pytest.param(_message("below", created=F("created") + timedelta(days=1)), "below", [LINK], id="its time"),
        pytest.param(_message("below", chain="0" * 64), "", ["", LINK, LOST], id="its link"),
        pytest.param(_message("last", depth=7), "last", [DEPTH], id="how deep it stands"),
        pytest.param(_message("below", parent=None), "below", [DEPTH, LINK], id="what it follows"),
        pytest.param(_given("question", author="alice"), "question", [AUTHOR], id="its author"),
        pytest.param(_message("question", author=None), "question", [AUTHOR], id="no author"),
        pytest.param(_given("below", author="bob"), "below", [AUTHOR], id="an author where there was none"),
        pytest.param(_message("answer", author_name="dave"), "answer", [LINK], id="the name of its author"),
        pytest.param(_other_persona, "below", [PERSONA], id="its persona"),
        pytest.param(_message("below", persona=None), "below", [PERSONA], id="no persona"),
        pytest.param(_message("question", persona_name="Critic"), "question", [LINK], id="the name of its persona"),
        pytest.param(_given("below", origin="answer"), "below", [ORIGIN], id="what it was copied from"),
        pytest.param(_message("below", origin=None), "below", [ORIGIN], id="that it was copied"),
        pytest.param(_given("last", origin="answer"), "last", [ORIGIN], id="a copy of nothing"),
        pytest.param(_message("last", whose={}), "last", [PERSON, LINK], id="what its link has of whose it is"),
        pytest.param(_message("last", whose=None), "last", [LINK], id="that its link has it"),
        pytest.param(_made(person=None), "answer", [PERSON], id="that somebody had it written"),
        pytest.param(lambda history: _made(person=history.alice)(history), "answer", [PERSON], id="who had it written"),
        pytest.param(_made(text="Another one."), "answer", [WORDS, TEXT], id="the run's text"),
        pytest.param(_made(evidence=[]), "answer", ["the evidence of its run was altered"], id="the run's evidence"),
        pytest.param(_made(decision=None), "answer", ["the decision of its run was altered"], id="the run's decision"),
        pytest.param(_made(manifest={}), "answer", [BARE, LINK], id="no manifest"),
        pytest.param(_made(manifest=None), "answer", [BARE, LINK], id="no manifest at all"),
        pytest.param(_manifest, "answer", [LINK], id="the manifest and its digest"),
        *(
            pytest.param(_made(**{name: value}), "answer", [LINK], id=f"the run's {name}")
            for name, value in {
                "tokens_input": 7,
                "tokens_output": None,
                "cost": "0.00001235",
                "first_token_s": 0.126,
                "total_s": 0,
                "state": "stopped",
                "failure": {"code": "invented"},
                "reasoning": "Hm?",
                "settled": F("settled") + timedelta(seconds=1),
                "created": F("created") - timedelta(seconds=1),
            }.items()
        ),
        pytest.param(_made(cost=None), "answer", [LINK], id="no cost"),
        pytest.param(_version("model"), "answer", [f"{VERSION} model {ANOTHER}"], id="the run's model"),
        pytest.param(_version("router"), "answer", [f"{VERSION} router {ANOTHER}"], id="the run's router"),
        pytest.param(_version("template"), "answer", [f"{VERSION} prompt template {ANOTHER}"], id="its template"),
        pytest.param(_message("answer", settled=False), "answer", [OPEN], id="that it was settled"),
        pytest.param(_replayed(text="Another one."), "answer", [AGAIN + TEXT], id="a replay's text"),
        pytest.param(_replayed(manifest={}), "answer", [AGAIN + BARE], id="a replay's manifest"),
        pytest.param(lambda history: history.last.delete(), "None", [LOST], id="the last message taken out"),
        pytest.param(lambda history: history.below.delete(), "None", [LOST], id="one taken out with all below"),
        pytest.param(_added, "None", [LOST], id="one put in"),
    ],
)
def test_a_message_that_was_forged_or_deleted_is_found(
    history: History, forge: Forge, where: str, what: list[str]
) -> None:
    forge(history)
    found = faults()
    if where == "":  # a forged link breaks those that hang on it, and the chat's sum
        assert {said for _, said in found} == {one for one in what if one} and len(found) > 1
    else:
        place = str(getattr(history, where).pk) if where != "None" else where
        assert found == [(place, one) for one in what]


def test_the_sum_of_a_chat_is_no_more_to_be_believed_than_its_messages(history: History) -> None:
    Chat.objects.update(sum="0" * 64)
    assert faults() == [("None", LOST)]


def test_a_settled_answer_without_words_is_given_none(history: History) -> None:
    """One that was stopped before a worker took it has no manifest either; pages show the words of its run."""
    run = Run.objects.create(state="stopped", settled=timezone.now())
    one = Message.objects.create(
        chat=history.chat, parent=history.below, role="model", run=run, digest=sha256(canonical([])), settled=True,
        depth=history.below.depth + 1,
    )  # fmt: skip
    chain.settle(one.pk)
    assert faults() == [], "the premise"
    Run.objects.filter(pk=run.pk).update(text="Nobody built it.")
    assert faults() == [(str(one.pk), WORDS), (str(one.pk), BARE)]


def test_what_settles_while_one_looks_is_no_fault(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    look, seen = chain.verify_chat, []

    def meanwhile(chat: Chat, known: chain.Versions) -> Any:
        """The chat's sum is read already."""
        if not seen:
            history._add(history.last, "And when?")
        seen.append(chat.pk)
        return look(chat, known)

    monkeypatch.setattr(chain, "verify_chat", meanwhile)
    assert faults() == [] and seen == [history.chat.pk] * 2
    history.last.delete()
    assert faults() == [("None", LOST)], "what is wrong stays so"


def test_people_and_personas_may_go_and_so_may_what_was_copied(history: History) -> None:
    """What they said, and the copies, stay."""
    copy = copies.fork(history.chat, history.alice, history.last, history.alice)
    assert faults() == [], "the premise"
    history.bob.delete()
    history.critic.delete()
    history.chat.delete()
    assert set(Message.objects.values_list("chat", "author", "persona", "origin")) == {(copy.pk, None, None, None)}
    assert faults() == [("None", ledger.MISSING)], "of the chat that it is a copy of"


def test_links_of_before_hold_as_they_are(history: History) -> None:
    """Those that say nothing of whose a message is, between those that do."""
    total = above = ""
    for one in Message.objects.filter(chat=history.chat).select_related("run").order_by("depth"):
        one.whose = None if one.depth < 2 else one.whose
        one.chain = above = chain.link(one, above)
        one.save(update_fields=["whose", "chain"])
        total = chain.add(total, above)
    Chat.objects.update(sum=total)
    assert faults() == []
    Message.objects.filter(pk=history.question.pk).update(variables={})
    Message.objects.filter(pk=history.below.pk).update(author=history.alice)
    assert faults() == [(str(history.question.pk), LINK), (str(history.below.pk), AUTHOR)]


def test_every_column_of_a_message_is_in_the_matrix_or_may_change() -> None:
    sealed = {"role", "author_name", "grounding", "reasoning", "persona_name", "variables", "created", "whose", "chain"}
    told = {"parts", "digest", "settled", "author", "persona", "origin"}
    place = {"id", "chat", "parent", "run", "depth"}  # by the link, the chat's sum, and the manifest
    sent = {"client_id"}  # by which a browser knows that it was
    assert {field.name for field in Message._meta.concrete_fields} == sealed | told | place | sent


def test_every_column_of_a_run_is_in_the_matrix_or_may_change() -> None:
    """A new one is sealed too, or says here why not."""
    sealed = {"state", "failure", "reasoning", "tokens_input", "tokens_output", "cost", "first_token_s", "total_s"}
    told = {"manifest", "text", "evidence", "decision", "created", "settled"}
    named = {"model_version", "router_version", "template_version"}  # the manifest has them, and their digests
    moving = {"reserved", "seq", "withheld", "owner", "heartbeat"}  # while it runs, or until a vote
    where = {"id", "person", "imported"}  # whose it is: told of the message; of a replay's, people may go
    assert {field.name for field in Run._meta.concrete_fields} == sealed | told | named | moving | where


def test_links_of_before_become_links_of_now_and_what_was_altered_stays_so(history: History) -> None:
    """The migration that put what a run took into its link."""
    total = ""
    above: dict[Any, str] = {None: ""}
    for one in Message.objects.filter(chat=history.chat).select_related("run").order_by("depth"):
        asked = {"grounding": one.grounding, "reasoning": one.reasoning, "variables": one.variables}
        manifest = (one.run.manifest or {})["digest"] if one.run else ""
        when = one.created.astimezone(UTC).isoformat()
        words = (above[one.parent_id], str(one.pk), one.role, when, one.digest, canonical(asked).decode(), manifest)
        above[one.pk] = sha256("\n".join(words))
        Message.objects.filter(pk=one.pk).update(chain=above[one.pk], whose=None)
        total = chain.add(total, above[one.pk])
    Chat.objects.update(sum=total)
    assert [what for _, what in faults()] == [LINK, LINK], "the premise: of the answers, whose links tell less"
    migration = import_module("chat.migrations.0011_links_of_figures")
    editor = SimpleNamespace(connection=connection, execute=lambda statement: None)  # the guards are lifted already
    with transaction.atomic():
        migration.link_all(apps, editor)
        assert faults() == []
        transaction.set_rollback(True)
    Message.objects.filter(pk=history.answer.pk).update(grounding={"web": True})
    history.last.delete()
    migration.link_all(apps, editor)
    assert faults() == [(str(history.answer.pk), LINK), ("None", LOST)]
