"""One download from the hub, as ``python -m workspace.hosts.downloads ID REVISION``: a JSON line each time.

First the commit, the size and what its config.json says of it, then the progress; an error ends it, in words. Files go
into the Hugging Face cache, and what was fetched before is not fetched again. It ends with the host that began it.
"""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path
from typing import Any

from workspace.hosts.child import die_with_parent
from workspace.hosts.weights import NotAModel, sees, task_of, window_of

FILES = ("*.safetensors", "*.json", "*.jinja", "*.model", "*.txt")
TWICE = "consolidated*"  # the weights once more, in their maker's own layout
EVERY = 0.5  # seconds


def main(name: str, revision: str) -> int:
    die_with_parent()
    try:
        from huggingface_hub import HfApi, constants, hf_hub_download, snapshot_download

        info = HfApi().model_info(name, revision=revision or None, files_metadata=True, timeout=20)
        wanted = [file for file in info.siblings or () if _is_wanted(Path(file.rfilename))]
        if not any(file.rfilename.endswith(".safetensors") for file in wanted):
            tell(error=f"{name} has no safetensors weights, and others are not fetched: they could run code.")
            return 1
        size = sum(file.size or 0 for file in wanted)
        config = json.loads(Path(hf_hub_download(name, "config.json", revision=info.sha)).read_bytes())
        task = task_of(config, any(file.rfilename == "modules.json" for file in wanted))
        tell(commit=info.sha, size=size, task=task, window=window_of(config), images=sees(config))
        place = Path(constants.HF_HUB_CACHE) / f"models--{name.replace('/', '--')}" / "blobs"
        over = threading.Event()
        threading.Thread(target=watch, args=(place, size, over), daemon=True).start()
        snapshot_download(name, revision=info.sha, allow_patterns=list(FILES), ignore_patterns=[TWICE])
        over.set()
        tell(progress=1.0)
    except Exception as error:  # the hub's and the network's are many, and each ends the download
        tell(error=_words(name, error))
        return 1
    return 0


def _is_wanted(file: Path) -> bool:
    return any(file.match(pattern) for pattern in FILES) and not file.match(TWICE)


def watch(place: Path, size: int, over: threading.Event) -> None:
    while not over.wait(EVERY):
        here = sum(path.stat().st_size for path in place.glob("*") if path.is_file())
        tell(progress=min(0.99, here / max(1, size)))


def tell(**what: Any) -> None:
    print(json.dumps(what), flush=True)


def _words(name: str, error: Exception) -> str:
    kind = type(error).__name__
    if isinstance(error, NotAModel):
        return str(error)
    if kind in ("RepositoryNotFoundError", "RevisionNotFoundError"):
        return f"The hub knows no model {name}, or it is private. Check its id."
    if kind == "GatedRepoError":
        return f"{name} is gated: accept its terms on the hub, and set HF_TOKEN."
    if "onnect" in kind or "onnect" in str(error) or "timed out" in str(error):
        return "The hub can't be reached: this machine is offline, or HF_ENDPOINT is wrong. Add a folder instead."
    return f"{kind}: {error}"[:400]


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
