"""What the README says of the code is what the code says: its map, settings, providers and commands."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

from django.core.management import get_commands

from workspace.providers import registry

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


def section(title: str) -> str:
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", README, re.MULTILINE | re.DOTALL)
    assert found, f"README.md has no section {title}"
    return found[1]


def first_cells(title: str) -> list[str]:
    """The code names in the first column of a section's tables, in order."""
    return [row[1] for row in re.finditer(r"^\| `([^`]+)`", section(title), re.MULTILINE)]


def mapped() -> dict[str, str]:
    """Path to description, of the file map: headings name folders, entries the files in them."""
    found: dict[str, str] = {}
    folder = ""
    for line in section("Where things are").splitlines():
        if heading := re.match(r"\*\*`([^`]+/)`\*\* (.*)", line):
            folder = heading[1]
            found[folder] = heading[2]
        elif entry := re.match(r"- `([^`]+)`: (.*)", line):
            found[folder + entry[1]] = entry[2]
    return found


def existing() -> set[str]:
    """Every module with something in it, and every folder that holds one; of tests, pages and CSS the folders."""
    names: set[str] = set()
    for top, pattern in [("workspace", "*.py"), ("chat", "*.py"), ("retrieval", "*.py"), ("static/js", "*.js")]:
        for path in (ROOT / top).rglob(pattern):
            if "migrations" in path.parts or not path.read_text().strip():
                continue
            names |= {str(path.relative_to(ROOT)), f"{path.parent.relative_to(ROOT)}/"}
    for path in (ROOT / "tests").rglob("*.*"):
        if path.suffix in (".py", ".js") and path.parent != ROOT / "tests":
            names.add(f"tests/{path.relative_to(ROOT / 'tests').parts[0]}/")
    for path in (ROOT / "templates").rglob("*.html"):
        names.add(f"{path.parent.relative_to(ROOT)}/")
    for path in (ROOT / "static").rglob("*.css"):
        names.add(f"{path.parent.relative_to(ROOT)}/")
    return names | {"tests/", "retrieval/guide/", "requirements/", ".ci/"}


def environment_names() -> dict[str, str]:
    """What workspace/settings.py reads from the environment, with the source of each default."""
    found: dict[str, str] = {}
    for node in ast.walk(ast.parse((ROOT / "workspace" / "settings.py").read_text())):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and ast.unparse(node.func.value) == "env"
        ):
            found[ast.literal_eval(node.args[0])] = ast.unparse(node.args[1]) if len(node.args) > 1 else ""
    return found


def test_the_map_lists_what_exists_and_nothing_else() -> None:
    paths = mapped()
    missing = {name for name in existing() if name not in paths and not name.endswith("management/")}
    assert sorted(missing) == []
    gone = {name for name in paths if not (ROOT / name).exists()}
    assert sorted(gone) == []


def test_every_line_of_the_map_says_something() -> None:
    assert [path for path, words in mapped().items() if len(words.split()) < 3] == []


def test_the_settings_table_names_what_is_read() -> None:
    assert environment_names(), "nothing was found in workspace/settings.py"
    assert sorted(first_cells("Settings")) == sorted(environment_names())


def test_the_providers_table_is_the_registry() -> None:
    rows = re.findall(r"^\| `([^`]+)` \| ([^|]+?) \|", section("Providers"), re.MULTILINE)
    assert rows == registry.kinds()


def test_the_commands_table_is_what_our_apps_offer() -> None:
    ours = {name for name, app in get_commands().items() if app.split(".")[0] in ("workspace", "chat", "retrieval")}
    assert {row.split()[0] for row in first_cells("Commands")} == ours


def test_every_make_target_named_here_exists() -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(first_cells("Make")) | set(re.findall(r"`make ([a-z]+)", README)) <= targets


def test_the_development_tools_are_the_group_of_the_project() -> None:
    group = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]["dev"]
    lines = (ROOT / "requirements" / "dev.in").read_text().splitlines()
    assert [line for line in lines if line and line[0] not in "#-"] == group


def test_the_words_are_explained() -> None:
    words = section("Words")
    for word in (
        "language model", "provider", "route", "decision", "run", "lane", "message", "branch", "checkpoint",
        "evidence", "citation", "collection", "document", "chunk", "frame",
    ):  # fmt: skip
        assert re.search(rf"^\| [^|]*\b{word}\b", words, re.MULTILINE), word
