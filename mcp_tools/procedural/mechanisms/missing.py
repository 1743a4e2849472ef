"""Missing: a part of the object is gone and one sees what lies behind or under it.

When about the whole object is asked for, or most of one of several like pieces, its place is empty. Else, in this order: a
protrusion, what is mounted on a board, one of several round parts or what fills it, or another separable component near the
site is removed; a piece is bitten out of the outline, the background shows; on a surface without either, a layer is gone and
leaves a shallow bed of another tone. Holes are filled from their own surroundings.
"""

import cv2
import numpy as np

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.imaging.arrays import RGB, Mask
from anomalyagent.mcp_tools.imaging.inpainting import fill_from_surroundings
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.edit import Edit, Site, Target, Window
from anomalyagent.mcp_tools.procedural.geometry.shapes import blob_at, blob_distance, fractal_noise, smooth_step
from anomalyagent.mcp_tools.procedural.geometry.surface_fields import cast_shadow, window_guard
from anomalyagent.mcp_tools.procedural.geometry.windows import around
from anomalyagent.mcp_tools.procedural.parts.component import Component
from anomalyagent.mcp_tools.procedural.parts.discs import cores_of, discs_of
from anomalyagent.mcp_tools.procedural.parts.mounted import mounted_on
from anomalyagent.mcp_tools.procedural.parts.pieces import beside_others, lies_on_piece, nearest_pieces
from anomalyagent.mcp_tools.procedural.parts.protrusions import nearest_part, protrusions_of, targets_at
from anomalyagent.mcp_tools.procedural.parts.search import find_components, find_protrusions, find_repeated
from anomalyagent.mcp_tools.procedural.retouching.bare_pads import with_bare_pads
from anomalyagent.mcp_tools.procedural.retouching.cutout import clear_protrusion, cut_out, edit_of
from anomalyagent.mcp_tools.procedural.retouching.whole_object import clear_stage

__all__ = ["hollow", "render", "targets"]

_LARGEST_PART = 0.5  # of the object: what is larger is its body
_WHOLE = 0.3  # of the object: who asks for more asks for all of it, for what is left would be no part
_MOST_OF_A_PIECE = 0.4  # who asks for so much of one of several like pieces asks for all of it
_DARK = (0.12, 0.3)  # of the light beside it, that comes back out of an empty core
_ALL, _LEAST_OBJECT = 0.8, 0.1  # the same of several objects, and how much of them each must be to count


def targets(scene: Scene, spec: DefectSpec) -> list[Target]:
    """What stands out or can be told apart: such parts are lost whole, one at a time."""
    if _asks_for_all(scene, spec):
        return []
    wanted = spec.instance_px(scene.object_area_px)
    return targets_at(
        protrusions_of(scene)
        or mounted_on(scene)
        or cores_of(scene, wanted)
        or discs_of(scene, wanted)
        or find_repeated(scene, wanted)
    )


def render(site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit | None:
    """Something is gone near the site (see module docstring)."""
    if _asks_for_all(site.scene, spec):
        stage = clear_stage(site.scene, rng)
        if stage is not None:
            return edit_of(Window(0, 0, *site.scene.foreground.shape), stage.ground, stage.seat, size_fixed=True)
    piece = next(iter(nearest_pieces(site)), None)
    if piece is not None and site.area_px > _MOST_OF_A_PIECE * piece.area_px:
        return _remove(site, piece, rng)
    lead = nearest_part(site, protrusions_of(site.scene))
    if lead is not None:
        return _remove(site, lead, rng)
    mounted = nearest_part(site, mounted_on(site.scene))
    if mounted is not None:
        return _unmounted(site, mounted, rng)
    core = nearest_part(site, cores_of(site.scene, site.area_px))
    if core is not None:
        return hollow(site, core, rng)
    disc = nearest_part(site, discs_of(site.scene, site.area_px))
    if disc is not None:
        whole = piece is not None and disc.area_px > _MOST_OF_A_PIECE * piece.area_px
        return _remove(site, piece if piece is not None and whole else disc, rng)
    components = [part for part in find_components(site) if part.area_px < _LARGEST_PART * site.scene.object_area_px]
    components = [part for part in components if lies_on_piece(site.scene, part)]
    parts = find_protrusions(site)[:2] + components[:3]
    if parts and rng.random() < 0.9:
        return _remove(site, parts[int(rng.integers(len(parts)))], rng)
    return _bite(site, spec, rng) or _bare(site, spec, rng)


def _asks_for_all(scene: Scene, spec: DefectSpec) -> bool:
    """Of several objects on a tray one may be a third of all, and only that one is missing then."""
    if scene.fills_frame or spec.area_fraction <= _WHOLE:
        return False
    _, _, stats, _ = cv2.connectedComponentsWithStats(scene.foreground.astype(np.uint8))
    several = np.count_nonzero(stats[1:, cv2.CC_STAT_AREA] > _LEAST_OBJECT * scene.object_area_px) > 1
    return not several or spec.area_fraction > _ALL


def _remove(site: Site, part: Component, rng: np.random.Generator) -> Edit:
    """The part replaced by its surroundings; behind a protrusion that is the background."""
    if part.root_xy != part.center_xy:
        return _remove_with_shadow(site, part, rng)
    lifted = cut_out(site, part, 4.0, rng)
    paint = lifted.ground
    if rng.random() < 0.3 and _sits_in_a_body(site, part):  # an empty seat: dirt or shade where the part was
        soft = cv2.GaussianBlur(lifted.cover, (0, 0), 0.12 * float(np.sqrt(part.area_px)) + 0.6)
        seat = smooth_step((soft * 1.3 - 0.3).astype(np.float32))
        paint = paint * (1.0 - np.float32(rng.uniform(0.05, 0.2)) * seat)[..., None]
    return edit_of(lifted.window, paint.astype(np.float32), lifted.seat, size_fixed=True)


def _unmounted(site: Site, part: Component, rng: np.random.Generator) -> Edit:
    """A component replaced by the board, with its bare pads."""
    lifted = cut_out(site, part, 4.0, rng)
    paint = with_bare_pads(site.scene, part, lifted.window, lifted.ground, rng)
    return edit_of(lifted.window, paint, lifted.seat, size_fixed=True)


def _sits_in_a_body(site: Site, part: Component) -> bool:
    """False for what lies by itself on a bench or a tray, which keeps no trace of it."""
    ring = cv2.dilate(part.mask.astype(np.uint8), np.ones((7, 7), np.uint8)).astype(bool) & ~part.mask
    return bool(site.scene.foreground[part.window.slices][ring].mean() > 0.5) if ring.any() else True


def hollow(site: Site, core: Component, rng: np.random.Generator, depths: tuple[float, float] = _DARK) -> Edit:
    """What fills a round part is gone, and one looks into the dark; the wall that faces the light is less so."""
    lifted = cut_out(site, core, 2.0, rng)
    shade = cast_shadow(1.0 - lifted.cover, site.scene.light, 0.5 * core.length_px, float(rng.uniform(0.5, 0.7)))
    deep = float(rng.uniform(*depths)) * (1.0 - shade)
    even = lifted.ground.reshape(-1, 3).mean(axis=0)  # it is narrow, so its walls light each other
    paint = (0.5 * even + 0.5 * lifted.ground) * deep[..., None]
    cover = cv2.GaussianBlur(lifted.cover, (0, 0), 0.5 + 0.5 * site.scene.blur_sigma_px)
    return edit_of(lifted.window, paint.astype(np.float32), np.asarray(cover, np.float32), size_fixed=True)


def _remove_with_shadow(site: Site, part: Component, rng: np.random.Generator) -> Edit:
    """A protrusion and the shadow that it casts on the background, replaced by the background between its neighbours."""
    wide = part.area_px / max(part.length_px, 1.0)
    window = around(part.window, 2.5 * wide + 4.0, site.scene.foreground.shape)
    cleared = clear_protrusion(site, part, window, rng, whole=True)
    return edit_of(window, cleared.ground, cleared.seat, size_fixed=True)


def _bite(site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit | None:
    """A piece broken or left out at the outline; None when no background is in reach."""
    scene = site.scene
    size = float(np.sqrt(site.area_px))
    x, y = round(site.center_xy[0]), round(site.center_xy[1])
    if scene.fills_frame or scene.depth_px[y, x] > 1.2 * size + 2.0:
        return None
    window = around(site.window, 0.3 * size, scene.foreground.shape)
    foreground = scene.foreground[window.slices]
    if np.count_nonzero(~foreground) < 0.05 * foreground.size:
        return None
    center = _nearest_outline(foreground, window, (x, y))
    outline = blob_distance(
        window,
        center,
        site.area_px * 2.0,  # half of it hangs over the outline
        rng,
        elongation=min(spec.elongation, 4.0),
        angle_rad=site.angle_rad,
        lobes=float(rng.uniform(0.1, 0.3)),
        roughness=float(rng.uniform(0.02, 0.12)),
    )
    behind = cv2.dilate(foreground.astype(np.uint8), np.ones((7, 7), np.uint8)).astype(bool)
    if behind.all():
        return None
    rgb = scene.photo.rgb[window.slices]
    paint = fill_from_surroundings(rgb, behind, rng)
    width = 1.0 + 1.2 * scene.blur_sigma_px
    gone = smooth_step((outline + 0.5 * width) / width)
    # the broken edge has a thickness: a thin wall, lit or dark
    wall_px = max(0.05 * size, 1.0)
    wall = smooth_step((outline + width + wall_px) / width) * (1.0 - gone)
    tone = float(rng.choice([-1.0, 1.0]) * rng.uniform(0.1, 0.35))
    paint = paint * gone[..., None] + (1.0 - gone)[..., None] * _toned(rgb, tone)
    near = cv2.dilate(foreground.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(np.float32)
    cover = np.clip(gone + wall * foreground, 0.0, 1.0) * near * (1.0 - beside_others(scene, center, window))
    return edit_of(window, paint.astype(np.float32), cover.astype(np.float32))


def _nearest_outline(foreground: Mask, window: Window, at: tuple[int, int]) -> tuple[float, float]:
    ys, xs = np.nonzero(~foreground)
    px, py = xs + window.x0, ys + window.y0
    nearest = int(((px - at[0]) ** 2 + (py - at[1]) ** 2).argmin())
    return float(px[nearest]), float(py[nearest])


def _toned(rgb: RGB, tone: float) -> RGB:
    return rgb * (1.0 + tone) if tone < 0 else rgb + (1.0 - rgb) * tone


def _bare(site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit:
    """A layer of the surface is gone: an even, shallow bed of its own tone and grain, with a sharp step around it."""
    size = float(np.sqrt(site.area_px))
    outline = blob_at(
        site,
        rng,
        elongation=min(spec.elongation, 12.0),
        lobes=float(rng.uniform(0.1, 0.3)),
        roughness=float(rng.uniform(0.04, 0.2)),
    )
    rgb = site.scene.photo.rgb[site.window.slices]
    cover = (np.clip(outline + 0.5, 0.0, 1.0) * window_guard(site, 2.0)).astype(np.float32)
    reach = 2 * max(int(0.3 * size), 1) + 1
    even = cv2.blur(rgb, (reach, reach), borderType=cv2.BORDER_REFLECT)
    mean = even[cover > 0.5].mean(axis=0) if (cover > 0.5).any() else even.mean(axis=(0, 1))
    dark = float(mean.mean()) > 0.3 or rng.random() < 0.3
    strength = min(spec.severity / 12.0, 1.0) * float(rng.uniform(0.5, 1.0))
    base = 0.5 * even + 0.5 * mean + 0.3 * (rgb - even)  # what lies below was worked like the surface
    grain = fractal_noise(site.window.shape, 3.0, rng, octaves=2) * 0.6 + fractal_noise(
        site.window.shape, 0.4 * size + 2.0, rng
    )
    bed = (base * (1.0 - 0.7 * strength) if dark else base + (0.9 - base) * 0.5 * strength) * (1.0 + 0.05 * grain)[..., None]
    # the step shades the side of the bed that is turned towards the light
    shade = cast_shadow((1.0 - cover).astype(np.float32), site.scene.light, max(0.06 * size, 1.0), 0.7)
    paint = bed * (1.0 - shade)[..., None]
    return Edit(
        window=site.window,
        support=cover > 0.01,
        paint=np.clip(paint, 0.0, 1.0).astype(np.float32),
        opacity=cover,
        strength_fixed=True,
    )
