"""The data set of a run in the layout of MVTec AD, grown while the run goes on.

    dataset/<item>/train/good/000.png                 the normal images (see inputs.py)
    dataset/<item>/train/good/000_harmless_000.png    the same with harmless differences, when asked for (training/datasets)
    dataset/<item>/test/<type>/000.png                accepted samples in the order of their tasks
    dataset/<item>/ground_truth/<type>/000_mask.png   0 or 255
    dataset/<item>/manifest.jsonl                     one JSON object for each sample, types in the order of the run
    rejected/<item>/<type>/<task>.png, <task>_mask.png   with keep_rejected: the best image of tasks that did not pass

Everything here is a pure function of inputs, settings and seed: no times, no paths outside the run. So the bytes are the
same for any number of processes and after any interruption. Readers of this layout take every file below test/ for an
image, so nothing else is put there.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from anomalyagent.errors import RunError
from anomalyagent.graph.files import link_or_copy, remove_temporaries, write_atomically
from anomalyagent.graph.progress import Round, read_progress
from anomalyagent.graph.tasks import Ledger, Slot, TypePlan
from anomalyagent.graph.trace import Trajectory
from anomalyagent.mcp_tools.contracts import TOOL_NAMES

__all__ = ["DatasetWriter", "harmless_name", "manifest_line", "normals_folder", "photo_behind", "sample_stem", "task_id"]


def normals_folder(item_folder: str) -> str:
    """Where the normal images of a run lie, relative to it."""
    return f"dataset/{item_folder}/train/good"


def harmless_name(stem: str, number: int) -> str:
    """File name of the good photo `stem` with harmless differences, the `number`th of that photo."""
    return f"{stem}_harmless_{number:03d}.png"


def photo_behind(file: Path) -> str | None:
    """Stem of the photo that a good photo with harmless differences was made of; None when the file is a photo itself."""
    name = re.fullmatch(r"(.+)_harmless_\d{3,}", file.stem)
    return name[1] if name else None


def sample_stem(number: int, most: int) -> str:
    """File name of a sample without its suffix, wide enough that `most` of them sort by number: readers pair sorted lists."""
    return f"{number:0{max(3, len(str(most - 1)))}d}"


def task_id(plan: TypePlan, index: int) -> str:
    """Name of a task, its trajectory and its checkpoints."""
    return f"{plan.folder}-{index:05d}"


class DatasetWriter:
    """Writes samples in their final order, as far as the tasks before them are finished.

    Args:
        run_dir: the run's folder.
        read: gives the trajectory of a finished task.
        sources: reference of a normal image -> name of the user's file.
    """

    def __init__(
        self,
        run_dir: Path,
        item_folder: str,
        plans: Sequence[TypePlan],
        ledger: Ledger,
        read: Callable[[Slot], Trajectory],
        sources: Mapping[str, str],
        *,
        link: bool,
        keep_rejected: bool,
    ) -> None:
        self._run_dir = run_dir
        self._item_folder = item_folder
        self._plans = plans
        self._read = read
        self._sources = sources
        self._link = link
        self._keep_rejected = keep_rejected
        self._order = ledger.in_order()
        self._numbers = [0] * len(plans)
        for plan in plans:
            for part in ("test", "ground_truth"):
                remove_temporaries(self._folder / part / plan.folder)
                _remove_shorter_names(self._folder / part / plan.folder, len(sample_stem(0, plan.count)))
        write_atomically(self.manifest, b"")

    @property
    def manifest(self) -> Path:
        """The manifest file."""
        return self._folder / "manifest.jsonl"

    @property
    def _folder(self) -> Path:
        return self._run_dir / "dataset" / self._item_folder

    def advance(self) -> None:
        """Write every sample that is due.

        Raises:
            RunError: a file cannot be written, or an image of a trajectory is gone.
        """
        for slot, outcome in self._order:
            if outcome is None:
                break
            if outcome == "accepted":
                self._append(self._write_sample(slot))
            elif outcome == "rejected" and self._keep_rejected:
                self._write_rejected(slot)

    def _append(self, line: str) -> None:
        try:
            with self.manifest.open("a", encoding="utf-8", newline="\n") as file:
                file.write(line)
        except OSError as error:
            raise RunError(
                f"cannot write {self.manifest}: {error.strerror or error}. Make room and give the command again."
            ) from error

    def _write_sample(self, slot: Slot) -> str:
        trajectory, plan = self._read(slot), self._plans[slot.kind]
        number = self._numbers[slot.kind]
        self._numbers[slot.kind] += 1
        stem = sample_stem(number, plan.count)
        image = f"test/{plan.folder}/{stem}.png"
        mask = f"ground_truth/{plan.folder}/{stem}_mask.png"
        self._place(trajectory.final_image, self._folder / image)
        self._place(trajectory.mask, self._folder / mask)
        source = self._sources.get(trajectory.task.normal_image, "")
        return json.dumps(manifest_line(trajectory, number, image, mask, source), ensure_ascii=False) + "\n"

    def _write_rejected(self, slot: Slot) -> None:
        trajectory, plan = self._read(slot), self._plans[slot.kind]
        folder = self._run_dir / "rejected" / self._item_folder / plan.folder
        if trajectory.final_image:
            self._place(trajectory.final_image, folder / f"{trajectory.id}.png")
        if trajectory.mask:
            self._place(trajectory.mask, folder / f"{trajectory.id}_mask.png")

    def _place(self, ref: str | None, target: Path) -> None:
        source = self._run_dir / (ref or "")
        if not ref or not source.is_file():
            raise RunError(f"the run's image {ref} is gone from {self._run_dir}. Restore it, or start in a new folder.")
        if not _same_file(source, target):
            link_or_copy(source, target, link=self._link)


def manifest_line(trajectory: Trajectory, number: int, image: str, mask: str, source: str) -> dict[str, Any]:
    """What the manifest says of a sample; paths are relative to the manifest."""
    progress = read_progress(trajectory.turns)
    final = _final_round(trajectory)
    found = next(one for one in progress.masks if one.of == final.number)
    hashes = {entry.ref: entry.sha256 for entry in trajectory.images}
    normal = trajectory.task.normal_image.split("/", 2)[2]
    spec = final.result.spec.model_dump(mode="json") if final.result.spec else final.arguments.get("spec")
    backends = {name: _backend(trajectory, name) for name in TOOL_NAMES}
    return {
        "image": image,
        "mask": mask,
        "item": trajectory.task.item_name,
        "anomaly_type": trajectory.task.anomaly_type,
        "number": number,
        "trajectory": trajectory.id,
        "seed": trajectory.task.seed,
        "normal": normal,
        "source": source,
        "source_sha256": trajectory.task.normal_sha256,
        "image_sha256": hashes[final.result.image],
        "mask_sha256": hashes[found.result.mask],
        "prompt": final.arguments.get("prompt"),
        "spec": spec,
        "location_score": trajectory.location_score,
        "quality_score": trajectory.quality_score,
        "score": trajectory.score,
        "rounds": trajectory.rounds,
        "area_fraction": found.result.area_fraction,
        "boxes_xyxy": found.result.boxes_xyxy,
        "knowledge_card": progress.prompt.knowledge_card if progress.prompt else None,
        "policy": trajectory.policy,
        "backends": {name: backend for name, backend in backends.items() if backend},
        "config_sha256": trajectory.config_sha256,
        "versions": trajectory.versions,
    }


def _remove_shorter_names(folder: Path, digits: int) -> None:
    """Delete what a run that wanted fewer samples named with fewer digits; it is written again under its new name."""
    for path in folder.glob("*.png"):
        name = re.fullmatch(r"(\d+)(_mask)?", path.stem)
        if name and len(name[1]) < digits:
            path.unlink()


def _final_round(trajectory: Trajectory) -> Round:
    rounds = read_progress(trajectory.turns).rounds
    return next(one for one in rounds if one.result.image == trajectory.final_image)


def _backend(trajectory: Trajectory, tool: str) -> str | None:
    for turn in reversed(trajectory.turns):
        if turn.action.kind == "tool_call" and turn.action.name == tool and turn.observation and turn.observation.structured:
            return str(turn.observation.structured["backend"])
    return None


def _same_file(source: Path, target: Path) -> bool:
    """True when `target` already is what `source` is: the same file, or equal bytes."""
    if not target.is_file():
        return False
    if source.samefile(target):
        return True
    return source.stat().st_size == target.stat().st_size and source.read_bytes() == target.read_bytes()
