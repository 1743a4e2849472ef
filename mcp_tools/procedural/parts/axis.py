"""The middle lines of protrusions (leads, pins), measured at full resolution."""

from typing import NamedTuple

import numpy as np

from anomalyagent.mcp_tools.imaging.arrays import RGB, Field, Lab, Mask
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.geometry.warp import sample_linear
from anomalyagent.mcp_tools.procedural.geometry.windows import around
from anomalyagent.mcp_tools.procedural.parts.component import Component
from anomalyagent.mcp_tools.procedural.parts.protrusions import protrusions_of
from anomalyagent.mcp_tools.procedural.per_scene import once_per_scene

__all__ = ["Axis", "axis_of", "near_protrusions"]

_STANDS_OUT = 6.0  # CIELAB units between a protrusion and what lies beside it


class Axis(NamedTuple):
    """Middle line of a protrusion: where it starts, its direction, half its width, and how far back into the body it can be
    told from what lies beside it, all in photo pixels."""

    x: float
    y: float
    angle_rad: float
    half: float
    back: float = 0.0

    def coordinates(self, x: Field, y: Field) -> tuple[Field, Field]:
        """Along the line, outward, and across it."""
        cos, sin = float(np.cos(self.angle_rad)), float(np.sin(self.angle_rad))
        dx, dy = x - self.x, y - self.y
        return np.asarray(dx * cos + dy * sin, np.float32), np.asarray(dy * cos - dx * sin, np.float32)

    def sample(self, of: RGB | Lab, along: Field, across: Field | float) -> RGB:
        """The image's colours at such places."""
        cos, sin = float(np.cos(self.angle_rad)), float(np.sin(self.angle_rad))
        x = self.x + along * cos - across * sin - 0.5
        y = self.y + along * sin + across * cos - 0.5
        return sample_linear(of, np.asarray(x, np.float32), np.asarray(y, np.float32))


@once_per_scene
def near_protrusions(scene: Scene) -> Mask:
    """(H, W) bool: where leads and pins lie, and the shade beside them, which may pass for part of the body."""
    near = np.zeros(scene.foreground.shape, np.bool_)
    for part in protrusions_of(scene):
        axis = axis_of(scene, part)
        window = around(part.window, 0.8 * part.length_px, scene.foreground.shape)
        ys, xs = np.mgrid[window.y0 : window.y1, window.x0 : window.x1].astype(np.float32)
        along, across = axis.coordinates(xs + 0.5, ys + 0.5)
        inside = (along >= -axis.back) & (along <= part.length_px + 2.0) & (np.abs(across) <= 3.5 * axis.half)
        near[window.slices] |= inside
    return near


def axis_of(scene: Scene, part: Component) -> Axis:
    """The axis of a part, measured."""
    axis = _line_of(scene, part)
    beside = axis.half + 2.0 + 1.5 * scene.blur_sigma_px
    steps = -np.arange(0.8 * part.length_px, dtype=np.float32)[None]
    sides = 0.5 * (axis.sample(scene.lab, steps, -beside) + axis.sample(scene.lab, steps, beside))
    stands_out = np.linalg.norm(axis.sample(scene.lab, steps, 0.0) - sides, axis=2)[0] > _STANDS_OUT
    # what stands out further in, behind a stretch that does not (a print on the body), is no part of it
    gap = max(3, round(axis.half))
    ended = np.flatnonzero(np.convolve(np.append(stands_out, np.zeros(gap)), np.ones(gap), "valid") == 0)
    return axis._replace(back=max(float(ended[0]) - 1.0, 0.0) + 2.0)


def _line_of(scene: Scene, part: Component) -> Axis:
    """Measured at full resolution on the outer half, by the colour of the part; as the component says where that fails."""
    wide = part.area_px / max(part.length_px, 1.0)
    rough = Axis(*part.root_xy, part.angle_rad, 0.5 * wide)
    reach = 1.5 * wide + 3.0
    along = np.linspace(0.3, 0.85, 12, dtype=np.float32)[:, None] * np.float32(part.length_px)
    across = np.arange(-reach, reach + 0.25, 0.5, dtype=np.float32)[None]
    seen = rough.sample(scene.lab, *(grid.astype(np.float32) for grid in np.broadcast_arrays(along, across)))
    core = np.median(seen[:, np.abs(across[0]) <= 0.25 * wide + 0.5].reshape(-1, 3), axis=0)
    away = np.linalg.norm(seen - core, axis=2)
    inside = away < 0.5 * np.median(away[:, [0, -1]])
    runs = [(position, run) for position, row in zip(along[:, 0], inside, strict=True) if (run := _middle_run(row)) is not None]
    if len(runs) < 5:
        return rough
    ends = across[0][np.array([run for _, run in runs])]
    slope, start = np.polyfit([position for position, _ in runs], ends.mean(axis=1), 1)
    half = 0.5 * float(np.median(ends[:, 1] - ends[:, 0])) + 0.25
    if abs(slope) > 0.35 or half > wide + 1.0:
        return rough
    cos, sin = float(np.cos(part.angle_rad)), float(np.sin(part.angle_rad))
    x, y = part.root_xy[0] - float(start) * sin, part.root_xy[1] + float(start) * cos
    return Axis(x, y, part.angle_rad + float(np.arctan(slope)), half)


def _middle_run(row: Mask) -> tuple[int, int] | None:
    """First and last index of the run of true values that is nearest to the middle of a row; None when none is true."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], row.astype(np.int8), [0]])))
    runs = edges.reshape(-1, 2) - [0, 1]
    if not len(runs):
        return None
    middle = 0.5 * (len(row) - 1)
    first, last = min(runs, key=lambda run: max(run[0] - middle, middle - run[1], 0.0))
    return int(first), int(last)
