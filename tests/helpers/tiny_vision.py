"""A tiny random Qwen3-VL built on the spot, with a byte tokenizer: a few 100 kB, nothing is downloaded."""

from importlib import import_module
from pathlib import Path
from typing import Any

import torch

transformers: Any = import_module("transformers")
tokenizers: Any = import_module("tokenizers")

__all__ = ["make_tiny_qwen3vl"]

_SPECIAL = tuple(
    f"<|{name}|>" for name in ("endoftext", "im_start", "im_end", "vision_start", "vision_end", "image_pad", "video_pad")
)


def make_tiny_qwen3vl(folder: Path) -> Path:
    """Write model and processor into `folder`, as `from_pretrained` reads them."""
    torch.manual_seed(0)
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: number for number, letter in enumerate(alphabet)}
    raw = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=vocabulary, merges=[]))
    raw.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = tokenizers.decoders.ByteLevel()
    raw.add_special_tokens([tokenizers.AddedToken(name, special=True) for name in _SPECIAL])
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=raw,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        extra_special_tokens={"image_token": "<|image_pad|>", "video_token": "<|video_pad|>"},
    )
    number = tokenizer.convert_tokens_to_ids
    config = transformers.Qwen3VLConfig(
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "head_dim": 16,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [4, 2, 2]},
        },
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "patch_size": 16,
            "out_hidden_size": 32,
            "num_position_embeddings": 64,
            "deepstack_visual_indexes": [0],
        },
        image_token_id=number("<|image_pad|>"),
        video_token_id=number("<|video_pad|>"),
        vision_start_token_id=number("<|vision_start|>"),
        vision_end_token_id=number("<|vision_end|>"),
        tie_word_embeddings=False,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    model = transformers.Qwen3VLForConditionalGeneration(config)
    model.save_pretrained(str(folder))
    images = transformers.Qwen2VLImageProcessor(patch_size=16, merge_size=2, size={"shortest_edge": 1024, "longest_edge": 4096})
    videos = transformers.Qwen3VLVideoProcessor(patch_size=16, merge_size=2)
    processor = transformers.Qwen3VLProcessor(image_processor=images, tokenizer=tokenizer, video_processor=videos)
    processor.save_pretrained(str(folder))
    return folder
