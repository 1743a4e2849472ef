"""Curves of a training: one JSON line a step, TensorBoard beside it, and a PNG of chosen curves.

A resumed training cuts its log back to the step that it resumes from, so the file holds each step once.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from anomalyagent.graph.files import write_atomically

__all__ = ["TrainingLog", "plot_curves", "read_log"]


def read_log(path: Path) -> list[dict[str, Any]]:
    """The steps of a log, a half-written last line left out."""
    if not path.is_file():
        return []
    steps: list[dict[str, Any]] = []
    for line in path.read_text("utf-8").splitlines():
        try:
            steps.append(json.loads(line))
        except ValueError:
            break
    return steps


class TrainingLog:
    """`log.jsonl` and `tensorboard/` in `folder`.

    Args:
        first_step: steps from here on are forgotten.
    """

    def __init__(self, folder: Path, first_step: int = 0) -> None:
        from torch.utils.tensorboard import SummaryWriter

        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "log.jsonl"
        kept = [step for step in read_log(self.path) if step["step"] < first_step]
        write_atomically(self.path, "".join(json.dumps(step) + "\n" for step in kept).encode("utf-8"))
        self._board: Any = SummaryWriter(str(folder / "tensorboard"), purge_step=first_step)

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Note a step."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")
        for name, value in values.items():
            self._board.add_scalar(name, value, step)
        self._board.flush()

    def close(self) -> None:
        """Close the board."""
        self._board.close()


def plot_curves(steps: Sequence[Mapping[str, Any]], names: Sequence[str], path: Path, title: str) -> None:
    """A PNG with one panel for each name: the values, and their mean over the last tenth of the steps."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * len(names), 3.2), layout="constrained")
    FigureCanvasAgg(figure)
    window = max(1, len(steps) // 10)
    for number, name in enumerate(names):
        axes: Any = figure.add_subplot(1, len(names), number + 1)
        points = [(step["step"], step[name]) for step in steps if name in step]
        x, y = [point[0] for point in points], [point[1] for point in points]
        smooth = [sum(y[max(0, i + 1 - window) : i + 1]) / len(y[max(0, i + 1 - window) : i + 1]) for i in range(len(y))]
        axes.plot(x, y, color="0.75", linewidth=1)
        axes.plot(x, smooth, color="tab:blue", linewidth=2)
        axes.set(xlabel="step", title=name.replace("_", " "))
        axes.grid(alpha=0.3)
    figure.suptitle(title)
    figure.savefig(str(path), dpi=110)
