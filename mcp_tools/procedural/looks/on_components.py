"""A defect of one component of a board: a cracked capacitor, a scratched chip, a burnt resistor.

The component is the object that the mechanism sees: what breaks off is a piece of it, behind which the board appears, and what
covers it ends with it.
"""

import re
from dataclasses import dataclass, replace

import cv2
import numpy as np

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.knowledge.words.lexer import plain
from anomalyagent.knowledge.words.quoted_type import quoted_type
from anomalyagent.mcp_tools.imaging.arrays import Mask
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.edit import Edit, Site, Target, Window
from anomalyagent.mcp_tools.procedural.engine import STROKES, MechanismModule
from anomalyagent.mcp_tools.procedural.parts.component import Component, mask_in
from anomalyagent.mcp_tools.procedural.parts.mounted import mounted_on
from anomalyagent.mcp_tools.procedural.per_scene import once_per_scene

__all__ = ["OnComponents", "names_component"]

_COMPONENTS = re.compile(
    r"\b(?:components?|capacitors?|resistors?|inductors?|transistors?|diodes?|relays?|packages?|ics?|leds?|crystals?|"
    r"(?:damaged|broken|burn(?:ed|t)|scratched|cracked|scorched|defective) chips?)\b"
)
_MOST, _MOST_OF_STROKES = 0.35, 0.12  # of a component that a defect on it covers
_LEAST_PX = 20.0  # side of a component on which it can be seen what it has
_ON_THE_BOARD = 0.9  # of it: a can of the backdrop's colour is taken for a hole, where nothing may be drawn
_SPARE = 1.05  # of its area


@dataclass(frozen=True)
class OnComponents:
    """A mechanism that is kept on one component of a board."""

    mechanism: MechanismModule

    def targets(self, scene: Scene, spec: DefectSpec) -> list[Target]:
        """A point of each component that is large enough, for the asked area."""
        rng = np.random.default_rng([spec.seed, 7])
        area = max(spec.instance_px(scene.object_area_px), 1.0)
        found: list[Target] = []
        for part in _bare_components(scene):
            ys, xs = np.nonzero(part.mask)
            one = int(rng.integers(len(xs)))
            point = float(xs[one] + part.window.x0), float(ys[one] + part.window.y0)
            found.append(Target(point, min(area, _most(spec, part))))
        return found

    def render(self, site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit | None:
        """As the mechanism draws it on the component at the site, or on the nearest one; None where there is none."""
        parts = _bare_components(site.scene)
        if not parts:
            return None
        away = [_distance(site, part) for part in parts]
        part = parts[int(np.argmin(away))]
        if min(away) > 0.0:
            site = replace(site, center_xy=part.center_xy, window=part.window)
        height, width = site.scene.photo.shape
        alone = site.scene.narrowed(mask_in(Window(0, 0, height, width), part))
        small = replace(site, scene=alone, area_px=min(site.area_px, _most(spec, part)))
        edit = self.mechanism.render(small, spec, rng)
        return None if edit is None else replace(edit, support=edit.support & alone.foreground[edit.window.slices])


def names_component(prompt: str) -> bool:
    """True when the quoted name of the defect speaks of a component."""
    quoted = quoted_type(prompt)
    return quoted is not None and bool(_COMPONENTS.search(plain(quoted)))


@once_per_scene
def _bare_components(scene: Scene) -> tuple[Component, ...]:
    """The components that are large enough and lie on the board; their masks are without the blurred border."""
    bare = [part._replace(mask=_without_border(part)) for part in mounted_on(scene) if part.area_px >= _LEAST_PX**2]
    return tuple(part for part in bare if scene.foreground[part.window.slices][part.mask].mean() > _ON_THE_BOARD)


def _without_border(part: Component) -> Mask:
    body = part.mask.astype(np.uint8)
    while np.count_nonzero(body) > _SPARE * part.area_px:
        body = cv2.erode(body, np.ones((3, 3), np.uint8))
    return body > 0


def _distance(site: Site, part: Component) -> float:
    """Pixels between the site and the component; 0 where it lies on it."""
    ys, xs = np.nonzero(part.mask)
    dx, dy = xs + part.window.x0 - round(site.center_xy[0]), ys + part.window.y0 - round(site.center_xy[1])
    return float(np.hypot(dx, dy).min())


def _most(spec: DefectSpec, part: Component) -> float:
    """Area in pixels of the largest such defect on a component."""
    return (_MOST_OF_STROKES if spec.mechanism in STROKES else _MOST) * part.area_px
