"""Objects and surfaces, zones, light, noise, sharpness, orientation: measured on generated photos where they are known."""

import cv2
import numpy as np
import pytest
from helpers.photos import make_photo

from anomalyagent.knowledge.spec import ZONES
from anomalyagent.mcp_tools.imaging import scene as scene_module
from anomalyagent.mcp_tools.imaging.arrays import Mask
from anomalyagent.mcp_tools.imaging.measures import DEFAULT_LIGHT
from anomalyagent.mcp_tools.imaging.photo import Photo, photo_from_array
from anomalyagent.mcp_tools.imaging.scene import Scene, scene_of

BACKGROUNDS = {"white": (0.93, 0.93, 0.92), "black": (0.04, 0.04, 0.05), "blue": (0.2, 0.3, 0.6), "vignette": (0.9, 0.9, 0.9)}
OBJECT_COLORS = {"white": (0.35, 0.3, 0.25), "black": (0.5, 0.45, 0.3), "blue": (0.6, 0.6, 0.55), "vignette": (0.3, 0.32, 0.4)}


def shape_of(name: str, side: int) -> Mask:
    y, x = (np.mgrid[0:side, 0:side] + 0.5) / side
    match name:
        case "disc":
            return (x - 0.5) ** 2 + (y - 0.5) ** 2 < 0.33**2
        case "nut":
            distance, angle = np.hypot(x - 0.5, y - 0.5), np.arctan2(y - 0.5, x - 0.5)
            hexagon = distance < 0.33 / np.cos((angle + 10.0) % (np.pi / 3.0) - np.pi / 6.0)
            return hexagon & (distance > 0.13)
        case "bolt":
            along, across = 0.8 * (x - 0.5) + 0.6 * (y - 0.5), -0.6 * (x - 0.5) + 0.8 * (y - 0.5)
            return ((abs(along) < 0.38) & (abs(across) < 0.05)) | ((abs(along - 0.34) < 0.05) & (abs(across) < 0.11))
        case "bar":
            return abs(x - 0.45) < 0.22
        case "cut off":
            return (x - 0.95) ** 2 + (y - 0.5) ** 2 < 0.4**2
        case "four":
            return np.any([(x - a) ** 2 + (y - b) ** 2 < 0.12**2 for a in (0.27, 0.73) for b in (0.27, 0.73)], axis=0)
        case _:
            return (abs(x - 0.5) < 0.1) & (abs(y - 0.5) < 0.1)


def photograph(shape: str, backdrop: str, side: int = 200, seed: int = 0) -> tuple[Photo, Mask]:
    rng = np.random.default_rng(seed)
    mask = shape_of(shape, side)
    y, x = (np.mgrid[0:side, 0:side] + 0.5) / side
    background = np.ones((side, side, 3)) * BACKGROUNDS[backdrop]
    if backdrop == "vignette":
        background *= (1.0 - 0.7 * ((x - 0.5) ** 2 + (y - 0.5) ** 2))[..., None]
    body = np.ones((side, side, 3)) * OBJECT_COLORS[backdrop] * (1.1 - 0.3 * x - 0.15 * y)[..., None]
    body += 0.02 * cv2.GaussianBlur(rng.normal(0, 2, (side, side)), (0, 0), 1.0)[..., None]
    alpha = cv2.GaussianBlur(mask.astype(np.float64), (0, 0), 0.8)[..., None]
    image = background * (1.0 - alpha) + body * alpha + rng.normal(0, 0.006, (side, side, 3))
    return photo_from_array((np.clip(image, 0, 1) * 255).astype(np.uint8)), mask


def surface(kind: str, side: int = 200) -> Photo:
    rng = np.random.default_rng(5)
    y, x = np.mgrid[0:side, 0:side].astype(np.float64)
    noise = rng.normal(0, 1, (side, side))
    match kind:
        case "grain":
            height = noise
        case "clouds":
            height = cv2.GaussianBlur(noise, (0, 0), 12.0)
        case "brushed":
            height = cv2.GaussianBlur(noise, (0, 0), sigmaX=20.0, sigmaY=0.7)
        case "weave":
            height = np.sin(x / 4.0) * np.sin(y / 4.0)
        case "tiles":
            height = ((x // 25 + y // 25) % 2).astype(np.float64)
        case _:
            height = 40.0 * x / side
            return photo_from_array((90 + height).astype(np.uint8))
    height = (height - height.mean()) / height.std()
    return photo_from_array((np.clip(0.5 + 0.07 * height + 0.1 * x / side, 0, 1) * 255).astype(np.uint8))


def iou(a: Mask, b: Mask) -> float:
    return float((a & b).sum() / (a | b).sum())


@pytest.mark.parametrize("backdrop", list(BACKGROUNDS))
@pytest.mark.parametrize("shape", ["disc", "nut", "bolt", "bar", "cut off", "four", "small"])
def test_objects_are_found_on_every_backdrop(shape: str, backdrop: str) -> None:
    photo, mask = photograph(shape, backdrop)
    assert iou(Scene(photo).foreground, mask) > 0.93


@pytest.mark.parametrize("kind", ["grain", "clouds", "brushed", "weave", "tiles", "gradient"])
def test_surfaces_fill_the_frame(kind: str) -> None:
    scene = Scene(surface(kind))
    assert scene.fills_frame
    assert scene.box_xyxy == (0, 0, 200, 200)


def test_a_hole_that_shows_the_background_stays_a_hole_another_is_filled() -> None:
    photo, mask = photograph("nut", "white")
    assert not Scene(photo).foreground[100, 100]
    native = photo.native.copy()
    native[~mask & shape_of("disc", 200)] = (150, 120, 60)
    assert Scene(photo_from_array(native)).foreground[100, 100]


@pytest.mark.parametrize("side", [64, 150, 700, 1600])
def test_objects_are_found_at_every_size(side: int) -> None:
    photo, mask = photograph("nut", "black", side)
    assert iou(Scene(photo).foreground, mask) > 0.9


def test_grey_and_16_bit_photos_give_the_same_object() -> None:
    photo, mask = photograph("disc", "white")
    grey = photo.native[..., 1]
    for native in (grey, grey.astype(np.uint16) * 16):
        assert iou(Scene(photo_from_array(np.ascontiguousarray(native))).foreground, mask) > 0.93


def test_tiny_and_flat_photos_are_surfaces() -> None:
    for side in (32, 33, 64):
        scene = Scene(photo_from_array(np.full((side, side + 5, 3), 128, np.uint8)))
        assert scene.fills_frame
        assert scene.noise_sigma == 0.0
        assert scene.light == DEFAULT_LIGHT


@pytest.mark.parametrize("zone", ZONES)
def test_zones_lie_on_the_object_and_are_never_empty(zone: str) -> None:
    for scene in (Scene(photograph("nut", "white")[0]), Scene(photograph("bolt", "black")[0]), Scene(surface("grain"))):
        part = scene.zone_mask(zone)  # pyright: ignore[reportArgumentType]
        assert part.any()
        assert not (part & ~scene.foreground).any()


def test_edge_and_interior_share_the_object() -> None:
    scene = Scene(photograph("disc", "white")[0])
    edge, interior = scene.zone_mask("edge"), scene.zone_mask("interior")
    assert ((edge | interior) == scene.foreground).all()
    assert not (edge & interior).any()
    assert not edge[100, 100]
    x0, y0, x1, y1 = scene.box_xyxy
    assert edge[y0 + 1, (x0 + x1) // 2]
    assert scene.zone_mask("top")[y0 + 3, (x0 + x1) // 2]
    assert not scene.zone_mask("top")[y1 - 3, (x0 + x1) // 2]


def test_of_several_like_pieces_each_has_its_own_zones() -> None:
    """ "In the middle" of four candles is at each wick, not on the table between them."""
    image = np.full((240, 320, 3), 60, np.uint8)
    middles = [(80, 60), (240, 60), (80, 180), (240, 180)]
    for middle in middles:
        cv2.circle(image, middle, 45, (230, 225, 215), -1)
    scene = Scene(photo_from_array(image))
    center, top = scene.zone_mask("center"), scene.zone_mask("top")
    for x, y in middles:
        assert center[y, x]
        assert not center[y - 35, x]
        assert top[y - 35, x]
        assert not top[y + 35, x]


def test_a_crumb_beside_an_object_has_no_zones_of_its_own() -> None:
    image = np.full((240, 320, 3), 60, np.uint8)
    cv2.circle(image, (150, 120), 90, (230, 225, 215), -1)
    scene = Scene(photo_from_array(image))
    crumbs = np.asarray(image[..., 0] > 100)
    crumbs[236:239, 300:303] = True
    scene.__dict__["foreground"] = crumbs
    assert not scene.zone_mask("top")[236:239, 300:303].any()
    assert scene.zone_mask("top")[40, 150]


def test_the_edge_of_a_surface_is_along_the_frame() -> None:
    edge = Scene(surface("grain")).zone_mask("edge")
    assert edge[0].all()
    assert edge[:, -1].all()
    assert not edge[100, 100]


def test_a_frame_that_cuts_an_object_off_is_not_its_edge() -> None:
    edge = Scene(photograph("cut off", "white")[0]).zone_mask("edge")
    assert not edge[100, 199]


@pytest.mark.parametrize("sigma", [0.005, 0.02, 0.05])
def test_noise_is_measured(sigma: float) -> None:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0.0:1.0:200j, 0.0:1.0:200j]
    clean = 0.3 + 0.4 * x + 0.05 * np.sin(20 * y)
    photo = photo_from_array((np.clip(clean + rng.normal(0, sigma, clean.shape), 0, 1) * 65535).astype(np.uint16))
    assert Scene(photo).noise_sigma == pytest.approx(sigma, rel=0.2)


@pytest.mark.parametrize("sigma", [0.6, 1.0, 2.0, 3.5])
def test_sharpness_is_measured(sigma: float) -> None:
    side = 220
    image = cv2.GaussianBlur(np.where(shape_of("nut", side * 4), 0.8, 0.2), (0, 0), 4.0 * sigma)
    small = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
    photo = photo_from_array((small * 255).astype(np.uint8))
    assert Scene(photo).blur_sigma_px == pytest.approx(sigma, rel=0.3)


@pytest.mark.parametrize("azimuth_deg", [-135.0, -90.0, 0.0, 60.0, 170.0])
def test_the_light_on_a_ball_is_found(azimuth_deg: float) -> None:
    y, x = np.mgrid[-1.4:1.4:160j, -1.4:1.4:160j]
    z = np.sqrt(np.maximum(1.0 - x**2 - y**2, 0.0))
    azimuth = np.deg2rad(azimuth_deg)
    shade = 0.15 + 0.75 * np.maximum(0.0, 0.6 * (x * np.cos(azimuth) + y * np.sin(azimuth)) + 0.8 * z)
    photo = photo_from_array((np.where(x**2 + y**2 < 1, shade, 0.0) * 255).astype(np.uint8))
    found, elevation = Scene(photo).light
    assert abs((found - azimuth + np.pi) % (2 * np.pi) - np.pi) < np.deg2rad(20)
    assert 0.3 < elevation < 1.4


def test_an_evenly_lit_surface_gets_the_usual_light() -> None:
    native = np.random.default_rng(0).integers(100, 156, (120, 120), dtype=np.uint8)
    assert Scene(photo_from_array(native)).light == DEFAULT_LIGHT


@pytest.mark.parametrize("angle_deg", [0.0, 30.0, 75.0, -50.0])
def test_the_direction_of_a_brushed_surface_is_found(angle_deg: float) -> None:
    y, x = np.mgrid[0:160, 0:160]
    angle = np.deg2rad(angle_deg)
    stripes = 128 + 50 * np.sin((-x * np.sin(angle) + y * np.cos(angle)) * 0.7)
    found, coherence = Scene(photo_from_array(stripes.astype(np.uint8))).orientation_at(80, 80)
    assert abs((found - angle + np.pi / 2) % np.pi - np.pi / 2) < 0.05
    assert coherence > 0.9


def test_grain_has_no_direction_and_corners_can_be_asked() -> None:
    scene = Scene(surface("grain"))
    assert scene.orientation_at(100, 100)[1] < 0.35
    for x, y in ((0, 0), (199, 199), (-5, 300)):
        assert np.isfinite(scene.orientation_at(x, y)).all()


def test_scenes_are_shared_and_their_number_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scene_module, "_CACHE_BYTES", 3 * 64 * 64 * 60)
    photos = [photo_from_array(np.full((64, 64), 100 + number, np.uint8)) for number in range(8)]
    scenes = [scene_of(photo) for photo in photos]
    assert scene_of(photos[-1]) is scenes[-1]
    assert scene_of(photo_from_array(photos[-1].native.copy())) is scenes[-1]
    assert scene_of(photos[0]) is not scenes[0]
    assert len(scene_module._scenes) <= 3  # pyright: ignore[reportPrivateUsage]


def test_windows_measure_the_same_as_the_whole_photo() -> None:
    scene = Scene(photograph("nut", "white")[0])
    for window in ((slice(0, 50), slice(60, 200)), (slice(90, 130), slice(20, 90))):
        assert np.allclose(scene.lab_in(window), scene.lab[window], atol=1e-3)


@pytest.mark.parametrize("along", ["rows", "columns"])
def test_noise_does_not_hide_which_way_a_surface_was_rolled(along: str) -> None:
    """Rolled steel: from pixel to pixel there is only noise, streaks show from afar."""
    rng = np.random.default_rng(3)
    streaks = cv2.GaussianBlur(rng.standard_normal((200, 200)).astype(np.float32), (0, 0), sigmaX=25.0, sigmaY=3.0)
    rolled = 110 + 12 * streaks / streaks.std() + rng.normal(0, 9, (200, 200))
    grey = rolled if along == "rows" else rolled.T
    scene = Scene(photo_from_array(np.clip(grey, 0, 255).astype(np.uint8)))
    for x, y in ((50, 50), (100, 150)):
        angle, coherence = scene.orientation_at(x, y)
        assert abs(np.cos(angle) if along == "rows" else np.sin(angle)) > 0.98
        assert coherence > 0.4


def test_of_an_object_only_the_place_itself_tells() -> None:
    assert Scene(photo_from_array(make_photo("part", 0, 128))).grain == (0.0, 0.0)
