"""Local models that see: pictures of a chat reach them, one like LLaVA and one like Qwen2-VL, as plain transformers
would hand them over."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from tests.hosts import inside as stories
from tests.hosts.inside import inside
from tests.hosts.seeing import picture, seeing_models
from tests.hosts.small import small_models
from tests.hosts.test_model_host import Answer, answer, call_of
from workspace.hosts import link
from workspace.providers.base import Call, ProviderError
from workspace.types import Part, text_part

pytestmark = pytest.mark.timeout(180)

FILES = {name: picture(name) for name in ("red", "blue")} | {"broken": b"\x89PNG and nothing more"}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    place = tmp_path_factory.mktemp("models")
    return seeing_models(place, "llava", "qwen2vl") | small_models("llama")


def looking(model: str, *pictures: str, words: str = "What is this?") -> Call:
    """A question about pictures, greedy and short."""
    call = call_of(model, words, max_tokens=16, temperature=0)
    images = [Part(kind="image", digest=name, media_type="image/png") for name in pictures]
    message = replace(call.messages[0], parts=(text_part(words), *images))

    async def read_blob(digest: str) -> bytes:
        return FILES[digest]

    return replace(call, messages=(message,), abilities=frozenset({"images"}), read_blob=read_blob)


@pytest.mark.usefixtures("model_host")
async def test_pictures_reach_a_model_that_sees(models: dict[str, str]) -> None:
    for kind in ("llava", "qwen2vl"):
        await an_answer_depends_on_the_picture_and_on_nobody_beside_it(models[kind])
    await the_next_question_about_a_picture_goes_on_from_the_last(models["qwen2vl"])
    await pictures_that_can_not_be_looked_at_are_refused_in_words(models)


def test_a_picture_that_takes_long_holds_up_nobody_elses_answer(models: dict[str, str], tmp_path: Path) -> None:
    found = inside(stories.a_picture_takes_long, models["llava"], models["llama"], str(tmp_path))
    assert found == {"before": True, "beside": True, "early": False, "after": True}


async def an_answer_depends_on_the_picture_and_on_nobody_beside_it(model: str) -> None:
    calls = [looking(model, "red"), looking(model, "blue"), looking(model), looking(model, "red", "blue")]
    alone = [await answer(call) for call in calls]
    assert len({each.text for each in alone}) == 4
    again = await asyncio.gather(*(answer(call) for call in calls))
    assert [each.text for each in again] == [each.text for each in alone]
    assert tokens(again[0]) > tokens(again[2]) + 4  # a picture is some tokens of the prompt
    assert all(each.usage and each.usage.cached for each in again)  # the same talk is not read twice
    rows = {row["model"]: row for row in (await link.models())["models"]}
    assert (rows[model]["images"], rows[model]["task"]) == (True, "chat")


async def the_next_question_about_a_picture_goes_on_from_the_last(model: str) -> None:
    first = looking(model, "red")
    said = await answer(first)
    more = call_of(model, "x", said.text, "And its colour?").messages[1:]
    second = await answer(replace(first, messages=(*first.messages, *more)))
    assert second.usage is not None and second.usage.cached > tokens(said) - 4


async def pictures_that_can_not_be_looked_at_are_refused_in_words(models: dict[str, str]) -> None:
    for call, said in (
        (looking(models["llama"], "red"), "takes no pictures"),
        (looking(models["llava"], "broken"), "can't be read"),
    ):
        with pytest.raises(ProviderError) as caught:
            await answer(call)
        assert caught.value.failure.code == "bad_request"
        assert said in caught.value.failure.cause


def tokens(found: Answer) -> int:
    assert found.usage is not None
    return found.usage.input
