"""Models on paper: their files say how large they are and hold no weights, and what loads them only notes it."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workspace.hosts.at_work import AtWork
from workspace.hosts.ledger import Plan
from workspace.hosts.references import Shelf
from workspace.hosts.sizes import Size
from workspace.hosts.tenants import Tenants
from workspace.hosts.weights import Facts, facts

MIB = 2**20


def paper_model(folder: Path, name: str, *, mib: int = 100, window: int = 64, **values: Any) -> str:
    """So many MiB in float32."""
    place = folder / name
    place.mkdir()
    shape = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "max_position_embeddings": window}
    (place / "config.json").write_text(json.dumps({"architectures": ["LlamaForCausalLM"], **shape, **values}))
    header = json.dumps({"weight": {"dtype": "F32", "shape": [mib * MIB // 4], "data_offsets": [0, 0]}}).encode()
    (place / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    return str(place)


def needs(model: str, precision: str = "float32", device: str = "cpu") -> int:
    about = facts(Path(model))
    return about.needs(precision, Size(about.window, 1), device)


@dataclass
class Weights:
    bytes: int
    precision: str
    device: str
    broken: bool = False


@dataclass
class PaperLoader:
    """``fails`` says with which error a load ends; a load waits for ``gate``."""

    gpus: dict[str, int] = field(default_factory=dict)
    fails: Callable[[str, Plan], Exception | None] = lambda name, plan: None
    loads: list[tuple[str, str, str]] = field(default_factory=list)
    batches: list[tuple[Size, int | None]] = field(default_factory=list)
    removed: int = 0
    engine: Any = None

    def __post_init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.begun = asyncio.Event()

    async def start(self) -> dict[str, int]:
        return self.gpus

    async def load(self, folder: Path, facts: Facts, plan: Plan, progress: Callable[[float], None]) -> Weights:
        self.loads.append((folder.name, plan.precision, plan.device))
        self.begun.set()
        await self.gate.wait()
        if error := self.fails(folder.name, plan):
            raise error
        return Weights(facts.weights(plan.precision), plan.precision, plan.device)

    def batch(self, loaded: Weights, *, size: Size, most: int | None, room: Callable[[], int], short: bool) -> object:
        self.batches.append((size, most))
        return object()

    async def remove(self, batch: object) -> None:
        self.removed += 1

    async def trim(self) -> None:
        pass


def tenants_of(
    folder: Path, loader: PaperLoader, *, budget: int, available: int = 2**50, killed: bool = False
) -> Tenants:
    return Tenants(
        Shelf(folder),
        budget=budget,
        loader=loader,  # type: ignore[arg-type]
        available=lambda: available,
        at_work=AtWork(folder / "at_work.json", killed=killed),
    )
