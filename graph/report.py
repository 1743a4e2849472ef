"""report.html: the contact sheet of a run, one file that works offline.

For each sample the normal photo, the anomaly, a close-up and the outline of the mask, with scores, prompt and findings.
Of a large run a share of each type is shown, evenly picked, so that the file stays small enough to send around.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import jinja2
import numpy as np

from anomalyagent.graph.dataset import sample_stem
from anomalyagent.graph.files import write_atomically
from anomalyagent.graph.pictures import close_up, data_uri, outlined, small
from anomalyagent.graph.progress import Round, read_progress
from anomalyagent.graph.runfile import RunFile, TypeSummary
from anomalyagent.graph.tasks import Slot
from anomalyagent.graph.trace import Trajectory
from anomalyagent.mcp_tools.contracts import Finding
from anomalyagent.mcp_tools.imaging.photo import read_mask, read_own_photo

__all__ = ["REPORT_FILE", "choose_shown", "write_report"]

REPORT_FILE = "report.html"
MOST_SAMPLES = 240
FEWEST_SAMPLES = 24
MOST_PIXELS = 240 * 512 * 512
"""Of all samples shown together: larger photos, fewer samples, so that the sheet is made in seconds."""
THUMB_PX = 232


@dataclass(frozen=True)
class _Sample:
    """One card of the sheet; images are data URIs."""

    number: int
    task: str
    file: str
    normal: str
    anomaly: str
    close_up: str
    outline: str
    width: int
    height: int
    location: float
    quality: float
    score: float
    rounds: int
    seed: int
    source: str
    mechanism: str
    area_percent: str
    prompt: str
    review: str
    findings: list[Finding]


@dataclass(frozen=True)
class _Section:
    """One anomaly type."""

    summary: TypeSummary
    samples: list[_Sample]
    anchor: str
    reason: str


def write_report(run_dir: Path, run: RunFile, accepted: Sequence[Sequence[Slot]], read: Callable[[Slot], Trajectory]) -> None:
    """Make the contact sheet.

    Args:
        accepted: tasks of the accepted samples of each type, in order.
        read: gives the trajectory of a task.
    Raises:
        RunError: it cannot be written.
        ImageError: an image of the run cannot be read.
    """
    assert run.summary is not None
    first = next((slots[0] for slots in accepted if slots), None)
    pixels = 1 if first is None else read_own_photo(run_dir / read(first).task.normal_image).rgb[..., 0].size
    most = max(FEWEST_SAMPLES, min(MOST_SAMPLES, MOST_PIXELS // pixels))
    sources = {normal.ref: normal.source for normal in run.inputs.normals}
    sections: list[_Section] = []
    for kind, (summary, slots) in enumerate(zip(run.summary.types, accepted, strict=True)):
        shown = choose_shown([len(one) for one in accepted], most)[kind]
        samples = [_sample(run_dir, run, number, read(slots[number]), sources) for number in shown]
        sections.append(_Section(summary, samples, f"type-{kind}", run.plans[kind].reason))
    template = resources.files("anomalyagent.graph").joinpath("report.html.j2").read_text("utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    html = environment.from_string(template).render(run=run, summary=run.summary, sections=sections)
    write_atomically(run_dir / REPORT_FILE, html.encode("utf-8", "replace"))


def choose_shown(counts: Sequence[int], most: int) -> list[list[int]]:
    """Numbers of the samples of each type to show: all when they fit, else an equal share of each type, evenly picked."""
    shares = [0] * len(counts)
    left = most
    waiting = [kind for kind, count in enumerate(counts) if count]
    while waiting and left >= len(waiting):
        share = left // len(waiting)
        for kind in waiting:
            given = min(share, counts[kind] - shares[kind])
            shares[kind] += given
            left -= given
        waiting = [kind for kind in waiting if shares[kind] < counts[kind]]
    return [
        [int(number) for number in np.linspace(0, count - 1, share).round()] if share else []
        for count, share in zip(counts, shares, strict=True)
    ]


def _sample(run_dir: Path, run: RunFile, number: int, trajectory: Trajectory, sources: dict[str, str]) -> _Sample:
    normal = read_own_photo(run_dir / trajectory.task.normal_image)
    anomaly = read_own_photo(run_dir / str(trajectory.final_image)).shown_with(normal.scale)
    mask = read_mask(run_dir / str(trajectory.mask))
    progress = read_progress(trajectory.turns)
    final: Round = next(one for one in progress.rounds if one.result.image == trajectory.final_image)
    plan = next(plan for plan in run.plans if plan.anomaly_type == trajectory.task.anomaly_type)
    height, width = mask.shape
    return _Sample(
        number=number,
        task=trajectory.id,
        file=f"{run.summary.dataset if run.summary else ''}/test/{plan.folder}/{sample_stem(number, plan.count)}.png",
        normal=data_uri(small(normal.rgb, THUMB_PX)),
        anomaly=data_uri(small(anomaly, THUMB_PX)),
        close_up=data_uri(small(close_up(anomaly, mask), THUMB_PX)),
        outline=data_uri(outlined(anomaly, mask, THUMB_PX)),
        width=width,
        height=height,
        location=trajectory.location_score or 0.0,
        quality=trajectory.quality_score or 0.0,
        score=trajectory.score or 0.0,
        rounds=trajectory.rounds,
        seed=trajectory.task.seed,
        source=sources.get(trajectory.task.normal_image, trajectory.task.normal_image),
        mechanism=final.result.spec.mechanism if final.result.spec else "",
        area_percent=f"{100 * float(mask.mean()):.2g}",
        prompt=str(final.arguments.get("prompt", "")),
        review=final.evaluation.review if final.evaluation else "",
        findings=final.evaluation.findings if final.evaluation else [],
    )
