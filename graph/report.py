"""report.html: the contact sheet of a run, one file that works offline.

For each sample the normal photo, the anomaly, a close-up and the outline of the mask, with scores, prompt and findings.
Of a large run a share of each type is shown, evenly picked, so that the file stays small enough to send around.
"""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import cv2
import jinja2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.graph.files import write_atomically
from anomalyagent.graph.progress import Round, read_progress
from anomalyagent.graph.runfile import RunFile, TypeSummary
from anomalyagent.graph.tasks import Slot
from anomalyagent.graph.trace import Trajectory
from anomalyagent.mcp_tools.contracts import Finding
from anomalyagent.mcp_tools.imaging.arrays import RGB, Mask
from anomalyagent.mcp_tools.imaging.photo import read_mask, read_photo

__all__ = ["REPORT_FILE", "choose_shown", "write_report"]

REPORT_FILE = "report.html"
MOST_SAMPLES = 240
FEWEST_SAMPLES = 24
MOST_PIXELS = 240 * 512 * 512
"""Of all samples shown together: larger photos, fewer samples, so that the sheet is made in seconds."""
THUMB_PX = 232
JPEG_QUALITY = 85
CLOSE_UP_SHARE = 0.35
"""Close-ups show at most this share of the photo's longer side, or the whole defect."""
OUTLINE_RGB = (1.0, 0.23, 0.45)


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
    pixels = 1 if first is None else read_photo(run_dir / read(first).task.normal_image).rgb[..., 0].size
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
    normal = read_photo(run_dir / trajectory.task.normal_image)
    anomaly = read_photo(run_dir / str(trajectory.final_image)).shown_with(normal.scale)
    mask = read_mask(run_dir / str(trajectory.mask))
    progress = read_progress(trajectory.turns)
    final: Round = next(one for one in progress.rounds if one.result.image == trajectory.final_image)
    folder = next(plan.folder for plan in run.plans if plan.anomaly_type == trajectory.task.anomaly_type)
    height, width = mask.shape
    return _Sample(
        number=number,
        task=trajectory.id,
        file=f"{run.summary.dataset if run.summary else ''}/test/{folder}/{number:03d}.png",
        normal=_picture(_small(normal.rgb)),
        anomaly=_picture(_small(anomaly)),
        close_up=_picture(_small(_close_up(anomaly, mask))),
        outline=_picture(_outlined(anomaly, mask)),
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


def _small(rgb: RGB) -> RGB:
    """Scaled so that the longer side has THUMB_PX pixels; small photos are enlarged without smoothing."""
    height, width = rgb.shape[:2]
    scale = THUMB_PX / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small: NDArray[Any] = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST)
    return small.astype(np.float32)


def _close_up(rgb: RGB, mask: Mask) -> RGB:
    """A square window around the largest part of the mask, in the photo's own pixels."""
    height, width = mask.shape
    count, _, boxes, _ = cv2.connectedComponentsWithStats(cv2.dilate(mask.astype(np.uint8), np.ones((5, 5), np.uint8)))
    if count < 2:
        return rgb
    x, y, w, h, _ = (int(value) for value in boxes[1 + int(np.argmax(boxes[1:, cv2.CC_STAT_AREA]))])
    side = min(max(int(1.5 * max(w, h)), 48, int(min(CLOSE_UP_SHARE * max(height, width), 4 * max(w, h)))), height, width)
    x0 = min(max(0, x + w // 2 - side // 2), width - side)
    y0 = min(max(0, y + h // 2 - side // 2), height - side)
    return rgb[y0 : y0 + side, x0 : x0 + side]


def _outlined(rgb: RGB, mask: Mask) -> RGB:
    """The thumbnail, darkened a little, with the contour of the mask on it."""
    small = _small(rgb)
    canvas = np.ascontiguousarray(0.72 * small + 0.04)
    size = canvas.shape[1], canvas.shape[0]
    cover: NDArray[Any] = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    shape = (cover > 0.05).astype(np.uint8)  # thin defects vanish at half cover
    canvas[shape > 0] = small[shape > 0]
    contours, _ = cv2.findContours(cv2.dilate(shape, np.ones((3, 3), np.uint8)), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(canvas, contours, -1, OUTLINE_RGB, 2, cv2.LINE_AA)
    return canvas


def _picture(rgb: RGB) -> str:
    """A JPEG data URI (WebP would be a third smaller, but ten times slower to make)."""
    bgr = np.rint(np.clip(rgb[..., ::-1], 0.0, 1.0) * 255.0).astype(np.uint8)
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode("ascii")
