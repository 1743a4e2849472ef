"""`accelerate launch -m anomalyagent.training.vision --config qwen3vl_sft --out runs/qwen`: one process a GPU."""

import argparse
import sys
from pathlib import Path

from anomalyagent.errors import AnomalyAgentError
from anomalyagent.training.vision.settings import load_vision_settings, shipped_vision_trainings


def main() -> None:
    """Train as the configuration says."""
    parser = argparse.ArgumentParser(prog="anomalyagent.training.vision", description=__doc__)
    parser.add_argument("--config", required=True, help=f"YAML file, or one of: {', '.join(shipped_vision_trainings())}")
    parser.add_argument("--out", required=True, type=Path, help="folder of the training; the same command again resumes")
    parser.add_argument("--root", default=Path(), type=Path, help="folder that photo folders of the practice are relative to")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="e.g. rows=data/sft")
    given = parser.parse_args()
    try:
        settings = load_vision_settings(given.config, tuple(given.set))
        if settings.stage == "sft":
            from anomalyagent.training.vision.sft import train_vision_sft

            train_vision_sft(settings, given.out)
        else:
            from anomalyagent.training.vision.grpo import train_vision_grpo

            train_vision_grpo(settings, given.out, given.root)
    except AnomalyAgentError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
