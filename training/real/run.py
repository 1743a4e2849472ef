"""A run folder of trajectories that end in real defects, resumable: the same command goes on where it stopped.

    <out>/run.json, trajectories/, images/, report.html      as of any run (graph/run.py)
          dataset/<item>/train/good/<type>-00000.png         the accepted twins
          dataset/<item>/test/, ground_truth/, manifest.jsonl  the real defects with their true masks
          twins-<type>.jpg                                    contact sheets: defect, twin, verdict     (sheet.py)

A defect is rejected when its twin is not clean (see twins.py), when its mask is empty, or when the judge does not pass the
real photo beside its twin. Its trajectory then has no turns and says why.
"""

import asyncio
import hashlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar, cast

import cv2
import numpy as np

from anomalyagent.configs.paths import expand_home
from anomalyagent.configs.schema import Settings
from anomalyagent.errors import ImageError, RunError, ToolCallError
from anomalyagent.graph.build import build_graph, run_trajectory
from anomalyagent.graph.dataset import DatasetWriter, normals_folder, photo_behind, task_id
from anomalyagent.graph.events import Event, Planned, TaskFinished
from anomalyagent.graph.inputs import Inputs, Normal, find_normals, hash_file
from anomalyagent.graph.names import choose_folders, safe_name
from anomalyagent.graph.nodes import Services
from anomalyagent.graph.report import REPORT_FILE, write_report
from anomalyagent.graph.request import hold_run_folder
from anomalyagent.graph.runfile import RunFile, RunSummary, Tally, begin_run_file, read_run_file
from anomalyagent.graph.state import initial_state
from anomalyagent.graph.tasks import Ledger, Slot, TypePlan, derive_seed
from anomalyagent.graph.trace import ImageEntry, Task, Trajectory, read_trajectory, write_trajectory
from anomalyagent.graph.worker import WorkerSetup, summarize_state, trajectory_path, versions
from anomalyagent.knowledge.cards import load_cards
from anomalyagent.knowledge.fitting import choose_cards
from anomalyagent.knowledge.spec import Mechanism
from anomalyagent.knowledge.words import mechanism_of
from anomalyagent.mcp_tools.client import ToolClient
from anomalyagent.mcp_tools.contracts import ImageResult, MaskResult, QualityResult
from anomalyagent.mcp_tools.imaging.arrays import Mask
from anomalyagent.mcp_tools.imaging.photo import Photo, read_photo, write_photo
from anomalyagent.mcp_tools.imaging.restoring import Source
from anomalyagent.mcp_tools.workspace import Workspace
from anomalyagent.training.datasets.files import Labelled, decode_mask
from anomalyagent.training.datasets.layouts import read_category
from anomalyagent.training.real.inpainting import make_inpainter
from anomalyagent.training.real.measure import measure_defect
from anomalyagent.training.real.retrace import (
    BACKEND,
    Attempt,
    RealDefect,
    RealTools,
    RetracePolicy,
    imperfect_specs,
    simple_prompt,
)
from anomalyagent.training.real.sheet import write_twin_sheets
from anomalyagent.training.real.twins import TwinMaker, unmarked

__all__ = ["RealRequest", "retrace_real"]

_T = TypeVar("_T")

POLICY = RetracePolicy.name
MOST_MATERIAL = 160
"""Normal photos that material is taken from, evenly picked."""
LOOKED_UP = 0.5
"""Share of dual trajectories that ask for knowledge."""


@dataclass(frozen=True)
class RealRequest:
    """What is wanted.

    Attributes:
        defects: a data set with masks in a published layout, one item.
        normals: folder of photos of good parts; None: the data set's own training images, if it has any.
        item: what the photos show, in words.
        out: the run folder.
        shares: of trajectories with one, two and three rounds.
        most: defects of each type, evenly picked; None: all.
        command: command line to note in run.json.
    """

    defects: Path
    normals: Path | None
    item: str
    out: Path
    shares: tuple[float, float, float] = (0.5, 0.35, 0.15)
    most: int | None = None
    command: list[str] = field(default_factory=list[str])


def retrace_real(request: RealRequest, settings: Settings, tell: Callable[[Event], None]) -> RunSummary:
    """Make a trajectory for every real defect.

    Raises:
        ImageError: the data set cannot be read.
        RunError: the folder holds another run, is in use or cannot be written.
        AnomalyAgentError: tools cannot be had.
    """
    if not all(0 <= share < math.inf for share in request.shares) or sum(request.shares) <= 0:
        raise RunError(f"shares of single, dual and triple trajectories are 0 or more, not all 0; received {request.shares}.")
    with hold_run_folder(expand_home(request.out).absolute()):
        return _Session(request, settings, tell).run()


class _Session:
    def __init__(self, request: RealRequest, settings: Settings, tell: Callable[[Event], None]) -> None:
        self._clock = time.monotonic()
        self._request, self._settings, self._tell = request, settings, tell
        self._run_dir = expand_home(request.out).absolute()
        self._run_dir.mkdir(parents=True, exist_ok=True)
        self._item_folder = safe_name(request.item)
        category = read_category(expand_home(request.defects))
        by_type: dict[str, list[Labelled]] = {}
        for file in category.anomalies:
            by_type.setdefault(file.anomaly_type, []).append(file)
        if not by_type:
            raise ImageError(f"{request.defects} has no defect images. Give a data set with masks, e.g. in MVTec layout.")
        self._every = list(by_type.values())
        self._files = [_some(files, request.most) for files in self._every]
        folders = choose_folders(list(by_type))
        self._plans = [
            TypePlan(name, folder, len(files)) for name, folder, files in zip(by_type, folders, self._files, strict=True)
        ]
        if request.normals is not None:
            self._normals = [path for _, path in find_normals([expand_home(request.normals)])]
        else:
            self._normals = [file.image for file in category.train_good if photo_behind(file.image) is None]
        self._ledger = Ledger(self._plans, attempts_per_sample=1)
        self._tally = Tally(self._plans)
        self._cards = load_cards(settings.knowledge.folders)
        self._makers: dict[int, TwinMaker] = {}
        self._inpainter = make_inpainter(settings)
        self._look_at_all()
        self._file = self._open()
        self._writer = DatasetWriter(
            self._run_dir,
            self._item_folder,
            self._plans,
            self._ledger,
            self._read,
            {normal.ref: normal.source for normal in self._file.inputs.normals},
            link=settings.dataset.link_images,
            keep_rejected=False,
        )

    def run(self) -> RunSummary:
        status: Literal["complete", "interrupted", "stopped"] = "stopped"
        self._restore()
        accepted = tuple(tasks.accepted for tasks in self._ledger.types)
        resumed = any(tasks.started for tasks in self._ledger.types)
        self._tell(Planned(self._run_dir, self._request.item, tuple(self._plans), accepted, len(self._normals), resumed))
        try:
            asyncio.run(self._work())
            self._writer.advance()
            status = "complete"
            self._file.summary = self._summarize(status)
            write_report(self._run_dir, self._file, self._accepted(), self._read)
            write_twin_sheets(self._run_dir, self._plans, self._read)
        except KeyboardInterrupt:
            status = "interrupted"
        finally:
            self._file.summary = self._summarize(status)
            self._file.write(self._run_dir)
        return self._file.summary

    def _look_at_all(self) -> None:
        """Read every photo and mask that is still to do, and the material: a damaged one would end the run hours later, and
        without it the data set would be another one.
        """
        todo = False
        for plan, files in zip(self._plans, self._files, strict=True):
            for index, file in enumerate(files):
                if trajectory_path(self._run_dir, task_id(plan, index)).is_file():
                    continue
                todo = True
                shape, mask = read_photo(file.image).shape, cast("Mask", decode_mask(file))
                if mask.shape != shape:
                    sizes = " x ".join(map(str, mask.shape[::-1])), " x ".join(map(str, shape[::-1]))
                    raise ImageError(f"{file.mask} is {sizes[0]}, its image {sizes[1]}. Mend the data set.")
        for path in _some(self._normals, MOST_MATERIAL) if todo else []:
            read_photo(path)

    def _open(self) -> RunFile:
        settings = self._settings
        normals = [
            Normal(
                source=_source_of(file, self._request.defects),
                source_sha256=hash_file(file.image),
                ref=f"{normals_folder(self._item_folder)}/{task_id(plan, index)}.png",
                notes=["twin of a real defect"],
            )
            for plan, files in zip(self._plans, self._files, strict=True)
            for index, file in enumerate(files)
        ]
        decisive = {
            "from": "real",
            "defects": [normal.source_sha256 for normal in normals],
            "normals": [hash_file(path) for path in self._normals],
            "shares": self._request.shares,
        }
        file = begin_run_file(
            settings,
            self._request.item,
            self._plans,
            self._cards,
            decisive,
            inputs=Inputs(normals=normals, skipped=[]),
            command=self._request.command,
            versions=versions(),
        )
        old = read_run_file(self._run_dir)
        if old is not None:
            if old.run_id != file.run_id:
                raise RunError(
                    f"{self._run_dir} holds a run of other defects, normals or settings. Give the command of that run to "
                    "continue it, or another output folder."
                )
            file.created_at = old.created_at
        file.write(self._run_dir)
        return file

    def _restore(self) -> None:
        for kind, plan in enumerate(self._plans):
            for index in range(plan.count):
                path = trajectory_path(self._run_dir, task_id(plan, index))
                if path.is_file():
                    trajectory = read_trajectory(path)
                    if trajectory.outcome != "failed":
                        self._ledger.types[kind].record(index, trajectory.outcome)
                        self._tally.add(kind, trajectory)

    async def _work(self) -> None:
        workspace = Workspace(self._run_dir, self._settings.limits)
        async with ToolClient(self._settings, workspace) as tools:
            for kind, plan in enumerate(self._plans):
                for index, file in enumerate(self._files[kind]):
                    if self._ledger.types[kind].outcome(index) is not None:
                        continue
                    trajectory = await self._make(Slot(kind, index), file, tools, workspace)
                    write_trajectory(trajectory, trajectory_path(self._run_dir, trajectory.id))
                    self._ledger.types[kind].record(index, trajectory.outcome)
                    self._tally.add(kind, trajectory)
                    self._writer.advance()
                    accepted = self._ledger.types[kind].accepted
                    self._tell(TaskFinished.of(trajectory, accepted=accepted, wanted=plan.count))

    async def _make(self, slot: Slot, file: Labelled, tools: ToolClient, workspace: Workspace) -> Trajectory:
        clock, plan, item = time.perf_counter(), self._plans[slot.kind], self._request.item
        name = task_id(plan, slot.index)
        seed = derive_seed(self._settings.seed, item, plan.anomaly_type, slot.index)
        defect, mask = read_photo(file.image), cast("Mask", decode_mask(file))
        real_ref = workspace.store_photo(defect)
        twin = self._maker(slot.kind).make(defect, mask, seed % 2**31, self._skip(slot)) if mask.any() else None
        clean = twin is not None and twin.judged.clean
        normal = self._file_normal(name, twin.photo) if twin is not None and clean else real_ref
        task = Task(
            id=name,
            index=slot.index,
            normal_image=normal,
            normal_sha256=hash_file(file.image),
            item_name=item,
            anomaly_type=plan.anomaly_type,
            seed=seed,
        )
        if twin is None:
            reason = "its mask is empty." if not mask.any() else "no flawless material fits into its place."
            return self._rejected(task, real_ref, None, reason, None, clock)
        mask_ref = workspace.store_mask(mask)
        if not clean:
            made = workspace.store_photo(twin.photo)
            task = task.model_copy(update={"normal_image": made})
            reason = (
                f"its twin is not clean: the repaired area is {twin.judged.ratio:.2f} times as foreign as flawless ones "
                f"may be ({twin.way})."
            )
            return self._rejected(task, real_ref, mask_ref, reason, None, clock)
        names = {"item_name": item, "anomaly_type": plan.anomaly_type}
        quality = await tools.call("quality_eval", {"normal_image": normal, "anomaly_image": real_ref, **names})
        if not quality.passed:
            reason = f"the judge does not pass the real defect: {quality.review}"
            return self._rejected(task, real_ref, mask_ref, reason, quality, clock)
        spec = measure_defect(twin.photo, defect, mask, self._mechanism(plan.anomaly_type), seed % 2**31)
        image = ImageResult(
            backend=BACKEND, image=real_ref, changed_fraction=float(twin.hole.mean()), spec=spec, seed=spec.seed, notes=[]
        )
        real = RealDefect(image, _mask_result(mask_ref, mask), spec)
        rng = np.random.default_rng([seed % 2**31, 3])
        shares = np.array(self._request.shares) / sum(self._request.shares)
        rounds = 1 + int(rng.choice(3, p=shares))
        facade = RealTools(tools, real)
        attempts = await self._attempts(facade, task, real, min(rounds, self._settings.limits.rounds) - 1)
        looks_up = len(attempts) == 2 or (len(attempts) == 1 and bool(rng.random() < LOOKED_UP))
        policy = RetracePolicy(real, attempts, looks_up=looks_up)
        services = Services(policy, facade, self._settings.limits, self._run_dir)
        digest = hashlib.sha256((self._run_dir / normal).read_bytes()).hexdigest()
        state = await run_trajectory(build_graph(services), task.id, initial_state(task, digest), self._settings.limits.turns)
        done = summarize_state(state, self._setup, versions(), seconds=time.perf_counter() - clock)
        return done.model_copy(update={"policy": POLICY})

    async def _attempts(self, tools: RealTools, task: Task, real: RealDefect, wanted: int) -> list[Attempt]:
        """So many calls of image_gen that fail the judge, worse ones first; fewer when the tools make nothing bad enough."""
        names = {"item_name": task.item_name, "anomaly_type": task.anomaly_type}
        found: list[Attempt] = []
        for spec in imperfect_specs(real.spec, task.seed) if wanted else []:
            prompt = simple_prompt(task.item_name, task.anomaly_type)
            given = spec.model_dump(mode="json", exclude_none=True)
            arguments = {"image": task.normal_image, "prompt": prompt, "spec": given, "seed": spec.seed}
            try:
                made = cast("ImageResult", await tools.call("image_gen", arguments))
                judged = {"normal_image": task.normal_image, "anomaly_image": made.image, **names}
                quality = cast("QualityResult", await tools.call("quality_eval", judged))
            except ToolCallError as error:
                if error.kind != "refused":
                    raise
                continue  # it cannot be drawn on this photo
            if not quality.passed and made.image != task.normal_image:
                found.append(Attempt(prompt, spec, quality))
            if len(found) == wanted:
                break
        return sorted(found, key=lambda one: one.quality.score)

    def _maker(self, kind: int) -> TwinMaker:
        if self._normals:
            if 0 not in self._makers:
                paths = _some(self._normals, MOST_MATERIAL)
                self._makers[0] = TwinMaker([Source(read_photo(path).rgb) for path in paths], self._inpainter)
            return self._makers[0]
        if kind not in self._makers:
            self._makers.clear()
            sources = [unmarked(read_photo(file.image).rgb, cast("Mask", decode_mask(file))) for file in self._every[kind]]
            self._makers[kind] = TwinMaker(sources, self._inpainter)
        return self._makers[kind]

    def _skip(self, slot: Slot) -> int | None:
        return None if self._normals else self._every[slot.kind].index(self._files[slot.kind][slot.index])

    def _mechanism(self, anomaly_type: str) -> Mechanism:
        guess = mechanism_of(anomaly_type, self._request.item)
        cards = choose_cards(self._cards, self._request.item, anomaly_type).cards
        return cards[0].variants[0].mechanism if cards else guess.mechanism

    def _file_normal(self, name: str, twin: Photo) -> str:
        ref = f"{normals_folder(self._item_folder)}/{name}.png"
        write_photo(twin, self._run_dir / ref)
        return ref

    @property
    def _setup(self) -> WorkerSetup:
        return WorkerSetup(
            run_dir=self._run_dir,
            run_id=self._file.run_id,
            config_sha256=self._file.config_sha256,
            settings=self._settings,
        )

    def _rejected(
        self, task: Task, image: str, mask: str | None, reason: str, quality: QualityResult | None, clock: float
    ) -> Trajectory:
        digest = hashlib.sha256((self._run_dir / task.normal_image).read_bytes()).hexdigest()
        return Trajectory(
            id=task.id,
            run_id=self._file.run_id,
            task=task,
            policy=POLICY,
            turns=[],
            images=[ImageEntry(number=1, role="normal", ref=task.normal_image, sha256=digest)],
            outcome="rejected",
            reason=reason,
            final_image=image,
            mask=mask,
            location_score=quality.location_score if quality else None,
            quality_score=quality.quality_score if quality else None,
            score=quality.score if quality else None,
            rounds=0,
            seconds=time.perf_counter() - clock,
            cost_usd=0.0,
            config_sha256=self._file.config_sha256,
            versions=versions(),
        )

    def _read(self, slot: Slot) -> Trajectory:
        return read_trajectory(trajectory_path(self._run_dir, task_id(self._plans[slot.kind], slot.index)))

    def _accepted(self) -> list[list[Slot]]:
        return [
            [Slot(kind, index) for index in range(plan.count) if self._ledger.types[kind].outcome(index) == "accepted"]
            for kind, plan in enumerate(self._plans)
        ]

    def _summarize(self, status: Literal["complete", "interrupted", "stopped"]) -> RunSummary:
        return RunSummary(
            run_dir=str(self._run_dir),
            run_id=self._file.run_id,
            item=self._request.item,
            status=status,
            **self._tally.totals(),
            wall_seconds=time.monotonic() - self._clock,
            types=self._tally.types([False] * len(self._plans)),
            skipped_normals=0,
            dataset=f"dataset/{self._item_folder}",
            report=REPORT_FILE if (self._run_dir / REPORT_FILE).is_file() else None,
        )


def _mask_result(ref: str, mask: Mask) -> MaskResult:
    count, _, boxes, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    found = sorted(boxes[1:count].tolist(), key=lambda box: -box[4])[:32]
    return MaskResult(
        backend=BACKEND,
        mask=ref,
        boxes_xyxy=[(x, y, x + w, y + h) for x, y, w, h, _ in found],
        area_fraction=float(mask.mean()),
        confidence=1.0,
    )


def _source_of(file: Labelled, root: Path) -> str:
    try:
        return file.image.relative_to(root).as_posix()
    except ValueError:
        return file.image.name


def _some(values: Sequence[_T], most: int | None) -> list[_T]:
    """At most so many, evenly picked."""
    if most is None or len(values) <= most:
        return list(values)
    return [values[i] for i in np.unique(np.linspace(0, len(values) - 1, most).astype(int))]
