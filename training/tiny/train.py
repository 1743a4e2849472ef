"""The two trainings of the tiny policy.

<out>/practice.jsonl            the teacher's trajectories                       (collect.py)
      tokenizer/                                                                 (tokenizer.py)
      sft/model, grpo/model      policies, ready for `--policy local --model DIR`
      sft/, grpo/                checkpoints, log.jsonl, tensorboard/, curves.png
"""

import asyncio
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.utils.logging import disable_progress_bar

from anomalyagent.errors import ConfigError, RunError
from anomalyagent.graph.files import alone_in, write_atomically
from anomalyagent.graph.policies.local import ModelCard, read_model_card
from anomalyagent.graph.trace import SCHEMA_VERSION
from anomalyagent.graph.wire import render, tools_digest
from anomalyagent.graph.worker import versions
from anomalyagent.training.conversation import CHAT_TEMPLATE
from anomalyagent.training.settings import TrainSettings
from anomalyagent.training.sft import SFTRun, train_sft
from anomalyagent.training.tiny.collect import collect, read_rows
from anomalyagent.training.tiny.model import make_model, parameters, save_policy
from anomalyagent.training.tiny.rows import encode
from anomalyagent.training.tiny.tokenizer import train_tokenizer, write_tokenizer

__all__ = ["load_policy", "make_card", "run_sft", "sft_identity"]

Tell = Callable[[str], None]
_TOKENIZER_TEXTS = 1500


def run_sft(settings: TrainSettings, out: Path, tell: Tell, stop_after: int | None = None) -> Path:
    """Collect, train the tokenizer, train the policy; what is done already is not done again.

    Returns:
        Folder of the policy.
    Raises:
        RunError, TraceError: `out` holds another training, a damaged checkpoint, or another process trains there.
        ConfigError: every conversation is too long.
    """
    with alone_in(out):
        return _run_sft(settings, out, tell, stop_after)


def _run_sft(settings: TrainSettings, out: Path, tell: Tell, stop_after: int | None) -> Path:
    disable_progress_bar()  # loading and writing two megabytes
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)  # two threads on a small shared machine are slower than one
    target = out / "sft" / "model"
    identity = sft_identity(settings)
    if read_model_card(target) is not None and _belongs(target, identity):
        tell(f"sft is done already: {target}")
        return target
    practice = asyncio.run(collect(settings, out, tell))
    conversations = read_rows(practice, settings)
    folder = out / "tokenizer"
    mark = folder / "identity.json"  # written last: what was cut off, or belongs to other settings, is made anew
    if not mark.is_file() or json.loads(mark.read_bytes()) != identity:
        texts = [render(messages) for messages in conversations[:_TOKENIZER_TEXTS]]
        write_tokenizer(train_tokenizer(texts, settings.model.vocabulary), folder, CHAT_TEMPLATE)
        write_atomically(mark, (json.dumps(identity) + "\n").encode())
    tokenizer: Any = Tokenizer.from_file(str(folder / "tokenizer.json"))
    rows = [encode(tokenizer, messages) for messages in conversations]
    longest = min(settings.sft.longest, settings.model.longest)
    fitting = [row for row in rows if len(row.ids) <= longest]
    if not fitting:
        shortest = min((len(row.ids) for row in rows), default=0)
        raise ConfigError(
            f"none of the {len(rows)} conversations fits into {longest} tokens, the shortest has {shortest}. Raise sft.longest."
        )
    mean = sum(len(row.ids) for row in fitting) / len(fitting)
    own = sum(sum(row.own) for row in fitting) / len(fitting)
    model = make_model(settings.model, settings.seed)
    tell(f"sft: {len(fitting)} conversations, {mean:.0f} tokens each, {own:.0f} of them decided; {parameters(model):,} weights")
    wrapped = PreTrainedTokenizerFast.from_pretrained(str(folder))
    run = SFTRun(
        out=out / "sft",
        identity=identity,
        tell=tell,
        epochs=settings.sft.epochs,
        batch=settings.sft.batch,
        learning_rate=settings.sft.learning_rate,
        warmup=settings.sft.warmup,
        save_every=settings.sft.save_every,
        seed=settings.seed,
        stop_after=stop_after,
    )
    trained = train_sft(model, wrapped, fitting, run)
    if stop_after is None:
        save_policy(trained, folder, target, make_card(settings, "sft", identity))
        tell(f"sft: {target}")
    return target


def sft_identity(settings: TrainSettings) -> dict[str, Any]:
    """What makes an SFT training another one."""
    kept = settings.model_dump(mode="json", exclude={"grpo", "judge", "rewards"})
    return {
        "trace_version": SCHEMA_VERSION,
        "tools": tools_digest(),
        "configuration": hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:16],
    }


def make_card(settings: TrainSettings, stage: str, identity: dict[str, Any]) -> ModelCard:
    """`policy.json` of a trained policy."""
    return ModelCard(
        kind="plans",
        tools_sha256=tools_digest(),
        trace_version=SCHEMA_VERSION,
        stage=stage,
        trained={"seed": settings.seed, "identity": identity, "versions": versions() | {"torch": torch.__version__}},
    )


def load_policy(folder: Path) -> Any:
    """The network of a policy's folder, ready for training.

    Raises:
        RunError: there is none.
    """
    if not (folder / "model.safetensors").is_file():
        raise RunError(f"{folder} holds no trained policy. Run `anomalyagent train sft` with the same --out first.")
    read_model_card(folder)
    return LlamaForCausalLM.from_pretrained(str(folder), dtype=torch.float32)


def _belongs(folder: Path, identity: dict[str, Any]) -> bool:
    card = read_model_card(folder)
    if card is not None and card.trained.get("identity") != identity:
        raise RunError(f"{folder} was trained with another configuration. Give another --out, or delete it to train anew.")
    return card is not None
