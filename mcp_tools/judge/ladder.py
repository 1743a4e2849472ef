"""The ladder of known faults: good examples drawn by the procedural engine, each spoilt in one named way.

A spoiler takes a good example and a strength 0..1 and returns the spoilt photo, or None where it cannot be done (there
is no background to move a defect to, the light is frontal, ...). Names are those of the findings.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.errors import BackendError
from anomalyagent.knowledge.cards import Card, types_for_item
from anomalyagent.knowledge.sampling import sample_spec
from anomalyagent.knowledge.spec import DefectSpec, Mechanism, Zone
from anomalyagent.mcp_tools.imaging.arrays import RGB, Field, Mask
from anomalyagent.mcp_tools.imaging.change import visible_change
from anomalyagent.mcp_tools.imaging.photo import Photo
from anomalyagent.mcp_tools.imaging.scene import Scene, scene_of
from anomalyagent.mcp_tools.judge.blending import FEWEST_GRAIN_PX, GRAIN_DEPTH_PX
from anomalyagent.mcp_tools.judge.expectation import COMPACT, FOREIGN, THIN
from anomalyagent.mcp_tools.judge.pair import dilate, erode
from anomalyagent.mcp_tools.judge.placing import allowed_mask
from anomalyagent.mcp_tools.procedural.engine import render_defect

__all__ = ["SPOILERS", "Good", "draw_dent", "draw_good", "replace_mechanism", "spoil"]


@dataclass(frozen=True)
class Good:
    """A good example.

    Attributes:
        scene: the analysed normal photo.
        photo: with the defect.
        mask: (H, W) bool, what visibly changed.
        spec: as drawn.
        card: what was asked for.
    """

    scene: Scene
    photo: Photo
    mask: Mask
    spec: DefectSpec
    card: Card

    @property
    def change(self) -> RGB:
        """Anomaly minus normal, sRGB."""
        return self.photo.rgb - self.scene.photo.rgb


Spoiler = Callable[[Good, float, np.random.Generator], Photo | None]


def draw_good(normal: Photo, item: str, cards: Sequence[Card], rng: np.random.Generator) -> Good | None:
    """A defect of a random type of the item, clearly visible, drawn by the procedural engine; None when none fits."""
    choices = types_for_item(cards, item)
    card = choices[int(rng.integers(len(choices)))]
    spec = sample_spec(card, rng)
    return _render(scene_of(normal), spec.model_copy(update={"severity": max(5.0, spec.severity)}), card)


def draw_dent(normal: Photo, cards: Sequence[Card], rng: np.random.Generator) -> Good | None:
    """A dent, whatever the item, for judging its light; None when none can be drawn."""
    card = next(card for card in cards if card.is_general and card.mechanism == "dent")
    spec = DefectSpec(
        mechanism="dent",
        area_fraction=float(np.exp(rng.uniform(np.log(0.004), np.log(0.03)))),
        severity=float(rng.uniform(6.0, 16.0)),
        seed=int(rng.integers(2**31)),
    )
    return _render(scene_of(normal), spec, card)


def _render(scene: Scene, spec: DefectSpec, card: Card) -> Good | None:
    try:
        drawn = render_defect(scene, spec)
    except BackendError:
        return None
    return Good(scene, drawn.photo, drawn.mask, drawn.spec, card)


def spoil(name: str, good: Good, strength: float, rng: np.random.Generator) -> Photo | None:
    """The good example with the named fault, or None where that cannot be done."""
    return SPOILERS[name](good, strength, rng)


def _everywhere(good: Good, rgb: NDArray[Any]) -> Photo:
    return good.scene.photo.edited(np.asarray(rgb, np.float32), np.ones(good.mask.shape, bool))


def _soft(mask: Mask, sigma: float) -> Field:
    return np.asarray(cv2.GaussianBlur(mask.astype(np.float32), (0, 0), sigma), np.float32)


def _random_shape(good: Good, rng: np.random.Generator) -> Mask | None:
    """A rectangle or polygon of the size that the card expects, on the object."""
    low, high = good.card.variants[0].priors.area_fraction
    area = max(60.0, float(np.sqrt(low * high)) * good.scene.object_area_px)
    aspect = float(np.exp(rng.uniform(-0.8, 0.8)))
    wide, tall = int(np.sqrt(area * aspect)) + 4, int(np.sqrt(area / aspect)) + 4
    places = np.argwhere(good.scene.foreground)
    height, width = good.mask.shape
    shape = np.zeros((height, width), np.uint8)
    for _ in range(20):
        row, column = (int(value) for value in places[int(rng.integers(len(places)))])
        y, x = row - tall // 2, column - wide // 2
        if y < 0 or x < 0 or y + tall > height or x + wide > width:
            continue
        if good.scene.foreground[y : y + tall, x : x + wide].mean() < 0.97:
            continue
        if rng.random() < 0.5:
            shape[y : y + tall, x : x + wide] = 1
        else:
            corners = rng.uniform(0, 1, (6, 2)) * (wide, tall) + (x, y)
            cv2.fillPoly(shape, [cv2.convexHull(corners.astype(np.int32))], 1)
        return shape.view(bool)
    return None


def _cut_hard(good: Good, strength: float, rng: np.random.Generator) -> Photo | None:
    """A patch from elsewhere, a little darker or brighter, pasted without blending."""
    shape = _random_shape(good, rng)
    if shape is None:
        return None
    normal = good.scene.photo.rgb
    dy, dx = (int(rng.integers(side // 4, 3 * side // 4)) for side in shape.shape)
    moved = np.roll(normal, (dy, dx), axis=(0, 1))
    sign = 1.0 if rng.random() < 0.5 else -1.0
    pasted = np.clip(moved + sign * (0.03 + 0.15 * strength), 0.0, 1.0)
    return _everywhere(good, np.where(shape[..., None], pasted, normal).astype(np.float32))


def _add_halo(good: Good, strength: float, rng: np.random.Generator) -> Photo:
    """A closed ring of the opposite sign around the defect."""
    width = int(rng.integers(2, 6))
    gap = dilate(good.mask, 1)
    ring = _soft(dilate(gap, width) & ~gap, 0.7)
    mean = float(good.change[good.mask].mean())
    size = float(np.quantile(np.abs(good.change[good.mask]), 0.7))
    level = -np.sign(mean) * max(0.03 + 0.05 * strength, (0.25 + 0.5 * strength) * size)
    return _everywhere(good, np.clip(good.photo.rgb + level * ring[..., None], 0.0, 1.0).astype(np.float32))


def _move_off(good: Good, strength: float, rng: np.random.Generator) -> Photo | None:
    """The same change beside the object."""
    background = ~dilate(good.scene.foreground, 2)
    return _move(good, background, 0.5 + 0.5 * strength, rng) if background.mean() > 0.1 else None


def _move_zone(good: Good, strength: float, rng: np.random.Generator) -> Photo | None:
    """The same change on a part of the object where such a defect does not occur."""
    zones: tuple[Zone, ...] = tuple(dict.fromkeys(zone for variant in good.card.variants for zone in variant.priors.zones))
    elsewhere = good.scene.foreground & ~allowed_mask(good.scene, zones)
    return _move(good, elsewhere, 0.5 + 0.5 * strength, rng) if elsewhere.mean() > 0.1 else None


def _move(good: Good, region: Mask, share: float, rng: np.random.Generator) -> Photo | None:
    """The change moved so that this share of it lies in the region."""
    x, y, w, h = cv2.boundingRect(good.mask.view(np.uint8))
    part = good.mask[y : y + h, x : x + w]
    height, width = region.shape
    for _ in range(60):
        top, left = int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1))
        if region[top : top + h, left : left + w][part].mean() < share:
            continue
        rgb = good.scene.photo.rgb.copy()
        change = good.change[y : y + h, x : x + w] * part[..., None]
        # What cannot be seen on a bright or dark background is turned round.
        level = float(rgb[top : top + h, left : left + w][part].mean())
        flipped = (level > 0.7 and change.mean() > 0) or (level < 0.3 and change.mean() < 0)
        rgb[top : top + h, left : left + w] += -change if flipped else change
        return _everywhere(good, np.clip(rgb, 0.0, 1.0).astype(np.float32))
    return None


def _fade(good: Good, strength: float, _rng: np.random.Generator) -> Photo:
    """The change scaled down to 0.8 .. 2 just-noticeable differences."""
    aim = 2.0 - 1.2 * strength
    factor = aim / max(aim, good.spec.severity)
    return _everywhere(good, good.scene.photo.rgb + np.float32(factor) * good.change)


def _enlarge(good: Good, strength: float, _rng: np.random.Generator) -> Photo | None:
    """Drawn again, several times as large as anything expected."""
    most = max(variant.priors.area_fraction[1] for variant in good.card.variants)
    wanted = min(0.7, most * float(2.0 ** (1.5 + 2.0 * strength)))
    drawn = _render(good.scene, good.spec.model_copy(update={"area_fraction": wanted, "center": None}), good.card)
    return drawn.photo if drawn is not None and drawn.spec.area_fraction > 2.0 * most else None


def _shrink(good: Good, strength: float, _rng: np.random.Generator) -> Photo | None:
    """Only a speck of it is left."""
    least = min(variant.priors.area_fraction[0] for variant in good.card.variants)
    keep = max(4.0, least * good.scene.object_area_px * float(2.0 ** (-1.0 - 2.0 * strength)))
    if keep > 0.5 * least * good.scene.object_area_px:
        return None
    strongest = int(np.argmax(np.abs(good.change).sum(axis=2) * good.mask))
    y, x = divmod(strongest, good.mask.shape[1])
    disc = np.zeros(good.mask.shape, np.uint8)
    cv2.circle(disc, (x, y), max(1, round(float(np.sqrt(keep / np.pi)))), 1, -1)
    weight = _soft(disc.view(bool), 0.6)
    return _everywhere(good, good.scene.photo.rgb + weight[..., None] * good.change)


def _drift(good: Good, strength: float, rng: np.random.Generator) -> Photo:
    """The whole frame changes a little, as image editors and lossy files make it."""
    rgb = good.photo.rgb
    kind = int(rng.integers(4))
    if kind == 0:
        rgb = _jpeg(rgb, int(70 - 45 * strength))
    elif kind == 1:
        tint = rng.normal(0.0, 0.005, 3) if not good.scene.photo.is_grey else np.zeros(3)
        rgb = rgb + tint + (0.01 + 0.02 * strength) * (1.0 if rng.random() < 0.5 else -1.0)
    elif kind == 2:
        rgb = cv2.GaussianBlur(rgb, (0, 0), 0.5 + 0.7 * strength)
    else:
        noise = cv2.GaussianBlur(rng.normal(0.0, 1.0, rgb.shape).astype(np.float32), (0, 0), 12.0)
        rgb = rgb + noise / noise.std() * (0.008 + 0.015 * strength)
    return _everywhere(good, np.clip(rgb, 0.0, 1.0).astype(np.float32))


def _wrong_noise(good: Good, strength: float, rng: np.random.Generator) -> Photo | None:
    """Much stronger noise inside the defect."""
    sigma = max(0.02, 3.0 * good.scene.noise_sigma) * (1.0 + 2.0 * strength)
    if np.count_nonzero(erode(good.mask, GRAIN_DEPTH_PX)) < 1.5 * FEWEST_GRAIN_PX:  # a stroke too thin to have grain
        return None
    noise = rng.normal(0.0, sigma, (*good.mask.shape, 1)) * _soft(good.mask, 0.6)[..., None]
    return _everywhere(good, np.clip(good.photo.rgb + noise, 0.0, 1.0).astype(np.float32))


def _soften(good: Good, strength: float, _rng: np.random.Generator) -> Photo | None:
    """The texture in and around the defect blurred away, where there is texture."""
    patch = dilate(good.mask, 6)
    blurred = cv2.GaussianBlur(good.photo.rgb, (0, 0), 1.5 + 2.5 * strength)
    lost = np.abs(blurred - good.photo.rgb)[patch].mean()
    if lost < 0.02:
        return None
    cover = _soft(patch, 1.0)[..., None]
    return _everywhere(good, (good.photo.rgb * (1.0 - cover) + blurred * cover).astype(np.float32))


def _turn_light(good: Good, strength: float, rng: np.random.Generator) -> Photo | None:
    """A dent lit from about the opposite side."""
    azimuth, elevation = good.scene.light
    if good.spec.mechanism != "dent" or np.cos(elevation) < 0.5:
        return None
    twisted = Scene(good.scene.photo)
    twisted.__dict__["light"] = (azimuth + np.pi * (1.0 + 0.3 * (1.0 - strength) * float(rng.uniform(-1.0, 1.0))), elevation)
    drawn = _render(twisted, good.spec, good.card)
    return drawn.photo if drawn is not None else None


def replace_mechanism(spec: DefectSpec, mechanism: Mechanism) -> DefectSpec:
    """The same place, size and strength drawn by another mechanism of a fitting elongation."""
    elongation = 14.0 if mechanism in THIN else 1.4
    return spec.model_copy(update={"mechanism": mechanism, "elongation": elongation, "color_shift": None})


def _swap_type(good: Good, _strength: float, rng: np.random.Generator) -> Photo | None:
    """A compact defect where a thin one is asked for, and the other way round."""
    asked = {variant.mechanism for variant in good.card.variants}
    if asked <= THIN:
        others = sorted(COMPACT)
    elif asked <= COMPACT:
        others = sorted(THIN)
    else:
        return None
    drawn = _render(good.scene, replace_mechanism(good.spec, others[int(rng.integers(len(others)))]), good.card)
    return drawn.photo if drawn is not None else None


def _flatten(good: Good, strength: float, rng: np.random.Generator) -> Photo | None:
    """A uniform sticker with a sharp outline."""
    shape = _random_shape(good, rng)
    if shape is None:
        return None
    normal = good.scene.photo.rgb
    mean = normal[shape].mean(axis=0)
    shift = (0.08 + 0.25 * strength) * (1.0 if mean.mean() < 0.5 else -1.0)
    return _everywhere(good, np.where(shape[..., None], np.clip(mean + shift, 0.0, 1.0), normal).astype(np.float32))


def _color_wrong(good: Good, strength: float, rng: np.random.Generator) -> Photo | None:
    """A colour that the object does not have, for mechanisms that bring no foreign matter."""
    if any(v.mechanism in FOREIGN or v.priors.tint_ab is not None for v in good.card.variants) or good.scene.photo.is_grey:
        return None
    hue = float(rng.uniform(0, 2 * np.pi))
    tint = np.cos(hue + np.array([0.0, 2.1, 4.2])) * (0.1 + 0.2 * strength)
    weight = _soft(good.mask, 0.7)[..., None]
    return _everywhere(good, np.clip(good.photo.rgb + weight * tint, 0.0, 1.0).astype(np.float32))


def _exaggerate(good: Good, strength: float, _rng: np.random.Generator) -> Photo | None:
    """Several times as strong as anything expected."""
    most = max(variant.priors.severity[1] for variant in good.card.variants)
    wanted = most * float(2.0 ** (1.0 + strength))
    factor = wanted / good.spec.severity
    photo = _everywhere(good, np.clip(good.scene.photo.rgb + np.float32(factor) * good.change, 0.0, 1.0).astype(np.float32))
    reached = float(np.quantile(visible_change(good.scene.photo, photo)[good.mask], 0.8))
    return photo if reached > 1.6 * most else None


def _scatter(good: Good, strength: float, rng: np.random.Generator) -> Photo | None:
    """The same change many times over."""
    if good.mask.sum() > 0.05 * good.scene.object_area_px:
        return None
    rgb = good.photo.rgb.copy()
    for _ in range(round(8 + 12 * strength)):
        moved = _move(good, good.scene.foreground, 0.9, rng)
        if moved is not None:
            rgb += moved.rgb - good.scene.photo.rgb
    return _everywhere(good, np.clip(rgb, 0.0, 1.0).astype(np.float32))


def _compress(good: Good, strength: float, _rng: np.random.Generator) -> Photo | None:
    """The defect and its surroundings as a low-quality JPEG."""
    patch = dilate(good.mask, 8)
    if patch.sum() < 400:
        return None
    packed = _jpeg(good.photo.rgb, int(20 - 15 * strength))
    return _everywhere(good, np.where(patch[..., None], packed, good.photo.rgb).astype(np.float32))


def _jpeg(rgb: RGB, quality: int) -> RGB:
    packed = cv2.imencode(".jpg", np.rint(rgb[..., ::-1] * 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.float32)[..., ::-1] / np.float32(255.0)


SPOILERS: dict[str, Spoiler] = {
    "hard_cut": _cut_hard,
    "halo": _add_halo,
    "off_object": _move_off,
    "wrong_zone": _move_zone,
    "too_faint": _fade,
    "too_strong": _exaggerate,
    "oversized": _enlarge,
    "undersized": _shrink,
    "fragmented": _scatter,
    "background_drift": _drift,
    "noise_mismatch": _wrong_noise,
    "sharpness_mismatch": _soften,
    "compression": _compress,
    "wrong_light": _turn_light,
    "wrong_shape": _swap_type,
    "flat_interior": _flatten,
    "implausible_color": _color_wrong,
}
"""Each fault with what brings it about."""
