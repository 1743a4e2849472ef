"""Conversations as token ids with the share that is our own: the only thing that training learns from."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from anomalyagent.graph.wire import Message, render

__all__ = ["Row", "encode"]

_OPEN = "<|im_start|>assistant\n"
_CLOSE = "<|im_end|>"


class Row(NamedTuple):
    """Token ids of a conversation, and for each whether we wrote it."""

    ids: list[int]
    own: list[bool]


def encode(tokenizer: Any, messages: Sequence[Message]) -> Row:
    """The tokens of `render(messages)`; our own are those of our turns, with the mark that ends each.

    Args:
        tokenizer: of the `tokenizers` library.
    """
    ids: list[int] = []
    own: list[bool] = []

    def add(text: str, ours: bool) -> None:
        tokens = tokenizer.encode(text).ids
        ids.extend(tokens)
        own.extend([ours] * len(tokens))

    for message in messages:
        if message.role == "assistant":
            add(_OPEN, False)
            add(message.text + _CLOSE, True)
            add("\n", False)
        else:
            add(render([message]), False)
    return Row(ids, own)
