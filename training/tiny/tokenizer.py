"""The tiny policy's tokenizer: recurring phrases whole, digits one by one, everything else by byte-level BPE.

Nothing merges over a quote, a colon or a line break, so a name is cut into the same tokens wherever it stands, and copying
it is copying tokens.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from anomalyagent.training.tiny.phrases import PHRASES

__all__ = ["END", "PAD", "train_tokenizer", "write_tokenizer"]

PAD, START, END = "<|pad|>", "<|im_start|>", "<|im_end|>"
_CUTS = r'\d|\n|": "|", "|: |"|\. |[^\d\n":.]+|\.'


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> Tokenizer:
    """Train it on conversations.

    Args:
        vocabulary: tokens in all, phrases included.
    """
    tokenizer: Any = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(_CUTS), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    cut = re.compile("|".join(re.escape(phrase) for phrase in sorted(PHRASES, key=len, reverse=True)))
    trainer: Any = trainers.BpeTrainer(
        vocab_size=vocabulary - len(PHRASES),
        special_tokens=[PAD, START, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator((part for text in texts for part in cut.split(text)), trainer)
    tokenizer.add_tokens([AddedToken(phrase, special=False, normalized=False) for phrase in PHRASES])
    return tokenizer


def write_tokenizer(tokenizer: Tokenizer, folder: Path, chat_template: str) -> None:
    """Write it so that transformers and the numpy engine read the same file."""
    from transformers import PreTrainedTokenizerFast

    wrapped: Any = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=PAD, eos_token=END, clean_up_tokenization_spaces=False
    )
    wrapped.chat_template = chat_template
    wrapped.save_pretrained(str(folder))
