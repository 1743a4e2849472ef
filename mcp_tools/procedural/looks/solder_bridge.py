"""Solder that joins neighbouring pins of a row: it wets their flanks, thins between them and is as bright as they are."""

import re

import numpy as np
from numpy.typing import NDArray

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.knowledge.words.lexer import plain
from anomalyagent.knowledge.words.quoted_type import quoted_type
from anomalyagent.mcp_tools.imaging.arrays import Field
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.edit import Edit, Site, Target, Window
from anomalyagent.mcp_tools.procedural.geometry.shapes import fractal_noise, pixel_grid
from anomalyagent.mcp_tools.procedural.geometry.windows import around_point
from anomalyagent.mcp_tools.procedural.light.palette import MATTER, paint_of
from anomalyagent.mcp_tools.procedural.matter.bodies import relief_tone
from anomalyagent.mcp_tools.procedural.parts.pin_rows import PinPair, neighbouring_pins

__all__ = ["SolderBridge", "names_bridge"]

_BRIDGE = re.compile(
    r"\b(?:(?:solder|tin) (?:bridg\w*|shorts?|between|joining)"
    r"|bridg(?:ed|ing|es?) (?:solder|tin|pins?|pads?|leads?|joints?|contacts?)"
    r"|(?:pins?|pads?|leads?) (?:bridg\w*|shorted)|short(?:ed|ing)? (?:pins?|pads?|leads?))\b"
)
_SOLDER = next(matter for matter in MATTER if matter.name == "solder")
_LONG = (0.45, 0.85)  # share of the pins' length that it covers
_THIN = (0.15, 0.4)  # so much shorter it is half way between two pins
_OVER = 0.35  # widths of a pin by which it runs over the outer ones
_HIGH = 0.5  # of a pin's width: how high it stands
_GAPS = (0.55, 0.3, 0.15)  # how often a bridge fills one gap between pins, two, three
_BRIGHTEST = 60.0  # percentile of the pins' lightness that solder has


class SolderBridge:
    """Joins pins of a row; for photos on which `neighbouring_pins` finds some."""

    def targets(self, scene: Scene, spec: DefectSpec) -> list[Target]:
        """The places between two pins, each of the asked area, since the number of pins follows it."""
        area = spec.instance_px(scene.object_area_px)
        return [Target(_middle(pair), area) for pair in neighbouring_pins(scene)]

    def render(self, site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit:
        """A bridge over the gap nearest to the site, and over the following ones as far as the asked area goes."""
        del spec  # solder looks as it does
        scene = site.scene
        pair = min(neighbouring_pins(scene), key=lambda one: np.hypot(*(np.array(_middle(one)) - site.center_xy)))
        pin, pitch = pair.pin, float(np.linalg.norm(pair.step))
        long = float(rng.uniform(*_LONG)) * max(pin.length_px, pin.width_px)
        most = min(max(round(site.area_px / (pitch * long)), 1), 1 + pair.more)
        gaps = min(int(rng.choice(len(_GAPS), p=_GAPS)) + 1, most)
        aside = float(rng.uniform(-0.5, 0.5)) * (pin.length_px - long)
        window = around_point(
            pin.xy + 0.5 * gaps * pair.step, 0.5 * gaps * pitch + pin.width_px + long + 6.0, scene.photo.shape
        )
        inside = _outline(window, pair, gaps, long, aside, rng)
        cover = np.clip(0.5 + inside / (1.0 + scene.blur_sigma_px), 0.0, 1.0).astype(np.float32)
        # as steep as a drop at its outline, flat on top
        rise = np.sqrt(np.clip(inside, 0.0, None) / max(float(inside.max()), 0.5))
        tone = relief_tone((_HIGH * pin.width_px * rise).astype(np.float32), _SOLDER, site, rng)
        return Edit(
            window=window,
            support=cover > 0.01,
            paint=paint_of(tone, _color(scene, pair)),
            opacity=cover,
            strength_fixed=True,
            size_fixed=True,
        )


def names_bridge(prompt: str) -> bool:
    """True when the name of the type, or without one the prompt, speaks of solder that joins pins."""
    return bool(_BRIDGE.search(plain(quoted_type(prompt) or prompt)))


def _middle(pair: PinPair) -> tuple[float, float]:
    """(x, y) half way between the two pins."""
    x, y = pair.pin.xy + 0.5 * pair.step
    return float(x), float(y)


def _outline(window: Window, pair: PinPair, gaps: int, long: float, aside: float, rng: np.random.Generator) -> Field:
    """Signed distance (pixels, positive inside) to the outline: waisted between pins, round at the ends."""
    pin, pitch = pair.pin, float(np.linalg.norm(pair.step))
    run = pair.step / pitch
    x, y = pixel_grid(window)
    dx, dy = x - pin.xy[0], y - pin.xy[1]
    along, across = dx * run[0] + dy * run[1], dy * run[0] - dx * run[1]
    waist = np.square(np.sin(np.pi * along / pitch)) * np.float32(rng.uniform(*_THIN))
    wobble = np.float32(0.06 * long) * fractal_noise(window.shape, max(0.6 * long, 2.0), rng, octaves=2)
    flank = 0.5 * long * (1.0 - waist) - np.abs(across - np.float32(aside)) + wobble
    over = np.float32(_OVER * pin.width_px)
    beyond = np.maximum(-along, along - np.float32(gaps * pitch)) / over  # of the middles of the outer pins
    round_px = 0.5 * long * np.sqrt(np.clip(1.0 - np.square(np.clip(beyond, 0.0, 1.0)), 0.0, 1.0))
    ends = np.where(beyond > 0.0, round_px - 0.5 * long, 0.0)  # an ellipse closes it
    return np.minimum(flank + ends, over * (1.0 - beyond)).astype(np.float32)


def _color(scene: Scene, pair: PinPair) -> NDArray[np.float32]:
    """(3,) CIELAB: that of the pins, which are coated with solder, where they catch light."""
    pin = pair.pin
    reach = 0.35 * min(pin.width_px, pin.length_px) + 0.5
    near = []
    for middle in (pin.xy, pin.xy + pair.step):
        window = around_point(middle, reach, scene.photo.shape)
        near.append(scene.lab_in(window.slices).reshape(-1, 3))
    seen = np.concatenate(near)
    seen = seen[seen[:, 0] >= np.percentile(seen[:, 0], _BRIGHTEST)]
    return np.asarray(np.median(seen, axis=0), np.float32)
