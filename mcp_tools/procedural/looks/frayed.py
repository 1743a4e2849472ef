"""Holes and cuts in cloth: yarns are torn, and their ends stand into the opening.

The opening is the mechanism's own. Along its rim ends of yarn reach in, each as wide as the texture of the cloth is fine; where
they lie the cloth goes on, in the shade of the rim.
"""

import re
from dataclasses import dataclass, replace

import cv2
import numpy as np

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.knowledge.words.lexer import plain
from anomalyagent.mcp_tools.imaging.arrays import Field
from anomalyagent.mcp_tools.procedural.edit import Edit, Site
from anomalyagent.mcp_tools.procedural.engine import MechanismModule
from anomalyagent.mcp_tools.procedural.geometry.paths import spline_path, trace_stroke

__all__ = ["Frayed", "names_cloth"]

_CLOTH = re.compile(
    r"\b(?:carpets?|rugs?|fabrics?|cloths?|textiles?|clothing|garments?|denim|canvas|linen|towels?|shirts?|knit\w*|weaves?|woven|felt|yarns?"
    r"|upholstery|curtains?|gauze|burlap|jute|hessian|nonwovens?|fleece|jersey|hosiery|lace|velvet)\b"
)
_YARN_PX = (1.2, 4.0)
_APART = 2.2  # widths of a yarn along the rim from one end to the next, on average
_MOST = 60
_SHADED = 0.35  # share of the opening's darkness that lies on the ends too


@dataclass(frozen=True)
class Frayed:
    """A mechanism that opens cloth as `opening` does and frays the rim."""

    opening: MechanismModule

    def render(self, site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit | None:
        """One frayed opening; None where `opening` draws none. One that is hardly wider than a yarn stays as it is."""
        edit = self.opening.render(site, spec, rng)
        if edit is None or edit.opened is None or edit.log_reflectance is None:
            return edit
        ends = _ends(edit, edit.opened > 0.5, rng)
        if ends is None:
            return edit
        left = 1.0 - ends
        return replace(
            edit,
            opened=(edit.opened * left).astype(np.float32),
            log_reflectance=(edit.log_reflectance * (1.0 - (1.0 - _SHADED) * ends)[..., None]).astype(np.float32),
        )


def names_cloth(prompt: str) -> bool:
    """True when the words speak of cloth."""
    return bool(_CLOTH.search(plain(prompt)))


def _ends(edit: Edit, hole: np.ndarray, rng: np.random.Generator) -> Field | None:
    """(h, w) 0..1, ends of yarn from the rim into an opening."""
    depth = cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_L2, 5)
    half = float(depth.max())
    yarn = float(np.clip(0.22 * half, *_YARN_PX))
    if half < 1.5 * yarn:
        return None
    rim_y, rim_x = np.nonzero(hole & (depth <= 1.5))
    inward_y, inward_x = np.gradient(cv2.GaussianBlur(np.asarray(depth, np.float32), (0, 0), 1.5))
    count = min(int(len(rim_x) / (_APART * yarn)) + 1, _MOST)
    ends = np.zeros(hole.shape, np.float32)
    for index in rng.integers(0, len(rim_x), count):
        x, y = int(rim_x[index]), int(rim_y[index])
        heading = float(np.arctan2(inward_y[y, x], inward_x[y, x]) + rng.normal(0.0, 0.5))
        length = half * float(rng.gamma(2.0, 0.3)) + yarn
        middle = (
            edit.window.x0 + x + (0.5 * length - 0.5 * yarn) * np.cos(heading),
            edit.window.y0 + y + (0.5 * length - 0.5 * yarn) * np.sin(heading),
        )
        path = spline_path(middle, length, heading, rng, bend=float(rng.uniform(0.0, 0.4)), wobble=0.02, points=10)
        stroke = trace_stroke(edit.window, path, yarn + 2.0)
        thinner = 0.5 * yarn * float(rng.uniform(0.5, 1.1)) * (1.0 - 0.6 * stroke.along)
        ends = np.maximum(ends, stroke.coverage(thinner.astype(np.float32)))
    return ends
