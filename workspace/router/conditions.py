"""The language of a route's condition: Python's expressions, cut down to a list, typed, never run by Python.

``default`` is true. Names are facts (``workspace/router/facts.py``); ``true`` and ``false`` may be written either
way. Allowed: ``and or not``, comparisons, ``in``, ``+ - * / %``, lists of texts or numbers, the functions in
``FUNCTIONS``, and look-ups of a model by its name, as in ``cost("fast-flash")``. A text is cut into known tokens under
bounds before anything parses it, the tree is checked against the list, every part is typed, and what is left becomes
closures: a condition costs microseconds and can do nothing else. It knows no configuration, and of models only the
names it is given.
"""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from workspace.router.facts import FACTS, LOOKUPS, lookup_key

MAX_LENGTH = 2_000  # characters
MAX_TOKENS = 400
MAX_DEPTH = 40  # brackets and operators inside one another

Facts = Mapping[str, Any]
Value = Callable[[Facts], Any]


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a condition or a configuration, and where. Both numbers count from 1."""

    message: str
    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}: {self.message}"


class ConditionError(Exception):
    """``offset`` is the character of the condition that is wrong, from 0."""

    def __init__(self, message: str, offset: int = 0, *, source: str = "") -> None:
        super().__init__(message)
        self.offset = offset
        before = source[:offset]
        self.problem = Problem(message, before.count("\n") + 1, offset - before.rfind("\n"))


class _Unknown(Exception):
    """A fact the condition needs has no value."""


@dataclass(frozen=True, slots=True)
class Condition:
    """``names`` are the facts it needs, ``lookups`` the functions and models."""

    source: str
    names: frozenset[str]
    lookups: frozenset[tuple[str, str]]
    _test: Value

    @property
    def constant(self) -> bool:
        return not self.names and not self.lookups

    def holds(self, facts: Facts) -> tuple[bool | None, str]:
        """Whether it is true, and a note. ``None`` when it can't be told: the rule counts as false."""
        try:
            return bool(self._test(facts)), ""
        except _Unknown as unknown:
            return None, f"{unknown} is not known"
        except ZeroDivisionError:
            return None, "division by zero"
        except OverflowError:
            return None, "a number grew too large"


ALWAYS = Condition("default", frozenset(), frozenset(), lambda facts: True)


def parse(source: str, *, models: Collection[str] | None = None) -> Condition:
    """A checked condition. ``models`` are the names that exist; with ``None`` they are not checked. Raises
    ConditionError with the place."""
    if source.strip() == "default":
        return ALWAYS
    try:
        _check_tokens(source)
        # In brackets a condition may run over several lines; line breaks become spaces, so every place has one number.
        line = "(" + re.sub(r"[\r\n\t]", " ", source) + ")"
        reader = _Reader(line.encode(), models)
        kind, test = reader.read(_tree(line))
        if kind != "truth":
            raise ConditionError(f"A condition is true or false; this is {_A[kind]}. Compare it with something.")
    except ConditionError as error:
        raise ConditionError(str(error), min(error.offset, len(source)), source=source) from None
    return Condition(source.strip(), frozenset(reader.names), frozenset(reader.lookups), test)


_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n]+)
    |(?P<number>[0-9]{1,15}(?:\.[0-9]{1,15})?(?![\w.]))
    |(?P<text>"(?:[^"\\\n\x00\ud800-\udfff]|\\["'\\nt])*"|'(?:[^'\\\n\x00\ud800-\udfff]|\\["'\\nt])*')
    |(?P<name>[A-Za-z_][A-Za-z_0-9]*(?!["'\w]))
    |(?P<open>[(\[])|(?P<close>[)\]])
    |(?P<sign>==|!=|<=|>=|<|>|\*(?!\*)|/(?!/)|[-+%,])""",
    re.VERBOSE,
)
_INSTEAD = (
    ("**", "There are no powers. Multiply."),
    ("//", "Divide with one /."),
    ("=", "Write == to compare."),
    ("&", "Write and."),
    ("|", "Write or."),
    ("!", "Write not."),
    (".", "A fact has no parts, and a number begins with a digit."),
    ("“", "Write straight quotes."),
    ("”", "Write straight quotes."),
    ('"', "This text does not end. It may hold \\\" \\' \\\\ \\n and \\t, and no other backslash."),
    ("'", "This text does not end. It may hold \\\" \\' \\\\ \\n and \\t, and no other backslash."),
)


def _check_tokens(source: str) -> None:
    """Refuse what is no token of ours, too much, or too deep, in one pass and before Python's parser sees it."""
    if not source.strip():
        raise ConditionError("The condition is empty. Write “default” for a route that always applies.")
    if len(source) > MAX_LENGTH:
        raise ConditionError(f"The condition is longer than {MAX_LENGTH:,} characters.", MAX_LENGTH)
    place, count, opened = 0, 0, list[int]()
    while place < len(source):
        token = _TOKEN.match(source, place)
        if token is None:
            raise ConditionError(_strange(source, place), place)
        count += token.lastgroup != "space"
        if count > MAX_TOKENS:
            raise ConditionError(
                f"The condition has more than {MAX_TOKENS} parts. Split it over several routes.", place
            )
        if token.lastgroup == "open":
            opened.append(place)
            if len(opened) > MAX_DEPTH:
                raise ConditionError(f"Brackets lie more than {MAX_DEPTH} deep.", place)
        elif token.lastgroup == "close":
            if not opened:
                raise ConditionError("This bracket closes nothing.", place)
            opened.pop()
        place = token.end()
    if opened:
        raise ConditionError("This bracket is not closed.", opened[-1])


def _strange(source: str, place: int) -> str:
    for sign, hint in _INSTEAD:
        if source.startswith(sign, place):
            return hint
    if source[place].isdigit():
        return "A number has at most 15 digits, and 15 after a point."
    if re.match(r"[A-Za-z_]\w*[\"']", source[place:]):
        return "Text has no letters before its quotes."
    return f"“{source[place]}” has no meaning in a condition."


def _tree(line: str) -> ast.expr:
    try:
        return ast.parse(line, mode="eval").body
    except SyntaxError as error:
        raise ConditionError(
            "This is not a condition. Example: len(prompt) < 120", max((error.offset or 2) - 2, 0)
        ) from None
    except (ValueError, RecursionError, MemoryError):
        raise ConditionError("This is too deep to read. Split it over several routes.") from None


def _need(facts: Facts, name: str) -> Any:
    value = facts.get(name)
    if value is None:
        raise _Unknown(name)
    return value


def _length_of_prompt(facts: Facts) -> int:
    """Records keep the length of a question and not its words."""
    length = facts.get("len(prompt)")
    return len(_need(facts, "prompt")) if length is None else int(length)


_A = {
    "text": "a text",
    "number": "a number",
    "truth": "true or false",
    "list": "a list of texts",
    "numbers": "a list of numbers",
}
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: lambda a, b: a == b,
    ast.NotEq: lambda a, b: a != b,
    ast.Lt: lambda a, b: a < b,
    ast.LtE: lambda a, b: a <= b,
    ast.Gt: lambda a, b: a > b,
    ast.GtE: lambda a, b: a >= b,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
}
_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
    ast.Mod: lambda a, b: a % b,
}


@dataclass(frozen=True, slots=True)
class Function:
    """``takes`` holds the kinds each value may have; ``example`` is a condition that uses it."""

    takes: tuple[tuple[str, ...], ...]
    gives: str
    work: Callable[..., Any]
    meaning: str
    example: str


FUNCTIONS: dict[str, Function] = {
    "len": Function(
        (("text", "list", "numbers"),),
        "number",
        len,
        "Characters of a text, or entries of a list.",
        "len(prompt) < 120",
    ),
    "lower": Function(
        (("text",),), "text", str.lower, "The text in small letters.", 'contains(lower(prompt), "invoice")'
    ),
    "contains": Function(
        (("text", "list"), ("text",)),
        "truth",
        lambda a, b: b in a,
        "Whether the first holds the second.",
        'contains(groups, "research")',
    ),
    "startswith": Function(
        (("text",), ("text",)),
        "truth",
        str.startswith,
        "Whether the first begins with the second.",
        'startswith(prompt, "/long")',
    ),
    "endswith": Function(
        (("text",), ("text",)),
        "truth",
        str.endswith,
        "Whether the first ends with the second.",
        'endswith(prompt, "?")',
    ),
}


class _Reader:
    """Checks a tree and turns it into closures. Each part has a kind, one of ``_A``."""

    def __init__(self, line: bytes, models: Collection[str] | None) -> None:
        self.names: set[str] = set()
        self.lookups: set[tuple[str, str]] = set()
        self._line = line
        self._models = models
        self._depth = 0

    def read(self, node: ast.expr) -> tuple[str, Value]:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._wrong(node, f"Parts lie more than {MAX_DEPTH} deep. Split it over several routes.")
        try:
            return self._read(node)
        finally:
            self._depth -= 1

    def _read(self, node: ast.expr) -> tuple[str, Value]:
        match node:
            case ast.Constant(value):
                return self._constant(node, value)
            case ast.Name(id):
                return self._name(node, id)
            case ast.BoolOp(op, values):
                return self._logic(op, values)
            case ast.UnaryOp(ast.Not(), operand):
                test = self._want(operand, "truth")
                return "truth", lambda facts: not test(facts)
            case ast.UnaryOp(ast.USub(), operand):
                number = self._want(operand, "number")
                return "number", lambda facts: -number(facts)
            case ast.BinOp(left, op, right) if type(op) in _ARITHMETIC:
                return self._arithmetic(left, op, right)
            case ast.Compare(left, ops, comparators):
                return self._comparison(left, ops, comparators)
            case ast.Call(ast.Name(id), args, []):
                return self._call(node, id, args)
            case ast.List(elts) | ast.Tuple(elts):
                return self._list(node, elts)
            case _:
                raise self._wrong(node, "A condition can't do this. It compares facts, with and, or, not.")

    def _constant(self, node: ast.expr, value: Any) -> tuple[str, Value]:
        kind = {bool: "truth", int: "number", float: "number", str: "text"}.get(type(value))
        if kind is None:
            raise self._wrong(node, f"“{value}” is no text, number, true or false.")
        return kind, lambda facts: value

    def _name(self, node: ast.expr, name: str) -> tuple[str, Value]:
        if name in ("true", "false"):
            truth = name == "true"
            return "truth", lambda facts: truth
        if name == "default":
            raise self._wrong(node, "“default” stands alone: it is the whole condition.")
        if name in FUNCTIONS or name in LOOKUPS:
            raise self._wrong(node, f"{name} is a function. Write {name}(…).")
        if name not in FACTS:
            raise self._wrong(node, f"There is no fact “{name[:40]}”. {nearest(name, FACTS)}")
        self.names.add(name)
        return FACTS[name].kind, lambda facts: _need(facts, name)

    def _logic(self, op: ast.boolop, values: list[ast.expr]) -> tuple[str, Value]:
        tests = [self._want(value, "truth") for value in values]
        if isinstance(op, ast.And):
            return "truth", lambda facts: all(test(facts) for test in tests)
        return "truth", lambda facts: any(test(facts) for test in tests)

    def _arithmetic(self, left: ast.expr, op: ast.operator, right: ast.expr) -> tuple[str, Value]:
        a, b, work = self._want(left, "number"), self._want(right, "number"), _ARITHMETIC[type(op)]
        return "number", lambda facts: work(a(facts), b(facts))

    def _comparison(self, left: ast.expr, ops: list[ast.cmpop], comparators: list[ast.expr]) -> tuple[str, Value]:
        nodes = [left, *comparators]
        parts = [self.read(node) for node in nodes]
        for place, op in enumerate(ops):
            self._comparable(nodes[place + 1], parts[place][0], op, parts[place + 1][0])
        values, tests = [part[1] for part in parts], [_COMPARE[type(op)] for op in ops]
        if len(tests) == 1:
            (a, b), compare = values, tests[0]
            return "truth", lambda facts: compare(a(facts), b(facts))

        def test(facts: Facts) -> bool:
            seen = [value(facts) for value in values]
            return all(compare(seen[place], seen[place + 1]) for place, compare in enumerate(tests))

        return "truth", test

    def _comparable(self, node: ast.expr, left: str, op: ast.cmpop, right: str) -> None:
        if type(op) not in _COMPARE:
            raise self._wrong(node, "There is no “is”. Write ==.")
        if isinstance(op, ast.In | ast.NotIn):
            fits = (left, right) in (("text", "text"), ("text", "list"), ("number", "numbers"))
            said = f"{_A[left].capitalize()} can't be in {_A[right]}."
        else:
            ordered = not isinstance(op, ast.Eq | ast.NotEq)
            fits = left == right and (not ordered or left in ("number", "text"))
            said = f"{_A[left].capitalize()} can't be compared with {_A[right]} in this way."
        if not fits:
            raise self._wrong(node, said)

    def _call(self, node: ast.expr, name: str, args: list[ast.expr]) -> tuple[str, Value]:
        if name in LOOKUPS:
            return self._lookup(node, name, args)
        function = FUNCTIONS.get(name)
        if function is None:
            raise self._wrong(node, f"There is no function “{name[:40]}”. {nearest(name, [*FUNCTIONS, *LOOKUPS])}")
        if len(args) != len(function.takes):
            many = len(function.takes)
            raise self._wrong(node, f"{name}() takes {many} value{'s' if many > 1 else ''}, not {len(args)}.")
        if name == "len" and isinstance(args[0], ast.Name) and args[0].id == "prompt":
            self.names.add("prompt")
            return "number", _length_of_prompt
        values = [self._want(arg, *kinds) for arg, kinds in zip(args, function.takes, strict=True)]
        work = function.work
        return function.gives, lambda facts: work(*[value(facts) for value in values])

    def _lookup(self, node: ast.expr, name: str, args: list[ast.expr]) -> tuple[str, Value]:
        """The model is named outright, so that all names can be checked and all look-ups be made before deciding."""
        match args:
            case [ast.Constant(str(model))]:
                pass
            case _:
                raise self._wrong(node, f'{name}() takes the name of a model in quotes: {name}("fast-flash").')
        if self._models is not None and model not in self._models:
            raise self._wrong(args[0], f"There is no model “{model[:80]}”. {nearest(model, sorted(self._models))}")
        self.lookups.add((name, model))
        key = lookup_key(name, model)
        return LOOKUPS[name].kind, lambda facts: _need(facts, key)

    def _list(self, node: ast.expr, elements: list[ast.expr]) -> tuple[str, Value]:
        parts = [self.read(element) for element in elements]
        kinds, values = {kind for kind, _ in parts}, [value for _, value in parts]
        if kinds not in ({"text"}, {"number"}):
            raise self._wrong(node, "A list holds texts alone or numbers alone, and at least one.")
        return "list" if kinds == {"text"} else "numbers", lambda facts: [value(facts) for value in values]

    def _want(self, node: ast.expr, *kinds: str) -> Value:
        kind, value = self.read(node)
        if kind not in kinds:
            raise self._wrong(
                node, f"{' or '.join(_A[k] for k in kinds).capitalize()} is needed here; this is {_A[kind]}."
            )
        return value

    def _wrong(self, node: ast.expr, message: str) -> ConditionError:
        """Python counts columns in bytes of UTF-8; the first byte is our own bracket."""
        return ConditionError(message, max(len(self._line[: node.col_offset].decode()) - 1, 0))


def nearest(name: str, known: Iterable[str]) -> str:
    """What the author may have meant, else all there is."""
    names = list(known)
    close = difflib.get_close_matches(name[:60], names, 1)
    return f"Did you mean “{close[0]}”?" if close else f"Known: {', '.join(names) or 'none'}."
