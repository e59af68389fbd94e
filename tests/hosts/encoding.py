"""Models made for a test that read texts: two for embeddings, a reranker, one for entailment; random weights.

Run as ``python -m tests.hosts.encoding FOLDER`` it also prints what plain transformers makes of ``TEXTS`` and of
``PAIRS``, one at a time.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

TEXTS = ["a", "The cat sleeps on the sofa, and the dog beside it.", "Rates rose."]
PAIRS = [("who?", "me"), ("What grows in an orchard?", "Apples and pears grow there."), ("why", "")]
QUERY = "query: "
LABELS = {0: "Contradiction", 1: "entailment", 2: "neutral"}


def reading_models(place: Path) -> tuple[dict[str, str], dict[str, Any]]:
    """Their folders, and what they must say."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.hosts.encoding", str(place)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
    expected: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {name: str(place / name) for name in expected}, expected


def make(place: Path) -> dict[str, Any]:
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertModel, LlamaForCausalLM

    from tests.hosts.small import SIZES, made_tokenizer

    torch.manual_seed(7)
    tokenizer = made_tokenizer(512)
    shape = {"vocab_size": 512, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
             "intermediate_size": 64, "max_position_embeddings": 128, "initializer_range": 0.3}  # fmt: skip
    bert = BertModel(BertConfig(**shape)).eval()
    labels = {"id2label": LABELS, "label2id": {name: n for n, name in LABELS.items()}}
    pairs = {
        "reranker": BertForSequenceClassification(BertConfig(**shape, num_labels=1)).eval(),
        "entailment": BertForSequenceClassification(BertConfig(**shape, **labels)).eval(),
    }
    causal = LlamaForCausalLM(_llama(SIZES["tiny"])).eval()
    for name, model in {"mean": bert, "last": causal, **pairs}.items():
        model.save_pretrained(place / name)
        tokenizer.save_pretrained(place / name)
    _sentence_transformer(place / "last")
    with torch.inference_mode():
        return {
            "mean": [_unit(bert(**_of(tokenizer, text)).last_hidden_state[0].mean(0)) for text in TEXTS],
            "last": [_unit(causal.model(**_of(tokenizer, QUERY + text)).last_hidden_state[0, -1]) for text in TEXTS],
            "reranker": [float(pairs["reranker"](**_of(tokenizer, *pair)).logits.sigmoid()) for pair in PAIRS],
            "entailment": [
                pairs["entailment"](**_of(tokenizer, *pair)).logits[0].softmax(-1).tolist() for pair in PAIRS
            ],
        }


def _llama(shape: dict[str, Any]) -> Any:
    from transformers import LlamaConfig

    return LlamaConfig(**shape, max_position_embeddings=128, eos_token_id=0, bos_token_id=0, pad_token_id=0)


def _sentence_transformer(folder: Path) -> None:
    """The files by which sentence-transformers makes one for embeddings of it: the last token's state, and a prompt."""
    modules = (("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", "2_Normalize"))
    steps = [{"path": path, "type": f"sentence_transformers.models.{kind}"} for kind, path in modules]
    (folder / "modules.json").write_text(json.dumps(steps))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_lasttoken": True}))
    (folder / "config_sentence_transformers.json").write_text(json.dumps({"prompts": {"query": QUERY}}))


def _of(tokenizer: Any, *texts: str) -> Any:
    made = tokenizer(*texts, return_tensors="pt")
    return {
        name: made[name]
        for name in ("input_ids", "attention_mask", "token_type_ids")
        if name in made and (name != "token_type_ids" or len(texts) > 1)
    }


def _unit(vector: Any) -> list[float]:
    return list((vector / vector.norm()).tolist())


if __name__ == "__main__":
    print(json.dumps(make(Path(sys.argv[1]))))
