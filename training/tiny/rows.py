"""Conversations as token ids with the share that is our own: the only thing that training learns from.

Our own is the plan of each turn (`graph.policies.local_plans`); the call follows from it and is written for us.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from anomalyagent.graph.wire import TURN_START, Message, render

__all__ = ["Row", "encode"]

_CLOSE = "<|im_end|>"
_PLANNED = "</thinking>"


class Row(NamedTuple):
    """Token ids of a conversation, and for each whether it belongs to a plan."""

    ids: list[int]
    own: list[bool]


def encode(tokenizer: Any, messages: Sequence[Message]) -> Row:
    """The tokens of `render(messages)`; our own are those of the plans.

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
            add(TURN_START, False)
            plan, mark, call = message.text.partition(_PLANNED)
            add(plan + mark, True)
            add(call + _CLOSE + "\n", False)
        else:
            add(render([message]), False)
    return Row(ids, own)
