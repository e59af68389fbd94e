"""Models made for a test that see pictures: shaped like LLaVA and like Qwen2-VL, random weights, and their processors.

Run as ``python -m tests.hosts.seeing FOLDER KIND...``: it imports torch, and a test's own process does not.
"""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

SIZE = 16  # pixels of a side, in patches of 4
TEMPLATE = (
    "{% for m in messages %}<{{ m.role }}>{% for part in m.content %}"
    "{% if part.type == 'image' %}PICTURE{% else %}{{ part.text }}{% endif %}"
    "{% endfor %}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
)
TEXT = {"hidden_size": 64, "num_hidden_layers": 2, "intermediate_size": 128, "num_attention_heads": 4,
        "num_key_value_heads": 2, "vocab_size": 512, "max_position_embeddings": 1024,
        "eos_token_id": 0, "bos_token_id": 0, "pad_token_id": 0}  # fmt: skip


def seeing_models(place: Path, *kinds: str) -> dict[str, str]:
    """Make one of each kind, in a process of its own; their folders."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.hosts.seeing", str(place), *kinds]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
    return {kind: str(place / kind) for kind in kinds}


def picture(colour: str, *, width: int = 24, height: int = 16) -> bytes:
    """A PNG of one colour with a dark corner."""
    from PIL import Image

    image = Image.new("RGB", (width, height), colour)
    image.paste((10, 10, 10), (0, 0, width // 2, height // 2))
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def make(folder: str, kind: str) -> None:
    import torch

    torch.manual_seed(7)
    model, processor = {"llava": _llava, "qwen2vl": _qwen2vl}[kind]()
    model.save_pretrained(folder)
    for part in processor:
        part.save_pretrained(folder)
    sign = {"llava": "<image>", "qwen2vl": "<|vision_start|><|image_pad|><|vision_end|>"}[kind]
    (Path(folder) / "chat_template.jinja").write_text(TEMPLATE.replace("PICTURE", sign))


def _llava() -> tuple[Any, tuple[Any, ...]]:
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration, LlavaProcessor
    from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil

    vision = CLIPVisionConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, image_size=SIZE, patch_size=4
    )
    tokenizer = _tokenizer("<image>")
    config = LlavaConfig(
        vision_config=vision,
        text_config=LlamaConfig(**TEXT),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-1,
    )
    shape = {"height": SIZE, "width": SIZE}
    images = LlavaImageProcessorPil(size=shape, crop_size=shape, do_pad=False)
    processor = LlavaProcessor(
        images, tokenizer, patch_size=4, vision_feature_select_strategy="default", num_additional_image_tokens=1
    )
    return LlavaForConditionalGeneration(config), (processor,)


def _qwen2vl() -> tuple[Any, tuple[Any, ...]]:
    from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    tokenizer = _tokenizer("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
    start, end, image, video = (
        tokenizer.convert_tokens_to_ids(name)
        for name in ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
    )
    config = Qwen2VLConfig(
        text_config={**TEXT, "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0,
                                                 "mrope_section": [2, 3, 3]}},
        vision_config={"depth": 2, "embed_dim": 32, "hidden_size": 64, "num_heads": 2, "mlp_ratio": 2,
                       "patch_size": 4, "spatial_merge_size": 2, "temporal_patch_size": 2},
        vision_start_token_id=start, vision_end_token_id=end, image_token_id=image, video_token_id=video,
    )  # fmt: skip
    images = Qwen2VLImageProcessorPil(patch_size=4, merge_size=2, min_pixels=256, max_pixels=4096)
    return Qwen2VLForConditionalGeneration(config), (images, tokenizer)


def _tokenizer(*signs: str) -> Any:
    """The last tokens of the vocabulary stand for pictures."""
    from tests.hosts.small import made_tokenizer

    tokenizer = made_tokenizer(TEXT["vocab_size"] - len(signs))
    tokenizer.add_special_tokens({"additional_special_tokens": list(signs)})
    return tokenizer


if __name__ == "__main__":
    for each in sys.argv[2:]:
        make(f"{sys.argv[1]}/{each}", each)
