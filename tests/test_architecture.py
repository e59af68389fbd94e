"""The shape of the code, held: who may import whom, what a web process never loads, which names exist."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from workspace.router import states
from workspace.router.states import RunState

ROOT = Path(__file__).resolve().parent.parent
OURS = ("workspace", "chat", "retrieval")

# Each area and the areas it may import, itself among them by nature. A module belongs to the longest name
# that begins its own; the areas stand from the ground up, so imports go down only.
FLOOR = (
    "workspace.types", "workspace.ids", "workspace.wire", "workspace.blobs", "workspace.sealing", "workspace.tls",
    "workspace.pictures", "workspace.egress", "workspace.spread", "workspace.ownership",
)  # fmt: skip
PLUMBING = ("workspace.hub", "workspace.loops", "workspace.writes")
AUDIT = "workspace.audit"
ACCOUNTS = "workspace.accounts"
ADMIN = "workspace.admin_site"
TAGS = "workspace.templatetags"
MAY_IMPORT: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(FLOOR, FLOOR),
    "workspace.settings": (),
    **dict.fromkeys(PLUMBING, FLOOR),
    AUDIT: FLOOR,
    ACCOUNTS: (*FLOOR, *PLUMBING, AUDIT),
    ADMIN: (*FLOOR, AUDIT, ACCOUNTS),
    "workspace.audit.admin": (*FLOOR, AUDIT, ACCOUNTS, ADMIN),
    "workspace.accounts.admin": (*FLOOR, *PLUMBING, AUDIT, ACCOUNTS, ADMIN),
    TAGS: FLOOR,
    "workspace.hosts": FLOOR,
    "workspace.providers": (*FLOOR, "workspace.writes", AUDIT, "workspace.hosts", ADMIN),
    "retrieval": (*FLOOR, "workspace.writes", ACCOUNTS, "workspace.hosts", ADMIN),
    "workspace.router": (
        *FLOOR, *PLUMBING, AUDIT, ACCOUNTS, "workspace.hosts", ADMIN, TAGS, "workspace.providers", "retrieval",
    ),
    "workspace.measurement": (*FLOOR, *PLUMBING, AUDIT, ACCOUNTS, "retrieval", "workspace.router"),
    "chat": (
        *FLOOR, *PLUMBING, AUDIT, ACCOUNTS, "workspace.hosts", ADMIN, TAGS, "workspace.providers", "retrieval",
        "workspace.router", "workspace.measurement",
    ),
    "workspace.api": (*FLOOR, *PLUMBING, AUDIT, ACCOUNTS, "workspace.providers", "retrieval", "workspace.router"),
    # The doors of the program (server, commands, pages, admin) may know everybody; nobody below knows them.
    "workspace": (*FLOOR, *PLUMBING, ACCOUNTS, *OURS),
}  # fmt: skip

HEAVY = ("torch", "transformers", "chromadb", "safetensors", "tokenizers", "onnxruntime")
SOCKETS = {"channels.generic.websocket", "channels.layers", "channels.consumer", "workspace.hub"}
TOP_LEVEL = {
    ".ci", ".gitattributes", ".gitignore", "LICENSE", "Makefile", "README.md", "chat", "manage.py",
    "pyproject.toml", "requirements", "retrieval", "static", "templates", "tests", "workspace",
}  # fmt: skip
NAMES_THAT_SAY_NOTHING = {"utils", "util", "helpers", "helper", "services", "service", "managers", "common", "misc"}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def sources(*tops: str) -> list[Path]:
    found = [path for top in tops for path in (ROOT / top).rglob("*.py") if "migrations" not in path.parts]
    assert found
    return sorted(found)


def imports_of(path: Path) -> Iterator[str]:
    """Every module that a file imports, also inside functions; ``from a import b`` names both a and a.b."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import hides where it goes"
            yield node.module or ""
            for alias in node.names:
                if is_module(f"{node.module}.{alias.name}"):
                    yield f"{node.module}.{alias.name}"


def is_module(name: str) -> bool:
    path = ROOT / name.replace(".", "/")
    return path.with_suffix(".py").exists() or path.is_dir()


def area_of(module: str) -> str:
    return max((area for area in MAY_IMPORT if f"{module}.".startswith(f"{area}.")), key=len)


def forbidden(path: Path) -> list[str]:
    """The imports of a file that go sideways or up. A package named only on the way to its module is passed over."""
    own = area_of(module_name(path))
    ours = {name for name in imports_of(path) if name.split(".")[0] in OURS}
    leaves = {name for name in ours if not any(other.startswith(f"{name}.") for other in ours)}
    if own == "workspace":
        return []
    return sorted(name for name in leaves if area_of(name) not in (own, *MAY_IMPORT[own]))


def test_imports_go_down_only() -> None:
    wrong = [f"{module_name(path)} imports {name}" for path in sources(*OURS) for name in forbidden(path)]
    assert wrong == []


def test_the_table_itself_has_no_circle() -> None:
    seen: set[str] = set()
    above = MAY_IMPORT.keys() - set(FLOOR)
    left = {area: above & set(MAY_IMPORT[area]) - {area} for area in above}
    while left:
        ground = [area for area, may in left.items() if may <= seen]
        assert ground, f"these import each other: {sorted(left)}"
        for area in ground:
            seen.add(area)
            del left[area]


def test_an_upward_import_would_be_found() -> None:
    """The premise of the tests above: the table refuses what it should."""
    assert area_of("workspace.router.runs") == "workspace.router"
    assert area_of("workspace.server") == "workspace"
    assert "chat" not in MAY_IMPORT["retrieval"]
    assert "chat" not in MAY_IMPORT["workspace.providers"]
    assert "workspace.router" not in MAY_IMPORT["workspace.providers"]


@pytest.mark.parametrize("package", ["retrieval", "workspace/providers"])
def test_what_serves_every_caller_knows_no_request_and_no_socket(package: str) -> None:
    for path in sources(package):
        if path.name.endswith("admin.py") or path.name == "access.py":  # pages of the admin; Http404 for the unseen
            continue
        doors = [name for name in imports_of(path) if name == "django.http" or name in SOCKETS]
        assert doors == [], path


def test_heavy_libraries_are_imported_only_by_the_hosts() -> None:
    for path in sources(*OURS):
        if path.parent == ROOT / "workspace" / "hosts":
            continue
        assert [name for name in imports_of(path) if name.split(".")[0] in HEAVY] == [], path


def test_one_file_imports_chromadb() -> None:
    importing = [path for path in sources(*OURS) if any(name.split(".")[0] == "chromadb" for name in imports_of(path))]
    assert len(importing) == 1, importing


def test_the_web_process_loads_no_torch() -> None:
    """In a process of its own, because a test beside this one may have loaded anything."""
    code = (
        "import sys, workspace.asgi, workspace.server, workspace.urls, django.urls;"
        "django.urls.get_resolver().url_patterns;"
        f"print(sorted(name for name in {HEAVY!r} if name in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={**os.environ, "DJANGO_SETTINGS_MODULE": "workspace.settings"},
        capture_output=True, text=True, timeout=50, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_the_top_level_holds_what_the_design_names() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    names = {line.split("/")[0] for line in tracked.splitlines()}
    assert names <= TOP_LEVEL, sorted(names - TOP_LEVEL)


def test_no_file_is_named_for_nothing() -> None:
    vague = [path for path in sources(*OURS, "tests") if NAMES_THAT_SAY_NOTHING & {*path.parts, path.stem}]
    assert vague == []


def test_every_module_says_what_it_is() -> None:
    """Anything longer than a screen opens with what it owns."""
    silent = [
        module_name(path)
        for path in sources(*OURS)
        if len(path.read_text().splitlines()) > 30 and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert silent == []


LEGAL = {
    ("queued", "running"), ("queued", "stopped"), ("queued", "failed"), ("queued", "interrupted"),
    ("running", "done"), ("running", "stopped"), ("running", "failed"), ("running", "interrupted"),
    ("running", "queued"),
    ("interrupted", "running"),
}  # fmt: skip


@pytest.mark.parametrize("old", RunState)
@pytest.mark.parametrize("new", RunState)
def test_a_run_moves_only_as_the_table_says(old: RunState, new: RunState) -> None:
    assert states.may_move(old, new) is ((old.value, new.value) in LEGAL)
    assert (old.value in states.sources_of(new)) is ((old.value, new.value) in LEGAL)
