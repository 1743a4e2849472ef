"""The data set of what a person kept, in the layout of the run's own one.

    <run>/reviewed/<item>/train/good, test/<type>/000.png, ground_truth/<type>/000_mask.png, manifest.jsonl

Numbers follow the order of the run's types and tasks, forks after their task. It is made beside the old one and takes its place
when it is whole.
"""

import json
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from anomalyagent.configs.paths import expand_home
from anomalyagent.errors import RunError, TraceError, WorkspaceError
from anomalyagent.graph.dataset import manifest_line, sample_stem
from anomalyagent.graph.files import alone_in, link_or_copy, write_atomically
from anomalyagent.graph.locate import Damaged, find_run, iterate_trajectories, progress_of
from anomalyagent.graph.names import choose_folders, safe_name
from anomalyagent.graph.review import Review, read_reviews
from anomalyagent.graph.runfile import read_run_file
from anomalyagent.graph.trace import Task, Trajectory, read_trajectory
from anomalyagent.graph.worker import trajectory_path
from anomalyagent.mcp_tools.workspace import Workspace

__all__ = ["REVIEWED_FOLDER", "Rebuilt", "rebuild_dataset"]

REVIEWED_FOLDER = "reviewed"


@dataclass(frozen=True)
class Rebuilt:
    """What was written: samples by anomaly type; `left_out`: (trajectory, reason) of kept ones that make no sample."""

    folder: Path
    samples: dict[str, int]
    left_out: tuple[tuple[str, str], ...]


def rebuild_dataset(run_dir: Path, out: Path | None = None, *, with_unreviewed: bool = False, link: bool = True) -> Rebuilt:
    """Write the data set of the trajectories that a person keeps.

    Args:
        out: folder that the item's folder goes into; unset: `reviewed/` in the run.
        with_unreviewed: also take accepted trajectories that nobody has judged; forks only ever by verdict.
        link: hard links where the file system allows them.
    Raises:
        RunError: nothing is kept, `out` holds something else, another process writes into it, or it cannot be written.
        TraceError: there is no such run.
    """
    run_dir = find_run(run_dir)
    target = run_dir / REVIEWED_FOLDER if out is None else expand_home(out)
    reviews = read_reviews(run_dir)
    chosen: list[Task] = []
    names: list[str] = []
    left_out: list[tuple[str, str]] = []
    for one in iterate_trajectories(run_dir):
        if not _wanted(one, reviews, with_unreviewed):
            continue
        if isinstance(one, Damaged):
            left_out.append((one.id, one.problem))
        elif one.final_image is None or one.mask is None:
            left_out.append((one.id, "it has no final image with a mask: fork it at its best round, or drop it."))
        else:
            names.append(one.id)
            chosen.append(one.task)
    if not chosen:
        raise RunError(f"nothing in {run_dir} is kept. Give verdicts first: anomalyagent trace review {run_dir}.")
    item = safe_name(chosen[0].item_name)
    folder = target / item
    if folder.resolve() == (run_dir / "dataset" / item).resolve():
        raise RunError(f"{folder} is the run's own data set, which holds all that was accepted. Choose another folder.")
    if folder.exists() and not (folder / "manifest.jsonl").is_file():
        raise RunError(f"{folder} exists and is no data set of ours. Choose another folder.")
    fresh = target / f".{item}.part"
    try:
        with alone_in(target):
            shutil.rmtree(fresh, ignore_errors=True)
            samples = _write(run_dir, fresh, item, list(zip(names, chosen, strict=True)), left_out, link=link)
            shutil.rmtree(folder, ignore_errors=True)
            fresh.rename(folder)
    except OSError as error:
        raise RunError(f"cannot write {folder}: {error.strerror or error}. Make room or fix the permissions.") from error
    return Rebuilt(folder, samples, tuple(left_out))


def _wanted(one: Trajectory | Damaged, reviews: dict[str, Review], with_unreviewed: bool) -> bool:
    review = reviews.get(one.id)
    if review is not None:
        return review.verdict == "keep"
    return with_unreviewed and not isinstance(one, Damaged) and one.outcome == "accepted" and one.parent_id is None


def _write(
    run_dir: Path, folder: Path, item: str, chosen: list[tuple[str, Task]], left_out: list[tuple[str, str]], *, link: bool
) -> dict[str, int]:
    run, workspace = read_run_file(run_dir), Workspace(run_dir)
    types = [plan.anomaly_type for plan in run.plans] if run else []
    types = list(dict.fromkeys([*types, *(task.anomaly_type for _, task in chosen)]))
    folders = dict(zip(types, choose_folders(types), strict=True))
    sources = {normal.ref: normal.source for normal in run.inputs.normals} if run else {}
    for normal in sorted((run_dir / "dataset" / item / "train" / "good").glob("*.png")):
        link_or_copy(normal, folder / "train" / "good" / normal.name, link=link)
    lines: list[str] = []
    numbers: Counter[str] = Counter()
    most = Counter(task.anomaly_type for _, task in chosen)
    for name, task in sorted(chosen, key=lambda one: types.index(one[1].anomaly_type)):
        kind = task.anomaly_type
        stem = sample_stem(numbers[kind], most[kind])
        image = f"test/{folders[kind]}/{stem}.png"
        mask = f"ground_truth/{folders[kind]}/{stem}_mask.png"
        try:
            one = read_trajectory(trajectory_path(run_dir, name))
            progress_of(one)
            source = sources.get(one.task.normal_image, "")
            line = manifest_line(one, numbers[kind], image, mask, source)
            from_image, from_mask = (workspace.path_of(ref or "") for ref in (one.final_image, one.mask))
        except (TraceError, WorkspaceError, LookupError, StopIteration) as error:
            left_out.append((name, str(error) or "its final image is none of its rounds"))
            continue
        link_or_copy(from_image, folder / image, link=link)
        link_or_copy(from_mask, folder / mask, link=link)
        lines.append(json.dumps(line, ensure_ascii=False) + "\n")
        numbers[kind] += 1
    write_atomically(folder / "manifest.jsonl", "".join(lines).encode())
    return dict(numbers)
