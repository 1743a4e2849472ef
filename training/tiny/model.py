"""The tiny policy's network: a small Llama of Hugging Face transformers, written so that the numpy engine runs it too."""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

from anomalyagent.graph.files import write_atomically
from anomalyagent.graph.policies.local import ModelCard
from anomalyagent.training.settings import TinyModelSettings

__all__ = ["make_model", "parameters", "save_policy"]


def make_model(settings: TinyModelSettings, seed: int) -> Any:
    """A network with random weights."""
    config = LlamaConfig(
        vocab_size=settings.vocabulary,
        hidden_size=settings.width,
        intermediate_size=settings.inner,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        num_key_value_heads=settings.heads,
        max_position_embeddings=settings.longest,
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return LlamaForCausalLM(config)


def parameters(model: Any) -> int:
    """Number of weights."""
    return sum(weight.numel() for weight in model.parameters())


def save_policy(model: Any, tokenizer_from: Path, folder: Path, card: ModelCard) -> None:
    """Write a policy's folder: half-precision weights, config, tokenizer, policy.json.

    The last comes last and whole, and that of an earlier policy goes first: with it, whatever kills this, the policy is done.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "policy.json").unlink(missing_ok=True)
    weights = {
        name: value.detach().to(torch.float16).contiguous()
        for name, value in model.state_dict().items()
        if name != "lm_head.weight"  # tied
    }
    save_file(weights, str(folder / "model.safetensors"), metadata={"format": "pt"})
    config = model.config.to_dict() | {"_name_or_path": ""}  # the folder that it was read from is nobody's business
    config["rope_theta"] = float((config.get("rope_parameters") or {}).get("rope_theta", config.get("rope_theta") or 10000.0))
    (folder / "config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n", "utf-8")
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "special_tokens_map.json"):
        if (tokenizer_from / name).is_file() and tokenizer_from != folder:
            shutil.copyfile(tokenizer_from / name, folder / name)
    write_atomically(folder / "policy.json", (card.model_dump_json(indent=1) + "\n").encode("utf-8"))
