"""A trained model on disk, with the card by which `--policy local` knows what it was trained for."""

import json
from pathlib import Path
from typing import Any

from anomalyagent.graph.files import write_atomically
from anomalyagent.graph.trace import SCHEMA_VERSION
from anomalyagent.graph.wire import tools_digest

__all__ = ["save_policy"]


def save_policy(trainer: Any, processor: Any, folder: Path, stage: str, trained: dict[str, Any]) -> None:
    """Write model, processor and `policy.json`; under ZeRO-3 the weights are gathered, one process writes."""
    trainer.save_model(str(folder))
    if not trainer.accelerator.is_main_process:
        return
    processor.save_pretrained(str(folder))
    card = {
        "kind": "chat",
        "tools_sha256": tools_digest(),
        "trace_version": SCHEMA_VERSION,
        "stage": stage,
        "trained": {**trained, "steps": int(trainer.state.global_step)},
    }
    write_atomically(folder / "policy.json", (json.dumps(card, indent=1) + "\n").encode("utf-8"))
