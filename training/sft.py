"""Supervised fine-tuning with TRL: cross-entropy on our own tokens only, resumable, with curves.

    <out>/checkpoints/checkpoint-100/    TRL's, sealed with a manifest (checkpoint.py)
          log.jsonl, tensorboard/, curves.png

Rows are token ids and labels made by our own code (labels -100 = not ours), so nothing is tokenized twice and no template can
move the mask. Source: the paper, SFT section; TRL 1.16.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import TrainerCallback
from transformers.trainer_callback import PrinterCallback
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from anomalyagent.training.checkpoint import newest, seal, verify
from anomalyagent.training.log import TrainingLog, plot_curves, read_log

__all__ = ["SFTRun", "collate", "train_sft"]

TELL_EVERY = 50


@dataclass(frozen=True)
class SFTRun:
    """How to train.

    Attributes:
        out: folder of checkpoints and curves.
        identity: what the training is about; a checkpoint of another one is refused.
        tell: gets a line every `TELL_EVERY` steps.
        stop_after: stop at this step, as a kill would (for tests of resuming).
    """

    out: Path
    identity: Mapping[str, Any]
    tell: Callable[[str], None]
    epochs: int
    batch: int
    learning_rate: float
    warmup: float
    save_every: int
    seed: int
    pad: int = 0
    stop_after: int | None = None


def collate(rows: Sequence[Mapping[str, Any]], pad: int) -> dict[str, torch.Tensor]:
    """Rows padded on the right to the longest of them."""
    longest = max(len(row["input_ids"]) for row in rows)

    def stacked(name: str, fill: int) -> torch.Tensor:
        return torch.tensor([list(row[name]) + [fill] * (longest - len(row[name])) for row in rows])

    lengths = torch.tensor([len(row["input_ids"]) for row in rows])
    return {
        "input_ids": stacked("input_ids", pad),
        "labels": stacked("labels", -100),
        "attention_mask": (torch.arange(longest)[None, :] < lengths[:, None]).long(),
    }


def train_sft(model: Any, tokenizer: Any, rows: Sequence[tuple[list[int], list[bool]]], run: SFTRun) -> Any:
    """Train `model` on rows of token ids and ownership, from the newest checkpoint if there is one.

    Args:
        tokenizer: of transformers; TRL stores it with its checkpoints.
    Returns:
        The trained model.
    Raises:
        RunError: a checkpoint is damaged or belongs to another training.
    """
    data = Dataset.from_list(
        [
            {"input_ids": ids, "labels": [token if mine else -100 for token, mine in zip(ids, own, strict=True)]}
            for ids, own in rows
        ]
    )
    checkpoints = run.out / "checkpoints"
    start = newest(checkpoints)
    first_step = 0
    if start is not None:
        verify(start, run.identity)
        first_step = int(start.name.rpartition("-")[2])
    log = TrainingLog(run.out, first_step)
    total = run.epochs * math.ceil(len(rows) / run.batch)
    config = SFTConfig(
        output_dir=str(checkpoints),
        num_train_epochs=run.epochs,
        per_device_train_batch_size=run.batch,
        learning_rate=run.learning_rate,
        warmup_steps=math.ceil(run.warmup * total),
        lr_scheduler_type="cosine",
        weight_decay=0.01,
        max_grad_norm=1.0,
        logging_steps=1,
        save_steps=run.save_every,
        save_total_limit=2,
        seed=run.seed,
        data_seed=run.seed,
        use_cpu=not torch.cuda.is_available(),
        bf16=torch.cuda.is_available(),
        activation_checkpointing=False,
        report_to=[],
        disable_tqdm=True,
        dataset_kwargs={"skip_prepare_dataset": True},
        remove_unused_columns=False,
    )
    trainer = _OwnTokens(
        model=model,
        args=config,
        train_dataset=data,
        processing_class=tokenizer,
        data_collator=lambda batch: collate(batch, run.pad),
        callbacks=[_Curves(log, run)],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train(resume_from_checkpoint=str(start) if start is not None else None)
    log.close()
    plot_curves(read_log(log.path), ["loss", "mean_token_accuracy"], run.out / "curves.png", "SFT")
    return trainer.model


class _OwnTokens(SFTTrainer):
    """TRL's trainer, with logits for the tokens that are learned from alone: most of a conversation is not ours."""

    def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None) -> Any:
        """Mean cross-entropy of our tokens."""
        if not hasattr(model, "lm_head"):  # wrapped for several devices, or a model that sees: the library's own way
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        labels = inputs["labels"][:, 1:]
        hidden = model.model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).last_hidden_state
        ours = labels != -100
        logits, wanted = model.lm_head(hidden[:, :-1][ours]).float(), labels[ours]
        count = wanted.numel() if num_items_in_batch is None else num_items_in_batch
        loss = torch.nn.functional.cross_entropy(logits, wanted, reduction="sum") / count
        hits = (logits.argmax(dim=-1) == wanted).float().mean().item()
        self._metrics["train" if model.training else "eval"]["mean_token_accuracy"].append(hits)
        return (loss, {"logits": logits}) if return_outputs else loss


class _Curves(TrainerCallback):
    """Writes the log, seals checkpoints, and stops where it was told to."""

    def __init__(self, log: TrainingLog, run: SFTRun) -> None:
        self._log, self._run = log, run

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:  # noqa: ARG002
        names = ("loss", "grad_norm", "learning_rate", "mean_token_accuracy", "entropy")
        values = {name: float(logs[name]) for name in names if name in (logs or {})}
        if "loss" in values:
            step = int(state.global_step)
            self._log.add(step - 1, values)
            if step % TELL_EVERY == 0 or step == state.max_steps:
                self._run.tell(f"sft {step}/{state.max_steps}: loss {values['loss']:.3f}")

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
        folder = self._run.out / "checkpoints" / f"checkpoint-{state.global_step}"
        seal(folder, self._run.identity)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
        if self._run.stop_after is not None and state.global_step >= self._run.stop_after:
            control.should_training_stop = True
