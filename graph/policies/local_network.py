"""A small Llama-style transformer in numpy: the shipped tiny policy runs where no deep learning library is installed.

    config.json, model.safetensors     as Hugging Face transformers writes them (LlamaForCausalLM, tied embeddings)

Keys and values of what was read are kept, and of a new text only what differs from the last one is read: a conversation
that grows costs its new tokens alone.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from anomalyagent.errors import PolicyError

__all__ = ["Network"]

Floats = NDArray[np.float32]
_KINDS = {"F32": np.float32, "F16": np.float16}


class _Layer(NamedTuple):
    before_attention: Floats
    query_key_value: Floats
    """(D, 3 D)"""
    output: Floats
    before_mlp: Floats
    gate_up: Floats
    """(D, 2 F)"""
    down: Floats


def _read_safetensors(path: Path) -> dict[str, Floats]:
    """Arrays of a .safetensors file (an 8-byte length, a JSON header, raw little-endian data), as float32.

    Raises:
        PolicyError: the file cannot be read, is cut off, or holds another kind of number.
    """
    try:
        raw = path.read_bytes()
        length = int.from_bytes(raw[:8], "little")
        header: dict[str, Any] = json.loads(raw[8 : 8 + length])
        arrays: dict[str, Floats] = {}
        for name, entry in header.items():
            if name == "__metadata__":
                continue
            start, end = entry["data_offsets"]
            data = raw[8 + length + start : 8 + length + end]
            array = np.frombuffer(data, _KINDS[entry["dtype"]]).reshape(entry["shape"])
            arrays[name] = array.astype(np.float32)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PolicyError(
            f"the weights {path} cannot be used: {type(error).__name__}: {error}. The file is damaged or incomplete; train or "
            "download it anew."
        ) from error
    return arrays


class Network:
    """Next-token logits. Not for several threads at once.

    Args:
        folder: with config.json and model.safetensors.
    Raises:
        PolicyError: files are missing or damaged, or it is another architecture.
    """

    def __init__(self, folder: Path) -> None:
        try:
            config: dict[str, Any] = json.loads((folder / "config.json").read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise PolicyError(
                f"{folder / 'config.json'} cannot be read: {error}. Name the folder of a trained model."
            ) from error
        if config.get("model_type") != "llama" or not config.get("tie_word_embeddings"):
            raise PolicyError(
                f"{folder} holds a {config.get('model_type')!r} model; the numpy engine runs tied 'llama' ones. "
                "Set policy.options.engine to transformers."
            )
        self._heads = int(config["num_attention_heads"])
        self._epsilon = float(config["rms_norm_eps"])
        weights = _read_safetensors(folder / "model.safetensors")
        try:
            self._embedding = weights["model.embed_tokens.weight"]
            self._last_norm = weights["model.norm.weight"]
            self._layers = [_layer(weights, f"model.layers.{i}.") for i in range(int(config["num_hidden_layers"]))]
        except (KeyError, ValueError) as error:
            raise PolicyError(
                f"the weights in {folder} do not fit its config.json ({error}). Train or fetch it anew."
            ) from error
        size = self._embedding.shape[1] // self._heads
        theta = float(config.get("rope_theta") or config.get("rope_parameters", {}).get("rope_theta", 10000.0))
        self._frequencies = theta ** (-np.arange(0, size, 2, dtype=np.float32) / size)
        self._longest = int(config["max_position_embeddings"])
        self._read: list[int] = []
        shape = (len(self._layers), 2, self._heads, self._longest, size)
        self._memory = np.zeros(shape, np.float32)

    @property
    def longest(self) -> int:
        """Most tokens of a conversation."""
        return self._longest

    def logits(self, tokens: Sequence[int]) -> Floats:
        """(V,) of the token that follows `tokens`.

        Raises:
            PolicyError: there are more tokens than the model was made for.
        """
        if len(tokens) > self._longest:
            raise PolicyError(f"the conversation has {len(tokens)} tokens; this model reads at most {self._longest}.")
        shared = 0
        for old, new in zip(self._read, tokens, strict=False):
            if old != new:
                break
            shared += 1
        shared = min(shared, len(tokens) - 1)
        fresh = list(tokens[shared:])
        hidden = self._forward(fresh, shared)
        self._read = list(tokens)
        return np.asarray(_normed(hidden[-1:], self._last_norm, self._epsilon) @ self._embedding.T, np.float32)[0]

    def _forward(self, tokens: list[int], start: int) -> Floats:
        count, end = len(tokens), start + len(tokens)
        angles = np.arange(start, end, dtype=np.float32)[:, None] * self._frequencies[None, :]
        cos, sin = np.concatenate([np.cos(angles)] * 2, axis=1), np.concatenate([np.sin(angles)] * 2, axis=1)
        hidden = self._embedding[tokens]
        hides = np.arange(end)[None, :] > np.arange(start, end)[:, None]
        for memory, layer in zip(self._memory, self._layers, strict=True):
            mixed = _normed(hidden, layer.before_attention, self._epsilon) @ layer.query_key_value
            query, key, value = mixed.reshape(count, 3, self._heads, -1).transpose(1, 2, 0, 3)
            memory[0, :, start:end] = _rotated(key, cos, sin)
            memory[1, :, start:end] = value
            weight = _rotated(query, cos, sin) @ memory[0, :, :end].transpose(0, 2, 1) / np.sqrt(query.shape[-1])
            weight = np.where(hides, -np.inf, weight)
            weight = np.exp(weight - weight.max(axis=-1, keepdims=True))
            seen = (weight / weight.sum(axis=-1, keepdims=True)) @ memory[1, :, :end]
            hidden = hidden + seen.transpose(1, 0, 2).reshape(count, -1) @ layer.output
            gate, up = np.split(_normed(hidden, layer.before_mlp, self._epsilon) @ layer.gate_up, 2, axis=1)
            hidden = hidden + (gate / (1.0 + np.exp(-gate)) * up) @ layer.down
        return np.asarray(hidden, np.float32)


def _layer(weights: Mapping[str, Floats], name: str) -> _Layer:
    attention = [weights[f"{name}self_attn.{part}_proj.weight"].T for part in ("q", "k", "v")]
    return _Layer(
        before_attention=weights[f"{name}input_layernorm.weight"],
        query_key_value=np.ascontiguousarray(np.concatenate(attention, axis=1)),
        output=np.ascontiguousarray(weights[f"{name}self_attn.o_proj.weight"].T),
        before_mlp=weights[f"{name}post_attention_layernorm.weight"],
        gate_up=np.ascontiguousarray(
            np.concatenate([weights[f"{name}mlp.{part}_proj.weight"].T for part in ("gate", "up")], axis=1)
        ),
        down=np.ascontiguousarray(weights[f"{name}mlp.down_proj.weight"].T),
    )


def _normed(hidden: Floats, weight: Floats, epsilon: float) -> Floats:
    scale = np.sqrt(np.mean(hidden * hidden, axis=-1, keepdims=True) + np.float32(epsilon))
    return np.asarray(hidden / scale * weight, np.float32)


def _rotated(part: Floats, cos: Floats, sin: Floats) -> Floats:
    half = part.shape[-1] // 2
    turned = np.concatenate([-part[..., half:], part[..., :half]], axis=-1)
    return np.asarray(part * cos + turned * sin, np.float32)
