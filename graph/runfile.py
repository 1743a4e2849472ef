"""run.json: what a run was asked for, what it was made of, and how it went. Rewritten whole, atomically.

A run folder belongs to one request. What decides its content is compared before a run goes on, and a difference is named;
only the number of samples may grow, and settings in `FREE_SETTINGS`, which change no byte of the result, may differ.
"""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from anomalyagent.configs.faults import first_fault
from anomalyagent.configs.paths import expand_home
from anomalyagent.configs.schema import ServerSettings, Settings
from anomalyagent.errors import RunError, TraceError
from anomalyagent.graph.files import write_atomically
from anomalyagent.graph.inputs import Inputs
from anomalyagent.graph.tasks import TypePlan
from anomalyagent.graph.trace import Trajectory, final_verdict
from anomalyagent.knowledge.cards import Card
from anomalyagent.knowledge.planning import Traits

__all__ = [
    "FREE_SETTINGS",
    "RUN_FILE",
    "RunFile",
    "RunSummary",
    "Tally",
    "TypeSummary",
    "begin_run_file",
    "decisive_settings",
    "digest_of",
    "digest_of_files",
    "now",
    "read_run_file",
    "refuse_changes",
]

RUN_FILE = "run.json"
RUN_VERSION = 1
FREE_SETTINGS = (
    "dataset.link_images",
    "knowledge.cache_dir",
    "limits.run_cost_usd",
    "limits.tool_timeout_s",
    "limits.trajectory_timeout_s",
    "prices",
    *(f"server.{name}" for name in ServerSettings.model_fields),
)
MOST_REASONS = 40
MOST_DIFFERENCES = 12


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid")


class TypeSummary(_Record):
    """How one anomaly type went."""

    anomaly_type: str
    folder: str
    wanted: int
    accepted: int = 0
    rejected: int = 0
    failed: int = 0
    rounds_mean: float | None = None
    score_mean: float | None = Field(default=None, description="Of the accepted samples, 0..10.")
    given_up: bool = Field(default=False, description="All attempts were spent without reaching `wanted`.")
    reasons: dict[str, int] = Field(
        default_factory=dict[str, int], description="Why trajectories were not accepted: reason -> how many."
    )


class RunSummary(_Record):
    """How a run went, over all its sessions."""

    run_dir: str
    run_id: str
    item: str
    status: Literal["running", "complete", "incomplete", "interrupted", "stopped"] = Field(
        description="incomplete: a type was given up; interrupted: Ctrl-C; stopped: an error ended it."
    )
    accepted: int
    rejected: int
    failed: int
    rounds_mean: float | None = Field(description="image_gen results for each finished trajectory.")
    seconds_per_good: float | None = Field(description="Working seconds of all trajectories / accepted ones.")
    cost_per_good: float | None = Field(description="US dollars of all trajectories / accepted ones.")
    cost_usd: float
    tokens: int = Field(default=0, description="Of hosted models, in and out.")
    wall_seconds: float = Field(description="From start to end of all sessions.")
    types: list[TypeSummary]
    skipped_normals: int
    dataset: str = Field(description="Folder of the data set, relative to the run.")
    report: str | None = Field(None, description="The contact sheet, relative to the run.")


class RunFile(_Record):
    """The content of run.json."""

    run_version: Literal[1] = RUN_VERSION
    run_id: str
    command: list[str]
    created_at: str
    updated_at: str
    versions: dict[str, str]
    seed: int
    item: str
    plans: list[TypePlan]
    traits: Traits | None = Field(default=None, description="What the photos showed when `auto` chose the types.")
    settings: Settings
    config_sha256: str
    cards_sha256: str
    inputs: Inputs
    files_sha256: dict[str, str] = Field(
        default_factory=dict[str, str], description="Files that settings name (zone mask, real defects), by their setting."
    )
    summary: RunSummary | None = None

    def write(self, run_dir: Path) -> None:
        """Store it.

        Raises:
            RunError: the folder cannot be written.
        """
        self.updated_at = now()
        text = json.dumps(self.model_dump(mode="json"), ensure_ascii=False, indent=1)
        write_atomically(run_dir / RUN_FILE, (text + "\n").encode("utf-8", "surrogateescape"))


def begin_run_file(
    settings: Settings,
    item: str,
    plans: list[TypePlan],
    cards: Sequence[Card],
    more: Mapping[str, Any],
    *,
    inputs: Inputs,
    command: list[str],
    versions: dict[str, str],
    traits: Traits | None = None,
    files: Mapping[str, str] | None = None,
) -> RunFile:
    """The file of a run that begins now.

    Args:
        more: what decides the run's content beside settings, item, types, cards and files: its id follows from all of it.
        files: as `digest_of_files` gives them.
    """
    decisive = decisive_settings(settings)
    cards_sha256 = digest_of([card.model_dump(mode="json") for card in cards])
    identity = {
        **more,
        "settings": decisive,
        "item": item,
        "types": [plan.anomaly_type for plan in plans],
        "cards": cards_sha256,
        **({"files": files} if files else {}),
    }
    return RunFile(
        run_id=digest_of(identity)[:16],
        command=command,
        created_at=now(),
        updated_at=now(),
        versions=versions,
        seed=settings.seed,
        item=item,
        plans=plans,
        traits=traits,
        settings=settings,
        config_sha256=digest_of(decisive),
        cards_sha256=cards_sha256,
        files_sha256=dict(files or {}),
        inputs=inputs,
    )


class Tally:
    """Sums over finished trajectories; it keeps no trajectory."""

    def __init__(self, plans: Sequence[TypePlan]) -> None:
        self._types = [TypeSummary(anomaly_type=plan.anomaly_type, folder=plan.folder, wanted=plan.count) for plan in plans]
        self._reasons: list[Counter[str]] = [Counter() for _ in plans]
        self._rounds = [0] * len(plans)
        self._scores = [0.0] * len(plans)
        self._seconds = 0.0
        self._costs_usd: list[float] = []
        self._tokens = 0
        self._to_remake: dict[str, tuple[float, int]] = {}

    def set_aside(self, trajectory: Trajectory) -> None:
        """A failed trajectory that is to be made anew: what it cost counts until the new one, which takes it over, is there."""
        self._to_remake[trajectory.id] = trajectory.cost_usd, trajectory.tokens

    @property
    def cost_usd(self) -> float:
        """Spent so far."""
        return math.fsum([*self._costs_usd, *(cost for cost, _ in self._to_remake.values())])

    def add(self, kind: int, trajectory: Trajectory) -> None:
        """Count a finished trajectory of type number `kind`."""
        one = self._types[kind]
        self._rounds[kind] += trajectory.rounds
        self._seconds += trajectory.seconds
        self._to_remake.pop(trajectory.id, None)
        self._costs_usd.append(trajectory.cost_usd)
        self._tokens += trajectory.tokens
        if trajectory.outcome == "accepted":
            one.accepted += 1
            self._scores[kind] += trajectory.score or 0.0
            return
        if trajectory.outcome == "rejected":
            one.rejected += 1
        else:
            one.failed += 1
        reason, reasons = _short_reason(trajectory), self._reasons[kind]
        reasons[reason if reason in reasons or len(reasons) < MOST_REASONS else "other"] += 1

    @property
    def any_worked(self) -> bool:
        """A trajectory came to an accepted or rejected image."""
        return any(one.accepted or one.rejected for one in self._types)

    def types(self, given_up: Sequence[bool]) -> list[TypeSummary]:
        """The figures of each type."""
        result: list[TypeSummary] = []
        for kind, one in enumerate(self._types):
            finished = one.accepted + one.rejected + one.failed
            update = {
                "rounds_mean": self._rounds[kind] / finished if finished else None,
                "score_mean": self._scores[kind] / one.accepted if one.accepted else None,
                "given_up": given_up[kind],
                "reasons": dict(self._reasons[kind].most_common()),
            }
            result.append(one.model_copy(update=update))
        return result

    def totals(self) -> dict[str, Any]:
        """The figures of the run."""
        accepted = sum(one.accepted for one in self._types)
        rejected = sum(one.rejected for one in self._types)
        failed = sum(one.failed for one in self._types)
        finished = accepted + rejected + failed
        return {
            "accepted": accepted,
            "rejected": rejected,
            "failed": failed,
            "rounds_mean": sum(self._rounds) / finished if finished else None,
            "seconds_per_good": self._seconds / accepted if accepted else None,
            "cost_per_good": self.cost_usd / accepted if accepted else None,
            "cost_usd": self.cost_usd,
            "tokens": self._tokens + sum(tokens for _, tokens in self._to_remake.values()),
        }


def now() -> str:
    """UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def read_run_file(run_dir: Path) -> RunFile | None:
    """The run in a folder; None when there is none.

    Raises:
        TraceError: its run.json is damaged or of an unknown version.
    """
    path = run_dir / RUN_FILE
    try:
        raw = json.loads(path.read_bytes().decode("utf-8-sig", "surrogateescape"))  # a path of the command may be no text
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise TraceError(f"{path} cannot be read ({error}). Restore it, or start in a new folder.") from error
    if not isinstance(raw, dict) or raw.get("run_version") != RUN_VERSION:
        raise TraceError(f"{path} is no run of version {RUN_VERSION}, the one that this program reads. Use a new folder.")
    try:
        return RunFile.model_validate(raw)
    except ValidationError as error:
        fault = first_fault(error, "the file")
        raise TraceError(f"{path} is not a valid run: {fault}. Restore it, or start in a new folder.") from error


def decisive_settings(settings: Settings) -> dict[str, Any]:
    """The settings that shape the result, flat: `limits.rounds` -> 3."""
    return {key: value for key, value in _flat(settings.model_dump(mode="json")).items() if not _is_free(key)}


def _is_free(key: str) -> bool:
    return any(key == free or key.startswith(f"{free}.") for free in FREE_SETTINGS)


def digest_of_files(settings: Settings) -> dict[str, str]:
    """SHA-256 of the files that the tools' options `zone_mask` and `reference` name: setting -> digest.

    Raises:
        RunError: one cannot be read, or the zone mask is a folder.
    """
    found: dict[str, str] = {}
    for tool, options in (("image_gen", settings.tools.image_gen.options), ("prompt_gen", settings.tools.prompt_gen.options)):
        for option in ("zone_mask", "reference"):
            if not options.get(option):
                continue
            path = expand_home(str(options[option]))
            if option == "zone_mask" and path.is_dir():
                raise RunError(f"the zone mask {path} is a folder. Give one image, drawn on one of the photos.")
            files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
            digest = hashlib.sha256()
            for file in files:
                digest.update(f"{file.relative_to(path)}\0".encode("utf-8", "surrogatepass"))
                try:
                    digest.update(hashlib.sha256(file.read_bytes()).digest())
                except OSError as error:
                    raise RunError(
                        f"cannot read {file}: {error.strerror or error}. Check the path and its permissions."
                    ) from error
            found[f"tools.{tool}.options.{option}"] = digest.hexdigest()
    return found


def digest_of(value: Any) -> str:
    """SHA-256 of plain data."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode("utf-8", "surrogatepass")).hexdigest()


def refuse_changes(old: RunFile, new: RunFile, inputs: Mapping[str, str], run_dir: Path) -> None:
    """Compare a stored run with what is asked for now.

    Args:
        inputs: name -> hash of every normal image given now.
    Raises:
        RunError: they differ; names the differences.
    """
    found: list[str] = []
    if old.item != new.item:
        found.append(f"item: {old.item!r} then, {new.item!r} now")
    then, today = decisive_settings(old.settings), decisive_settings(new.settings)
    found += [
        f"{key}: {then.get(key)!r} then, {today.get(key)!r} now"
        for key in sorted(then | today)
        if then.get(key) != today.get(key) and not any(other.startswith(f"{key}.") for other in then | today)
    ]
    names_then, names_now = [plan.anomaly_type for plan in old.plans], [plan.anomaly_type for plan in new.plans]
    if names_then != names_now:
        found.append(f"anomaly types: {', '.join(names_then)} then, {', '.join(names_now)} now")
    else:
        for before, after in zip(old.plans, new.plans, strict=True):
            if after.count < before.count:
                found.append(
                    f"samples of {before.anomaly_type!r}: {before.count} then, {after.count} now (the number may only grow)"
                )
    found += [
        f"the files of {key} were changed"
        for key in sorted(old.files_sha256 | new.files_sha256)
        if old.files_sha256.get(key) != new.files_sha256.get(key) and then.get(key) == today.get(key)
    ]
    if old.cards_sha256 != new.cards_sha256:
        found.append("the knowledge cards were changed")
    before = old.inputs.identity()
    found += [f"normal image {name}: gone" for name in before if name not in inputs]
    found += [f"normal image {name}: new" for name in inputs if name not in before]
    found += [f"normal image {name}: changed" for name in inputs if name in before and before[name] != inputs[name]]
    own = "anomalyagent"
    if old.versions.get(own) != new.versions.get(own):
        found.append(f"{own}: {old.versions.get(own)} then, {new.versions.get(own)} now")
    if found:
        shown = "\n  ".join(found[:MOST_DIFFERENCES])
        more = f"\n  and {len(found) - MOST_DIFFERENCES} more" if len(found) > MOST_DIFFERENCES else ""
        raise RunError(
            f"{run_dir} holds a run of another request, and mixing the two would spoil it. What differs:\n  {shown}{more}\n"
            "Give the request of that run again to continue it, or another output folder."
        )


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _short_reason(trajectory: Trajectory) -> str:
    """A reason that can be counted: the worst finding about the best image, or how the trajectory failed."""
    if trajectory.outcome == "rejected":
        findings = final_verdict(trajectory).get("findings")
        return str(findings[0]["name"]) if findings else "score too low"
    errors = [turn.observation.error for turn in trajectory.turns if turn.observation and turn.observation.error]
    return f"failed: {(errors[-1] if errors else trajectory.reason).splitlines()[0][:100]}"
