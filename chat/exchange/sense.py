"""Whether what a line of our own format tells makes sense: a run, and whatever points at messages.

It knows no row: only the lines of one file. Who made a file anew by hand, digests and all, gets no further than this.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from chat.exchange.nodes import MOST_NODES, MOST_TEXT, Unreadable, moment
from chat.exchange.shapes import (
    Asked,
    Flagged,
    Fused,
    Gathered,
    Grounded,
    Judged,
    Ran,
    Replayed,
    Stepped,
    Thumbed,
    Voted,
    conforms,
)
from chat.fits import Told, misfits
from workspace.types import Manifest
from workspace.wire import LANE_LETTERS, MAX_LANES

Line = tuple[int, Mapping[str, Any]]  # with its number in the file
Lines = Mapping[str, Sequence[Line]]  # by their kinds

FOLLOWS = {"person": "answer", "model": "question"}
ALTERED = "Take another copy of it. A file that was changed by hand is not taken."
# What points at messages, and the fields that do.
POINTERS = {
    "checkpoint": ("message",),
    "branch": ("message",),
    "origin": ("message", "of"),
    "comparison": ("question",),
    "fusion": ("message",),
    "step": ("message",),
    "replay": (),
}
# What a step of each kind tells of pointers; some tell where somebody stood besides.
TELLS: dict[str, frozenset[str]] = {
    "switched": frozenset({"place"}),
    **dict.fromkeys(("pruned", "restored", "named", "starred", "merged", "kept"), frozenset({"branch"})),
    **dict.fromkeys(("flagged", "changed", "unflagged"), frozenset({"checkpoint"})),
    "forked": frozenset(),
}
STANDS = ("switched", "pruned", "merged", "kept")
SHAPES = {"checkpoint": Flagged, "fusion": Fused}  # those that need no closer look
LONGEST = {"name": 80, "note": 2_000}
MOST_AGAIN = 200  # answers of one replay
MOST_COUNT = 2**31 - 1  # what a column of tokens holds
WAYS = ("again", "none")  # to the evidence of a replay
VERDICTS = ("supported", "weak", "unsupported")


def check_run(run: Any, what: str, *, said: str | None = None) -> None:
    """``what`` it made, for whoever is told that it makes no sense; ``said`` are the words of its message, if it has
    one."""
    good = (
        conforms(run, Ran)
        and all(run.get(name) is None or _is_count(run[name]) for name in ("tokens_input", "tokens_output"))
        and (run["manifest"] is None or _is_manifest(run["manifest"]))
        and ("judged" not in run or _is_judged(run["judged"], len(run["text"])))
    )
    if not good:
        raise Unreadable(f"What made {what} of the file makes no sense.", ALTERED)
    manifest, evidence = run["manifest"] or {}, run.get("evidence")
    told = Told(
        text=run["text"],
        evidence=evidence if evidence is not None else manifest.get("evidence") or [],
        decision=manifest.get("decision"),
        said=said,
    )
    if run["state"] != "interrupted" and any(misfits(manifest, told)):
        raise Unreadable(f"What made {what} is not what was exported.", ALTERED)


def check_turns(messages: Sequence[Line]) -> None:
    """Answers stand under questions, and questions under answers or at the beginning: whoever goes on relies on it."""
    roles = [line["role"] for _, line in messages]
    for at, line in messages:
        above = "model" if line["parent"] is None else roles[line["parent"]]
        if above == line["role"]:
            raise Unreadable(f"Line {at} of the file follows no {FOLLOWS[above]}.", ALTERED)
        said = sum(len(part.get("text", "")) for part in line["parts"])
        if max(said, len((line.get("run") or {}).get("text", ""))) > MOST_TEXT:
            raise Unreadable(f"Line {at} of the file has over {MOST_TEXT:,} characters.", "Leave it out of the file.")


def check_pointers(lines: Lines, *, ordered: bool) -> None:
    """``ordered``: the file tells in which order things came to be."""
    messages = [line for _, line in lines["message"]]
    for name in POINTERS:
        for line in lines[name]:
            _check_numbers(line, len(messages))
    for name, shape in SHAPES.items():
        for at, told in lines[name]:
            if not conforms(told, shape):
                raise Unreadable(f"Line {at} of the file, a {name}, makes no sense.", ALTERED)
    for line in lines["comparison"]:
        _check_comparison(line, messages)
    for line in lines["step"]:
        _check_step(line, len(messages), len(lines["checkpoint"]))
    for line in lines["replay"]:
        _check_replay(line, messages)
    if ordered:
        _check_order([*lines["message"], *lines["step"]])
    again = [(at, one) for at, line in lines["replay"] for one in line["answers"] if one.get("answer") is not None]
    _check_once((at, line["question"]) for at, line in lines["comparison"])
    _check_once((at, one["message"]) for at, line in lines["comparison"] for one in line["lanes"])
    _check_once((at, line["message"]) for at, line in lines["fusion"])
    _check_ways((at, line["message"], line["of"]) for at, line in lines["origin"])
    _check_ways((at, one["answer"], one["message"]) for at, one in again)


def _check_numbers(line: Line, messages: int) -> None:
    at, told = line
    numbers = [told.get(name) for name in POINTERS[str(told["kind"])]]
    lanes = told.get("lanes", [])
    if isinstance(lanes, list):
        numbers += [one.get("message") if isinstance(one, dict) else one for one in lanes]
    if not all(_is_one_of(messages, number) for number in numbers):
        raise Unreadable(f"Line {at} of the file, a {told['kind']}, points at no message.", ALTERED)


def _check_comparison(line: Line, messages: Sequence[Mapping[str, Any]]) -> None:
    """Its lanes are answers, what they were given is of the shape it has here, and every vote is for what they said."""
    at, told = line
    lanes = told.get("lanes")
    if not isinstance(lanes, list) or not lanes or not _are_places(lanes):
        raise Unreadable(f"Line {at} of the file, a comparison, makes no sense.", ALTERED)
    answers = [messages[one["message"]] for one in lanes]
    said = {(LANE_LETTERS[one["place"]], answer["digest"]) for one, answer in zip(lanes, answers, strict=True)}
    digests = {one["message"]: answer["digest"] for one, answer in zip(lanes, answers, strict=True)}
    votes, thumbs = told.get("votes", []), [one.get("thumbs", []) for one in lanes]
    question = messages[told["question"]]["digest"]
    good = (
        all(answer["role"] == "model" for answer in answers)
        and all(messages[answer["parent"]]["digest"] == question for answer in answers)  # lanes may go on elsewhere
        and all(conforms(one.get("asked", {}), Asked) for one in lanes)
        and conforms(votes, tuple[Voted, ...])
        and all(conforms(each, tuple[Thumbed, ...]) for each in thumbs)
        and all(_is_once_each(each) for each in (votes, *thumbs))
        and all(
            vote["digests"].items() <= said  # a lane may have come after a vote
            and (
                digests.get(vote["lane"]) in vote["digests"].values()
                if vote["choice"] == "best"
                else vote["lane"] is None
            )
            for vote in votes
        )
    )
    if not good:
        raise Unreadable(f"A vote or a lane of the comparison in line {at} of the file makes no sense.", ALTERED)


def _check_step(line: Line, messages: int, flags: int) -> None:
    """Both of its states tell the same pointers, those that a step of its kind has: undoing it writes them."""
    at, told = line
    good = conforms(told, Stepped) and moment(told["created"]) and (told["undone"] is None or moment(told["undone"]))
    if good:
        before, after = told["before"], told["after"]
        needed, keys = TELLS[told["did"]], before.keys()
        good = (
            keys == after.keys()
            and needed <= keys <= needed | ({"place"} if told["did"] in STANDS else set())
            and all(state[name] for state in (before, after) for name in needed)
            and all(_is_sound(state, messages, flags) for state in (before, after))
            and ("branch" not in keys or before["branch"]["start"] == after["branch"]["start"])
            and ("checkpoint" not in keys or before["checkpoint"]["flag"] == after["checkpoint"]["flag"])
        )
    if not good:
        raise Unreadable(f"Line {at} of the file, a step, makes no sense.", ALTERED)


def _is_sound(state: Mapping[str, Any], messages: int, flags: int) -> bool:
    place, branch, flag = (state.get(name) for name in ("place", "branch", "checkpoint"))
    return (
        (place is None or _is_one_of(messages, place["message"]))
        and (branch is None or _is_one_of(messages, branch["start"]))
        and (flag is None or _is_one_of(flags, flag["flag"]))
        and all(len(one[name]) <= LONGEST[name] for one in (branch, flag) if one for name in LONGEST if name in one)
    )


def _check_replay(line: Line, messages: Sequence[Mapping[str, Any]]) -> None:
    """Of answers, by answers; one that is not made is never waited for here."""
    at, told = line
    good = (
        conforms(told, Replayed)
        and moment(told["created"])
        and (told["stopped"] is None or moment(told["stopped"]))
        and (told["change"] is None or _is_change(told["change"]))
        and 1 <= len(told["answers"]) <= MOST_AGAIN
        and all(_is_made_again(one, messages, waits=told["stopped"] is None) for one in told["answers"])
    )
    if not good:
        raise Unreadable(f"Line {at} of the file, a replay, makes no sense.", ALTERED)
    for place, one in enumerate(told["answers"], start=1):
        if one.get("run") is not None:
            check_run(one["run"], f"answer {place} of the replay in line {at}")


def _is_change(told: Mapping[str, Any]) -> bool:
    """A parameter has a name and a number, anything else words; of evidence those that stand for a way to get it."""
    value, name = told["value"], told.get("name", "")
    if told["what"] == "parameter":
        return not isinstance(value, str) and 0 < len(name) <= 40
    return isinstance(value, str) and not name and len(value) <= 200 and (told["what"] != "evidence" or value in WAYS)


def _is_made_again(one: Mapping[str, Any], messages: Sequence[Mapping[str, Any]], *, waits: bool) -> bool:
    answer, run = one.get("answer"), one.get("run")
    numbers = [one["message"], *([] if answer is None else [answer])]
    if not all(_is_one_of(len(messages), number) and messages[number]["role"] == "model" for number in numbers):
        return False
    made = run if answer is None else messages[answer]["run"]
    over = bool(one.get("refused")) if made is None else made.get("state") != "interrupted"
    return (answer is None or run is None) and len(one.get("refused", "")) <= 300 and (over or not waits)


def _check_order(lines: Sequence[Line]) -> None:
    taken: set[int] = set()
    for at, told in lines:
        if not _is_one_of(len(lines), told.get("at")) or told["at"] in taken:
            raise Unreadable(f"Line {at} of the file has no place in time, or another's.", ALTERED)
        taken.add(told["at"])


def _check_once(pairs: Iterable[tuple[int, int]]) -> None:
    """Lines with what each tells of."""
    taken: set[int] = set()
    for at, number in pairs:
        if number in taken:
            raise Unreadable(f"Line {at} of the file tells of message {number} what another line does.", ALTERED)
        taken.add(number)


def _check_ways(ways: Iterable[tuple[int, int, int]]) -> None:
    """Lines with what came of what: nothing comes of two, nor of itself, by whatever way."""
    told = list(ways)
    _check_once((at, number) for at, number, _ in told)
    above = {number: of for _, number, of in told}
    lines = {number: at for at, number, _ in told}
    done: set[int] = set()
    for number in above:
        way: set[int] = set()
        while number in above and number not in done:
            if number in way:
                raise Unreadable(f"Line {lines[number]} of the file makes a circle: a message of itself.", ALTERED)
            way.add(number)
            number = above[number]
        done |= way


def check_sizes(lines: Lines) -> None:
    """Before anything is looked at."""
    for name, most in (("message", "messages"), ("step", "steps")):
        if len(lines[name]) > MOST_NODES:
            raise Unreadable(f"The file has over {MOST_NODES:,} {most}.", "Export a branch of it.")


def _are_places(lanes: Sequence[Mapping[str, Any]]) -> bool:
    """Each has one lane that stands; those that were asked again stood in one."""
    if not all(isinstance(one, dict) for one in lanes):
        return False
    standing = [one.get("place") for one in lanes if not one.get("replaced")]
    return (
        len(standing) <= MAX_LANES
        and standing == [*range(len(standing))]
        and all(one.get("place") in standing for one in lanes)
    )


def _is_once_each(thoughts: Sequence[Mapping[str, Any]]) -> bool:
    """Nobody has two votes."""
    names = [one["by"] for one in thoughts if one["by"]]
    return len(names) == len(set(names)) and all(moment(one["created"]) for one in thoughts)


def _is_manifest(value: Any) -> bool:
    return conforms(value, Manifest, also=("digest",)) and all(
        conforms(one, Gathered) and _is_id(one["id"]) for one in value.get("collections", ())
    )


def _is_judged(value: Any, length: int) -> bool:
    """Marks stand in the text, one after the other."""
    if not conforms(value, Judged) or not moment(value["created"]) or len(value["model"]) > 80:
        return False
    end = 0
    for mark in value["verdicts"]:
        if not isinstance(mark, list) or [type(one) for one in mark] != [int, int, str] or mark[2] not in VERDICTS:
            return False
        if not end <= mark[0] <= mark[1] <= length:
            return False
        end = mark[1]
    return True


def is_grounding(value: Any) -> bool:
    """Pages look for the documents by their ids."""
    return conforms(value, Grounded) and all(
        _is_id(one) for name in ("collections", "attached", "kept") for one in value.get(name, ())
    )


def _is_id(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value <= MOST_COUNT


def _is_one_of(count: int, number: Any) -> bool:
    return type(number) is int and 0 <= number < count
