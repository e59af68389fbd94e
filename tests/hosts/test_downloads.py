"""Downloads, from a hub on loopback: commit and progress are told, the model answers, and offline is said plainly."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from tests.hosts.small import small_models
from tests.hosts.test_model_host import answer, call_of
from workspace.hosts import link
from workspace.hosts.supervisor import Supervisor
from workspace.providers import http

pytestmark = pytest.mark.timeout(180)
COMMIT = "0123456789abcdef0123456789abcdef01234567"
NAME = "club/tiny"


@pytest.fixture(scope="module")
def folder() -> Path:
    return Path(small_models("llama")["llama"])


class Gate(asyncio.Event):
    """Weights wait for it; ``broken``, they are not there."""

    broken = False


def hub_of(folder: Path, gate: Gate) -> web.Application:
    """As much of the hub as a download asks."""
    contents = {path.name: path.read_bytes() for path in folder.iterdir()}

    async def info(request: web.Request) -> web.Response:
        if request.match_info["name"] != "tiny":
            return web.json_response(
                {"error": "Repository not found"}, status=404, headers={"X-Error-Code": "RepoNotFound"}
            )
        files = [{"rfilename": name, "size": len(data)} for name, data in contents.items()]
        return web.json_response({"id": NAME, "modelId": NAME, "sha": COMMIT, "siblings": files, "tags": []})

    async def tree(request: web.Request) -> web.Response:
        rows: list[dict[str, Any]] = [
            {"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
            for name, data in contents.items()
        ]
        return web.json_response(rows)

    async def file(request: web.Request) -> web.Response:
        if request.match_info["file"].endswith(".safetensors"):
            await gate.wait()
            if gate.broken:
                return web.Response(status=404)
        data = contents[request.match_info["file"]]
        headers = {"ETag": f'"{hashlib.sha1(data).hexdigest()}"', "X-Repo-Commit": COMMIT}
        return web.Response(body=data, headers=headers)

    app = web.Application()
    app.router.add_get("/api/models/club/{name}", info)
    app.router.add_get("/api/models/club/{name}/revision/{revision}", info)
    app.router.add_get("/api/models/club/{name}/tree/{revision}", tree)
    app.router.add_get("/club/tiny/resolve/{revision}/{file}", file)
    return app


@pytest_asyncio.fixture
async def hub(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Gate]:
    gate = Gate()
    runner = web.AppRunner(hub_of(folder, gate))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    yield gate
    await runner.cleanup()


async def started() -> Supervisor:
    kept = Supervisor((link.MODEL_HOST,))
    await kept.start()
    await kept.serving()
    return kept


async def row_of(model: str) -> dict[str, Any]:
    rows = {row["model"]: row for row in (await link.models([model]))["models"]}
    return dict(rows[model])


async def fetched(model: str) -> dict[str, Any]:
    """Its row once the download is over, however it went."""
    async with asyncio.timeout(60):
        while True:
            row = await row_of(model)
            if row["state"] != "downloading":
                return row
            await asyncio.sleep(0.1)


async def test_a_download_that_failed_is_not_here_and_can_be_begun_again(hub: Gate) -> None:
    hub.broken = True
    hub.set()
    kept = await started()
    try:
        exact = (await link.ask("download", NAME))["model"]
        row = await fetched(exact)
        assert (row["state"], row["here"], bool(row["why"])) == ("failed", False, True)
        hub.broken = False
        assert (await link.ask("download", exact))["model"] == exact
        row = await fetched(exact)
        assert (row["state"], row["here"], row["why"]) == ("unloaded", True, "")
    finally:
        await kept.stop()


async def test_a_model_is_fetched_at_its_commit_answers_and_is_deleted(tmp_path: Path, hub: Gate) -> None:
    kept = await started()
    try:
        with pytest.raises(link.Refused, match="not on this machine"):
            await link.ask("look", NAME)
        exact = (await link.ask("download", NAME))["model"]
        assert exact == f"{NAME}@{COMMIT}"
        await link.ask("stop", exact)
        assert (await row_of(exact))["state"] == "absent"
        assert (await link.ask("download", NAME))["model"] == exact
        assert (await link.ask("download", NAME))["model"] == exact, "the one that runs goes on"
        seen = [(await row_of(exact))["progress"]]
        hub.set()
        while (row := await row_of(exact))["state"] == "downloading":
            seen.append(row["progress"])
            await asyncio.sleep(0)
        assert row["state"] == "unloaded", row["why"]
        assert seen == sorted(seen)
        assert row["cached"] and row["disk"] > 500_000

        found = await answer(call_of(exact, "Hello", max_tokens=6, temperature=0))
        assert found.ended in ("length", "stop")
        assert (await row_of(exact))["state"] == "ready"

        await link.ask("delete", exact)
        assert (await row_of(exact))["state"] == "absent"
        assert not list((tmp_path / "hf").rglob("*.safetensors"))

        with pytest.raises(link.Refused, match="knows no model club/nobody"):
            await link.ask("download", "club/nobody")
    finally:
        await http.close()
        await kept.stop()


async def test_offline_is_said_plainly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    kept = await started()
    try:
        with pytest.raises(link.Refused, match=r"can't be reached: this machine is offline"):
            await link.ask("download", NAME)
        assert (await link.models())["offline"] is False
    finally:
        await kept.stop()

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    kept = await started()
    try:
        with pytest.raises(link.Refused, match="HF_HUB_OFFLINE is set"):
            await link.ask("download", NAME)
        assert (await link.models())["offline"] is True
    finally:
        await http.close()
        await kept.stop()
