"""What the host says of each model, and what it asks for the page of local models, on models of paper."""

from __future__ import annotations

import asyncio
import shutil
import threading
from pathlib import Path

import pytest

from tests.hosts.paper import PaperLoader, needs, paper_model, tenants_of
from workspace.hosts import keeper
from workspace.hosts.keeper import Keeper
from workspace.hosts.references import NotHere, Reference
from workspace.providers.local_room import takes

GIB = 2**30


async def test_files_that_went_are_seen_to_be_gone(tmp_path: Path) -> None:
    model = paper_model(tmp_path, "a")
    own = Keeper(tenants_of(tmp_path, PaperLoader(), budget=GIB))
    row = await own._row(model, cached=False)
    assert (row["state"], row["here"]) == ("unloaded", True)
    shutil.rmtree(model)
    row = await own._row(model, cached=False)
    assert (row["state"], row["here"]) == ("absent", False)
    assert "does not exist" in row["why"]


async def test_an_estimate_says_what_it_is_of(tmp_path: Path) -> None:
    model = paper_model(tmp_path, "a")
    tenants = tenants_of(tmp_path, PaperLoader(gpus={"cuda:0": 50 * GIB}), budget=GIB)
    own = Keeper(tenants)
    row = await own._row(model, cached=False)
    assert row["estimate"]["precision"] == "float32" and takes(row["estimate"]) == needs(model, "float32")
    assert row["least"] == needs(model, "int8")
    assert (row["estimate"]["context"], row["estimate"]["answers"]) == (min(2048, row["window"]), 1)
    assert tenants.free() == GIB
    await tenants.prepare()
    row = await own._row(model, cached=False)
    assert row["estimate"]["precision"] == "bfloat16"
    assert takes(row["estimate"]) == needs(model, "bfloat16", "cuda:0")
    assert tenants.free() == 50 * GIB, "a GPU is told of before a model was loaded"


async def test_a_folder_that_takes_long_is_read_once_and_added_after_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "READ_WITHIN", 0.05)
    model = Reference(paper_model(tmp_path, "a"))
    tenants = tenants_of(tmp_path, PaperLoader(), budget=GIB)
    exact, read, done = tenants.shelf.exact, 0, threading.Event()

    def slowly(reference: Reference) -> Reference:
        nonlocal read
        read += 1
        done.wait(20)
        return exact(reference)

    monkeypatch.setattr(tenants.shelf, "exact", slowly)
    own = Keeper(tenants)
    for _ in range(2):
        with pytest.raises(NotHere, match="is being read"):
            await own._look(model)
    done.set()
    await asyncio.wait(own._looks.values(), timeout=20)
    await asyncio.sleep(0)
    assert read == 1
    monkeypatch.setattr(keeper, "READ_WITHIN", 20.0)
    assert (await own._look(model))["model"].startswith(f"{model.name}@")
