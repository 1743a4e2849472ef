"""What a run is asked for, and the folder it takes: checked before anything is made."""

import shutil
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from filelock import FileLock, Timeout

from anomalyagent.configs.paths import is_text
from anomalyagent.configs.schema import Settings
from anomalyagent.errors import RunError
from anomalyagent.graph.events import Event, Note
from anomalyagent.graph.names import choose_folders
from anomalyagent.graph.report import REPORT_FILE
from anomalyagent.graph.runfile import RUN_FILE
from anomalyagent.graph.tasks import TypePlan
from anomalyagent.graph.worker import CHECKPOINTS
from anomalyagent.knowledge.cards import load_cards
from anomalyagent.knowledge.planning import Kind, Traits, allocate, plan_kinds
from anomalyagent.mcp_tools.imaging.normal_set import measure_set
from anomalyagent.mcp_tools.unknown_kinds import unknown_kind, unread_place
from anomalyagent.mcp_tools.unseen_levels import kinds_not_shown

__all__ = ["Plan", "Request", "draw_type", "hold_run_folder", "plan_types"]

MOST_NAME_CHARACTERS = 200
"""Of an item and of an anomaly type, as the tools take them."""
LOCK_FILE = "run.lock"
_DRAW_TYPE = 12
"""Stream of random numbers that picks the type of one sample."""
_OWN_FILES = (
    RUN_FILE,
    LOCK_FILE,
    "trajectories",
    "images",
    "dataset",
    "rejected",
    REPORT_FILE,
    CHECKPOINTS,
    "forks",
    "reviewed",
    "reviews.jsonl",
)


@dataclass(frozen=True)
class Request:
    """What is wanted.

    Attributes:
        normals: folders or files of good parts, or MVTec categories (then `train/good` is used).
        item: what the photos show, in words.
        anomaly_types: free texts, used verbatim; `auto`: chosen, with their shares, from the knowledge cards and the photos.
        count: accepted samples of each type; with `auto` their mean.
        out: the run folder; made if missing.
        jobs: trajectories made at once: in processes, or in one that shares its models (see pool.py).
        max_rounds: overrides `limits.rounds`.
        keep_rejected: also keep the best images of tasks that did not pass.
        approve: tools before whose calls a person is asked; in one process only.
        command: command line to note in run.json.
    """

    normals: list[Path]
    item: str
    anomaly_types: list[str] | Literal["auto"]
    count: int
    out: Path
    jobs: int = 1
    max_rounds: int | None = None
    keep_rejected: bool = False
    approve: tuple[str, ...] = ()
    command: list[str] = field(default_factory=list[str])


class Plan(NamedTuple):
    """Types of a run, and with `auto` what the photos showed."""

    types: list[TypePlan]
    traits: Traits | None


def plan_types(request: Request, settings: Settings, photos: Sequence[Path], tell: Callable[[Event], None]) -> Plan:
    """Types of the run, each once, with their folders.

    Args:
        photos: all normal images; with `auto` some of them are looked at.

    Raises:
        RunError: no type, an empty text, one that is not Unicode, or one that cannot be a folder.
    """
    if not request.item.strip():
        raise RunError("the item has no name. Say in words what the photos show, e.g. 'metal nut'.")
    if request.anomaly_types == "auto":
        kinds, traits = _kinds(settings, request.item, photos)
        types, counts = [kind.anomaly_type for kind in kinds], allocate(kinds, request.count)
        reasons = [kind.reason for kind in kinds]
        shares = "; ".join(f"{kind.anomaly_type} {100 * kind.share:.0f} % ({kind.reason})" for kind in kinds)
        tell(Note("info", f"anomaly types chosen for '{request.item}': {shares}."))
    else:
        traits, types = None, _distinct(request.anomaly_types, tell)
        counts, reasons = [request.count] * len(types), [""] * len(types)
    if not types or any(not name.strip() for name in types):
        raise RunError("an anomaly type is missing or empty. Name what is to be made, e.g. 'scratch', or 'auto'.")
    no_text = next((name for name in [request.item, *types] if not is_text(name)), None)
    if no_text is not None:
        raise RunError(f"the name {no_text!r} is not valid Unicode: it was typed in another encoding. Give it in UTF-8.")
    too_long = next((name for name in [request.item, *types] if len(name) > MOST_NAME_CHARACTERS), None)
    if too_long is not None:
        raise RunError(
            f"a name may have {MOST_NAME_CHARACTERS} characters; {too_long[:40]!r}... has {len(too_long)}. Shorten it."
        )
    for name in types if request.anomaly_types != "auto" else []:
        if (text := unknown_kind(settings, request.item, name)) is not None:
            tell(Note("warning", f"{text} Or teach it with `anomalyagent knowledge add`."))
        elif settings.tools.image_gen.options.get("zone_mask") is None and (text := unread_place(settings, request.item, name)):
            tell(Note("warning", text))
    return Plan([TypePlan(*one) for one in zip(types, choose_folders(types), counts, reasons, strict=True)], traits)


def _distinct(types: Sequence[str], tell: Callable[[Event], None]) -> list[str]:
    """Each type once, as it was first written: spaces around it and capitals make no other kind of defect."""
    kept: dict[str, str] = {}
    for name in types:
        first = kept.setdefault(name.strip().casefold(), name)
        if first != name:
            tell(Note("warning", f"{name!r} and {first!r} are one type: it is made once, as {first!r}."))
    return list(kept.values())


def draw_type(settings: Settings, item: str, photo: Path, seed: int) -> str:
    """The type that `auto` stands for in one sample: one of those of `plan_types`, drawn by their shares.

    Args:
        photo: the good photo, which can raise or lower shares.
    """
    kinds, _ = _kinds(settings, item, [photo])
    rng = np.random.default_rng([seed, _DRAW_TYPE])
    return kinds[int(rng.choice(len(kinds), p=[kind.share for kind in kinds]))].anomaly_type


def _kinds(settings: Settings, item: str, photos: Sequence[Path]) -> tuple[list[Kind], Traits | None]:
    """What such an item suffers, with shares, and what the photos showed."""
    limits = settings.limits
    traits = measure_set(photos, max_pixels=limits.max_image_pixels, min_side_px=limits.min_image_side_px)
    cards = load_cards(settings.knowledge.folders)
    kinds = plan_kinds(cards, item, traits)
    lacking = kinds_not_shown(settings, [kind.anomaly_type for kind in kinds], photos)
    return plan_kinds(cards, item, traits, lacking) if lacking else kinds, traits


@contextmanager
def hold_run_folder(run_dir: Path) -> Generator[None]:
    """Make the run folder and hold it for this process.

    Raises:
        RunError: it cannot be written, is in use, or holds something that is no run.
    """
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        begun = (run_dir / LOCK_FILE).exists()
        strangers = [path.name for path in run_dir.iterdir() if not _is_own(path, begun=begun)]
        if strangers and not (run_dir / RUN_FILE).exists():
            raise RunError(
                f"{run_dir} is not empty and holds no run ({', '.join(sorted(strangers)[:5])}). Choose a new folder."
            )
        lock = FileLock(run_dir / LOCK_FILE, timeout=0)
        lock.acquire()
    except Timeout:
        raise RunError(f"{run_dir} is in use by another process. Wait for it to end, or choose another folder.") from None
    except OSError as error:
        raise RunError(
            f"cannot use {run_dir} as run folder: {error.strerror or error}. Choose one that can be written."
        ) from error
    try:
        if shutil.disk_usage(run_dir).free == 0:
            raise RunError(f"there is no space left for {run_dir}. Make room, then give the same command again.")
        yield
    finally:
        lock.release()


def _is_own(path: Path, *, begun: bool) -> bool:
    """True of what a run keeps in its folder; where none has begun, a folder `dataset` or `images` with files is somebody's."""
    if path.name.startswith("."):
        return True
    return path.name.startswith(_OWN_FILES) and (begun or (path.is_dir() and not any(path.iterdir())))
