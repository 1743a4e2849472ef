"""SFT of a model that sees, with TRL's trainer: cross-entropy on our own tokens only, images where tools gave them.

Rows are those of `traces export --format sft`. A row becomes one sequence with our chat template; the processor puts as many
image tokens as an image has; labels are the tokens between `<|im_start|>assistant` and `<|im_end|>`, that included. (TRL's own
collator for such models neither counts images in tool results nor masks turns.)
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from transformers.trainer import TRAINER_STATE_NAME
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from anomalyagent.errors import ConfigError
from anomalyagent.graph.wire import TURN_START, tools_digest
from anomalyagent.training.rows.table import read_table
from anomalyagent.training.vision.model import Seeing, load_seeing
from anomalyagent.training.vision.save import save_policy
from anomalyagent.training.vision.settings import VisionSettings

__all__ = ["Collator", "newest_whole", "train_vision_sft", "trainer_config"]

_IGNORED = -100
_EXPONENT = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")


class Collator:
    """Rows -> one padded batch of token ids, image patches and labels."""

    def __init__(self, processor: Any) -> None:
        self._processor = processor
        tokenizer = processor.tokenizer
        self._opening: list[int] = tokenizer.encode(TURN_START, add_special_tokens=False)
        self._end: int = tokenizer.convert_tokens_to_ids("<|im_end|>")

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """One batch."""
        texts = [self._processor.apply_chat_template(row["messages"], tokenize=False) for row in rows]
        images = [image.convert("RGB") for row in rows for image in row["images"]]
        batch: dict[str, torch.Tensor] = dict(
            self._processor(text=texts, images=images or None, padding=True, padding_side="right", return_tensors="pt")
        )
        own = torch.stack([self._own(ids) for ids in batch["input_ids"]])
        batch["labels"] = torch.where(own & batch["attention_mask"].bool(), batch["input_ids"], _IGNORED)
        return batch

    def length(self, row: Any) -> int:
        """Tokens of a row, images included."""
        return int(self([row])["input_ids"].shape[1])

    def _own(self, ids: torch.Tensor) -> torch.Tensor:
        """Bool: tokens of assistant turns, after their opening, with their end."""
        tokens: list[int] = ids.tolist()
        own = torch.zeros(len(tokens), dtype=torch.bool)
        inside, size = False, len(self._opening)
        for place, token in enumerate(tokens):
            if inside:
                own[place] = True
                inside = token != self._end
            elif tokens[place - size + 1 : place + 1] == self._opening:
                inside = True
        return own


def train_vision_sft(settings: VisionSettings, out: Path, seeing: Seeing | None = None) -> Any:
    """Train on exported rows; resumes from the newest checkpoint in `out`.

    Args:
        seeing: an already loaded model; unset: the settings' one.
    Returns:
        TRL's trainer.
    Raises:
        ConfigError: no rows are named, they hold no images, or an argument of the trainer is unknown.
        TraceError: the rows were made for other tools or another trace version.
        BackendUnavailableError: the model is missing.
    """
    if settings.rows is None:
        raise ConfigError("SFT learns from rows: name the folder of `traces export --format sft` under `rows`.")
    model, processor = seeing or load_seeing(settings.model)
    collate = Collator(processor)
    table = read_table(settings.rows / "train.parquet")
    if "images" not in table.column_names:
        raise ConfigError(f"the rows of {settings.rows} hold no images, and this model sees. Export without --no-images.")
    table = table.select_columns(["messages", "images"])
    lengths = [collate.length(row) for row in cast("Any", table)]
    short = [index for index, length in enumerate(lengths) if length <= settings.model.longest]
    if not short:
        raise ConfigError(f"every row is longer than model.longest ({settings.model.longest} tokens). Raise it.")
    config = trainer_config(
        SFTConfig,
        settings,
        out,
        remove_unused_columns=False,
        dataset_kwargs={"skip_prepare_dataset": True},
        max_length=None,
    )
    trainer = SFTTrainer(
        model=model,
        args=config,
        train_dataset=table.select(short),
        processing_class=processor,
        data_collator=collate,
    )
    trainer.train(resume_from_checkpoint=newest_whole(out))
    save_policy(trainer, processor, out / "model", "sft", {"rows": len(short), "tools": tools_digest()})
    return trainer


def newest_whole(out: Path) -> str | None:
    """The newest checkpoint of a training that was written whole: the trainer's state is the last file of one."""
    found = [path for path in (out / "checkpoints").glob("checkpoint-*") if (path / TRAINER_STATE_NAME).is_file()]
    return str(max(found, key=lambda path: int(path.name.rpartition("-")[2]))) if found else None


def trainer_config(kind: Any, settings: VisionSettings, out: Path, **fixed: Any) -> Any:
    """TRL's configuration from the settings' own names for it.

    Raises:
        ConfigError: an argument is unknown or cannot be used.
    """
    trainer = {name: _as_number(value) for name, value in settings.trainer.items()}
    given = {"report_to": [], "logging_steps": 1, "seed": settings.seed, **trainer}
    try:
        return kind(output_dir=str(out / "checkpoints"), **{**given, **fixed})
    except (TypeError, ValueError) as error:
        raise ConfigError(f"the arguments under `trainer` do not fit {kind.__name__}: {error}.") from error


def _as_number(value: Any) -> Any:
    """YAML 1.1 reads 5e-6, without a point, as a text; TRL then fails when the optimizer is made."""
    return float(value) if isinstance(value, str) and _EXPONENT.fullmatch(value) else value
