"""A defect that the words place on the head, the neck, the thread or the tip of a fastener, and that is kept there."""

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.knowledge.words.lexer import plain
from anomalyagent.mcp_tools.imaging.arrays import Mask
from anomalyagent.mcp_tools.imaging.color import lab_from_rgb
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.edit import Edit, Site, Target
from anomalyagent.mcp_tools.procedural.engine import MechanismModule
from anomalyagent.mcp_tools.procedural.light.material import median_background
from anomalyagent.mcp_tools.procedural.parts.fastener import Fastener, Place

__all__ = ["Placed", "named_place"]

_FASTENER = re.compile(r"\b(?:screws?|bolts?|nails?|rivets?|studs?|fasteners?)\b")
_PLACES: tuple[tuple[Place, re.Pattern[str]], ...] = (
    ("head", re.compile(r"\bheads?\b")),
    ("neck", re.compile(r"\b(?:necks?|shanks?|shafts?)\b")),
    ("thread", re.compile(r"\bthread(?:s|ed)?\b")),
    ("tip", re.compile(r"\b(?:tips?|front|pointed end|foremost end)\b")),
)
_BELOW_HEAD = re.compile(r"\b(?:below|under|beneath) the head\b")
_POINTS = 32


def named_place(prompt: str) -> Place | None:
    """The place of a fastener that the words name; None when they name none, or several, or no fastener."""
    words = plain(prompt)
    if not _FASTENER.search(words):
        return None
    below = _BELOW_HEAD.search(words)
    words = _BELOW_HEAD.sub(" neck " if below else " ", words)
    named: list[Place] = [place for place, pattern in _PLACES if pattern.search(words)]
    return named[0] if len(named) == 1 else None


def _own(scene: Scene, place: Mask) -> Mask:
    """(H, W) bool: what of a place looks like its middle rather than like the ground: shade beside a part is no part of it."""
    beside = median_background(scene)
    deep = place & (scene.depth_px > 0.6 * float(scene.depth_px[place].max(initial=0.0)))
    if beside is None or not deep.any():
        return place
    ground = lab_from_rgb(beside[None, None])[0, 0]
    away = [np.linalg.norm(scene.lab - color, axis=2) for color in (np.median(scene.lab[deep], axis=0), ground)]
    own = np.asarray(place & (away[0] < away[1]), np.bool_)
    return own if own.any() else place


@dataclass(frozen=True)
class Placed:
    """A mechanism that is kept on one place of a fastener."""

    mechanism: MechanismModule
    fastener: Fastener
    place: Place

    def render(self, site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit | None:
        """As the mechanism draws it."""
        return self.mechanism.render(site, spec, rng)

    def targets(self, scene: Scene, spec: DefectSpec) -> list[Target]:
        """Points of the place, as large as is asked for."""
        place = self.fastener.mask(scene, self.place)
        ys, xs = np.nonzero(_own(scene, place))
        if not len(xs):
            return []
        chosen = np.random.default_rng([spec.seed, 7]).integers(len(xs), size=_POINTS)
        area = max(spec.instance_px(scene.object_area_px), 1.0)
        return [Target((float(xs[one]), float(ys[one])), area) for one in chosen]

    def suitability(self, scene: Scene, spec: DefectSpec) -> Callable[[float, float], float]:
        """1 in the place, 0 elsewhere, for tries that find no target there."""
        del spec
        inside = self.fastener.mask(scene, self.place)
        height, width = inside.shape
        return lambda x, y: float(inside[min(round(y), height - 1), min(round(x), width - 1)])
