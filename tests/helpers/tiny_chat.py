"""A tiny random language model behind an OpenAI-compatible server, made on the spot: it drives prompts, judge and policy.

It knows nothing. Of a handful of possible replies (a sensible one, and several that are cut off, out of range, of the wrong
shape, or its own noise) it gives the one that it finds likeliest, so about half of what it says cannot be used.
"""

import json
import re
from importlib import import_module
from typing import Any

import numpy as np
import torch
from helpers.services import Asked, Reply, chat_reply

# Their lazy modules say nothing useful to a type checker.
transformers: Any = import_module("transformers")

__all__ = ["TinyChat", "save_tiny_chat"]

CONTEXT = 160
TEMPLATE = (
    "{% for message in messages %}<|{{ message.role }}|>"
    "{% if message.content is string %}{{ message.content }}{% else %}"
    "{% for block in message.content or [] %}{% if block.type == 'text' %}{{ block.text }}{% endif %}{% endfor %}{% endif %}\n"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def tiny_model(positions: int = 512) -> Any:
    """A byte-level GPT-2 of some 10,000 random weights."""
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=258, n_positions=positions, n_embd=16, n_layer=1, n_head=2, bos_token_id=256, eos_token_id=257
    )
    return transformers.GPT2LMHeadModel(config).eval()


def save_tiny_chat(folder: Any) -> Any:
    """Write such a model with a byte tokenizer and a chat template, for servers that load one, and return its folder."""
    tokenizers: Any = import_module("tokenizers")
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    plain = tokenizers.Tokenizer(tokenizers.models.BPE({each: number for number, each in enumerate(alphabet)}, []))
    plain.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    plain.decoder = tokenizers.decoders.ByteLevel()
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=plain, bos_token="<|begin|>", eos_token="<|end|>")
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    tiny_model(16384).save_pretrained(folder)
    return folder


class TinyChat:
    """Answers POST /chat/completions; `said` counts the kinds of replies."""

    def __init__(self, seed: int = 0) -> None:
        self._model = tiny_model()
        self._rng = np.random.default_rng(seed)
        self.said: dict[str, int] = {}

    def __call__(self, asked: Asked) -> Reply:
        fields = asked.fields
        messages: list[Any] = fields["messages"]
        system = str(messages[0]["content"])
        if "location_score" in system:
            replies = self._verdicts()
        elif "one prompt for an image editor" in system:
            replies = self._prompts()
        else:
            replies = self._turns(messages, native="tools" in fields)
        return self._chosen(messages, replies)

    def _chosen(self, messages: list[Any], replies: list[tuple[str, Reply]]) -> Reply:
        start = list(json.dumps(messages[-1]).encode()[-CONTEXT:])  # bytes are its tokens
        rests = torch.tensor([list(reply.body[:100]) for _, reply in replies])
        given = torch.cat([torch.tensor([start]).expand(len(replies), -1), rests], dim=1)
        with torch.inference_mode():
            logits = self._model(given).logits[:, len(start) - 1 : -1].log_softmax(-1)
            likely = logits.gather(2, rests[..., None]).mean(dim=(1, 2)).numpy()
        chosen = int(np.argmax(likely + 0.3 * self._rng.gumbel(size=len(replies))))  # sampled, at a temperature
        kind, reply = replies[chosen]
        self.said[kind] = self.said.get(kind, 0) + 1
        return reply

    def _noise(self) -> str:
        with torch.inference_mode():
            logits = self._model(torch.tensor([[256, int(self._rng.integers(256))]])).logits[0, -1, :256]
        weights = logits.softmax(-1).numpy().astype(float)
        return bytes(self._rng.choice(256, size=24, p=weights / weights.sum()).tolist()).decode("utf-8", "replace")

    def _verdicts(self) -> list[tuple[str, Reply]]:
        scores = {"location_score": round(float(self._rng.uniform(0, 5)), 1), "quality_score": 3.0}
        good = json.dumps({**scores, "findings": [], "review": "It does not pass for a real one, or does it."})
        return [
            ("verdict", chat_reply(good)),
            ("verdict", chat_reply(f"```json\n{good}\n```")),
            ("cut off", chat_reply(good[:-25], finish="length")),
            ("out of range", chat_reply(good.replace('"quality_score": 3.0', '"quality_score": 11'))),
            ("noise", chat_reply(self._noise())),
        ]

    def _prompts(self) -> list[tuple[str, Reply]]:
        where = ["left", "right", "upper", "lower"][int(self._rng.integers(4))]
        text = f"Add a dark stain of 3 % of the object in its {where} part, with soft edges. Keep everything else unchanged."
        return [
            ("prompt", chat_reply(json.dumps({"prompt": text}))),
            ("prompt", chat_reply(f"\n{json.dumps({'prompt': text})}\n")),
            ("wrong shape", chat_reply(json.dumps({"text": text}))),
            ("noise", chat_reply(self._noise())),
        ]

    def _turns(self, messages: list[Any], native: bool) -> list[tuple[str, Reply]]:
        name, arguments = _next_step(messages)
        text = json.dumps(arguments)
        if native:
            return [
                ("turn", chat_reply("Next.", tool_calls=[(name, text)])),
                ("turn", chat_reply(None, tool_calls=[(name, text)])),
                ("cut off", chat_reply(None, tool_calls=[(name, text[:-6])])),
                ("wrong shape", chat_reply(None, tool_calls=[("mask_gen", json.dumps({"image": self._noise()}))])),
                ("noise", chat_reply(self._noise())),
            ]
        inner = f"<answer>{text}</answer>"
        if name != "answer":
            inner = f"<tool_call>{json.dumps({'name': name, 'arguments': arguments})}</tool_call>"
        return [
            ("turn", chat_reply(f"<thinking>Next.</thinking>\n{inner}")),
            ("turn", chat_reply(f"<think>\nHm.\n</think>\n{inner}")),
            ("cut off", chat_reply(f"<thinking>Next.</thinking>\n{inner[:-15]}", finish="length")),
            ("wrong shape", chat_reply(f"{inner}{inner}")),
            ("noise", chat_reply(self._noise())),
        ]


def _next_step(messages: list[Any]) -> tuple[str, dict[str, Any]]:
    """What a sensible agent would do now, read off the last thing that it was told."""
    words = [_words(message) for message in messages]
    item = re.search(r"item: (.*)", words[1])
    kind = re.search(r"anomaly type: (.*)", words[1])
    assert item is not None
    assert kind is not None
    task = {"item_name": item[1], "anomaly_type": kind[1]}
    told = "\n".join(words[2:])
    images = [int(number) for number in re.findall(r"Image (\d+) is the anomaly image", told)]
    judged = re.findall(r"Image (\d+): location .*?(not passed|passed)", told)
    masks = re.findall(r"Image \d+ is the mask of image (\d+)", told)
    rounds = re.search(r"at most (\d+) rounds", words[1])
    assert rounds is not None
    if masks:
        passed = judged[-1][1] == "passed"
        fields = {"status": "success" if passed else "failure", "final_image_index": int(masks[-1]), "mask_generated": True}
        return "answer", {**fields, "synthesis_logic": "A stain."}
    if len(judged) < len(images):
        return "quality_eval", {"normal_image": 1, "anomaly_image": images[-1], **task}
    if judged and (judged[-1][1] == "passed" or len(images) >= int(rounds[1])):
        return "mask_gen", {"normal_image": 1, "anomaly_image": images[-1]}
    prompts = re.findall(r"^prompt: (.*)$", told, re.MULTILINE)
    if prompts:
        return "image_gen", {"image": 1, "prompt": prompts[-1]}
    return "prompt_gen", {"image": 1, **task}


def _words(message: Any) -> str:
    content = message["content"] or ""
    return content if isinstance(content, str) else "\n".join(block.get("text", "") for block in content)
