"""Pictures of a chat on their way into a model that sees: out of a request's ``data:`` URLs, through its processor."""

from __future__ import annotations

import base64
import binascii
import hashlib
import inspect
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from workspace.pictures import FORMATS, MOST_PIXELS

PLACES = ("image_token_id", "image_token_index")  # where a configuration keeps the token that stands for a picture


def processor_of(folder: Path) -> Any:
    """The processor of a model that sees. Many take videos too, for which they want torchvision; without it they take
    pictures alone."""
    from transformers import PROCESSOR_MAPPING, AutoConfig, AutoImageProcessor, AutoProcessor, AutoTokenizer
    from transformers.utils import is_torchvision_available

    config = AutoConfig.from_pretrained(folder, local_files_only=True)
    kind = PROCESSOR_MAPPING.get(type(config), None)
    if kind is None or is_torchvision_available() or "video_processor" not in kind.get_attributes():
        return AutoProcessor.from_pretrained(folder, local_files_only=True)

    class Still(kind):  # type: ignore[misc, valid-type]
        def check_argument_for_proper_class(self, name: str, given: Any) -> Any:
            return type(None) if given is None else super().check_argument_for_proper_class(name, given)

    autos = {"tokenizer": AutoTokenizer, "image_processor": AutoImageProcessor}
    parts = [
        autos[name].from_pretrained(folder, local_files_only=True) if name in autos else None
        for name in kind.get_attributes()
    ]
    about, _ = kind.get_processor_dict(folder, local_files_only=True)
    return Still.from_args_and_dict(parts, about)


def shown(messages: Sequence[Mapping[str, Any]]) -> list[str]:
    """The addresses of all pictures in a request's messages, in order."""
    parts = [part for message in messages if isinstance(message["content"], list) for part in message["content"]]
    return [str(part["image_url"]["url"]) for part in parts if part.get("type") == "image_url"]


def files_of(urls: Sequence[str]) -> list[bytes]:
    """Raises ValueError."""
    return [_file(url) for url in urls]


def opened(files: Sequence[bytes]) -> list[Image.Image]:
    """Raises ValueError."""
    return [_picture(file) for file in files]


def sight_of(files: Sequence[bytes]) -> int:
    """A number below 0, the same for the same pictures."""
    digest = hashlib.sha256(b"".join(hashlib.sha256(file).digest() for file in files)).digest()
    return -1 - int.from_bytes(digest[:7])


def taken(model: Any, made: Mapping[str, Any]) -> dict[str, Any]:
    """Of what a processor made that which the model takes beside the tokens."""
    names = inspect.signature(model.forward).parameters.keys() & made.keys() - {"input_ids", "attention_mask"}
    return {name: torch.as_tensor(made[name]) for name in names}


def given(model: Any, pictures: Mapping[str, Any], had: int, tokens: int) -> dict[str, Any]:
    """The same as the model is now, on its device and in its precision, for a prompt of ``had`` tokens to which words
    were added: what has a number for each token gets zeros for them."""
    return {
        name: _like(model, torch.nn.functional.pad(part, (0, tokens - had)) if part.shape == (1, had) else part)
        for name, part in pictures.items()
    }


def looked_until(config: Any, tokens: Sequence[int]) -> int:
    """How many tokens there are until the last picture ends; all of them where that can't be told."""
    places = {getattr(config, name, None) for name in PLACES} - {None}
    return max((n + 1 for n, token in enumerate(tokens) if token in places), default=len(tokens))


def _like(model: Any, part: torch.Tensor) -> torch.Tensor:
    return part.to(model.device, model.dtype) if part.is_floating_point() else part.to(model.device)


def _file(url: str) -> bytes:
    head, _, data = url.partition(",")
    if not head.startswith("data:image/") or not head.endswith(";base64"):
        raise ValueError("a picture comes as a data: URL with base64; nothing is fetched")
    try:
        return base64.b64decode(data, validate=True)
    except binascii.Error:
        raise ValueError("a picture's base64 is cut off or wrong") from None


def _picture(file: bytes) -> Image.Image:
    try:
        with Image.open(io.BytesIO(file), formats=list(FORMATS)) as image:
            if image.width * image.height > MOST_PIXELS:
                raise ValueError(f"a picture has more than {MOST_PIXELS:,} pixels")
            return image.convert("RGB")
    except (OSError, Image.DecompressionBombError) as error:
        raise ValueError(f"a picture can't be read: {error}") from None
