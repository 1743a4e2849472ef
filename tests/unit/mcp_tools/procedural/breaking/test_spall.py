"""Spalls inside a face: a broken floor in the light of the photo, or the ground below a coating."""

import cv2
import numpy as np
import pytest
from helpers.photos import make_photo

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.imaging.arrays import Field, Mask
from anomalyagent.mcp_tools.imaging.color import lab_from_rgb
from anomalyagent.mcp_tools.imaging.photo import photo_from_array
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.breaking.named_body import Body, named_body
from anomalyagent.mcp_tools.procedural.engine import Rendered, render_defect
from anomalyagent.mcp_tools.procedural.mechanisms.chip import Breaking


def spall(scene: Scene, seed: int, body: Body | None = None, **fields: object) -> Rendered:
    given = {"mechanism": "chip", "zone": "center", "area_fraction": 0.04, "elongation": 1.5, "severity": 12.0, "seed": seed}
    return render_defect(scene, DefectSpec.model_validate({**given, **fields}), Breaking(body or Body()))


def slab(size: int = 192) -> Scene:
    """Concrete, evenly lit."""
    rng = np.random.default_rng(5)
    return Scene(photo_from_array(np.clip(rng.normal(165, 3, (size, size)), 0, 255).astype(np.uint8)))


def slopes(grey: Field, inside: Mask, azimuth: float) -> tuple[float, float]:
    """Steepness of a picture along the light and across it."""
    x, y = (cv2.Sobel(grey, cv2.CV_32F, *order, scale=0.125)[inside] for order in ((1, 0), (0, 1)))
    along, across = x * np.cos(azimuth) + y * np.sin(azimuth), -x * np.sin(azimuth) + y * np.cos(azimuth)
    return float(np.abs(along).mean()), float(np.abs(across).mean())


def test_the_floor_of_a_spall_is_a_relief_in_the_light_of_the_photo_and_no_pattern_on_paper() -> None:
    scene = slab()
    ratios: list[float] = []
    for seed in range(10):
        made = spall(scene, seed)
        inside = cv2.erode(made.mask.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
        along, across = slopes(
            np.asarray(cv2.GaussianBlur(made.photo.rgb[..., 1], (0, 0), 1.0), np.float32), inside, scene.light[0]
        )
        ratios.append(along / across)
    assert np.median(ratios) > 1.25, ratios


def test_the_wall_of_a_spall_throws_shadow_on_the_side_of_the_light_only() -> None:
    scene = slab()
    towards = np.array([np.cos(scene.light[0]), np.sin(scene.light[0])])
    differences: list[float] = []
    for seed in range(10):
        made = spall(scene, seed, color_shift=(-4.0, 0.0, 0.0))
        rows, columns = np.nonzero(made.mask)
        where = np.stack([columns - columns.mean(), rows - rows.mean()], 1) @ towards
        change = (made.photo.rgb - scene.photo.rgb).mean(2)[made.mask]
        rim = cv2.distanceTransform(made.mask.astype(np.uint8), cv2.DIST_L2, 3)[made.mask] < 4.0
        near, far = rim & (where > np.percentile(where, 75)), rim & (where < np.percentile(where, 25))
        differences.append(float(change[far].mean() - change[near].mean()))
    assert np.median(differences) > 0.08, differences
    assert min(differences) > 0.0


def test_where_a_coating_came_off_the_ground_has_a_colour_of_its_own() -> None:
    rng = np.random.default_rng(2)
    blue = np.clip(np.array([60, 95, 150]) + rng.normal(0, 1.0, (192, 192, 1)), 0, 255).astype(np.uint8)
    scene = Scene(photo_from_array(blue))
    colour = float(np.median(np.hypot(*np.moveaxis(scene.lab[..., 1:], -1, 0))))
    left: list[float] = []
    for seed in range(8):
        made = spall(scene, seed, Body(coated=True))
        lab = lab_from_rgb(made.photo.rgb)
        left.append(float(np.median(np.hypot(lab[..., 1], lab[..., 2])[made.mask])) / colour)
    assert np.median(left) < 0.6, left


def test_the_ground_below_the_flakes_of_one_coating_is_the_same() -> None:
    rng = np.random.default_rng(2)
    blue = np.clip(np.array([60, 95, 150]) + rng.normal(0, 1.0, (192, 192, 1)), 0, 255).astype(np.uint8)
    scene = Scene(photo_from_array(blue))
    spread: list[float] = []
    for seed in range(5):
        made = spall(scene, seed, Body(coated=True), count=4, zone="any")
        _, flakes = cv2.connectedComponents(cv2.erode(made.mask.astype(np.uint8), np.ones((3, 3), np.uint8)))
        lab = lab_from_rgb(made.photo.rgb)
        sizes = np.bincount(flakes.ravel())[1:]
        tones = [float(np.median(lab[flakes == 1 + i, 0])) for i in range(len(sizes)) if sizes[i] > 40]
        spread.append(float(np.ptp(tones)))
    assert np.median(spread) < 9.0, spread


def test_a_spall_in_an_object_without_colour_has_none() -> None:
    grey = np.repeat(cv2.cvtColor(make_photo("surface", 1, 128), cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    made = spall(Scene(photo_from_array(grey)), 1)
    assert np.ptp(made.photo.native.astype(int), axis=2).max() <= 1


def test_the_frame_is_no_edge_of_a_wall() -> None:
    """Breaks at the frame of a photo of concrete were shells with ribs, like sawn wood."""
    scene = slab()
    ratios: list[float] = []
    for seed in range(8):
        made = spall(scene, seed, Body(coarse=True), zone="edge")
        inside = cv2.erode(made.mask.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
        along, across = slopes(
            np.asarray(cv2.GaussianBlur(made.photo.rgb[..., 1], (0, 0), 1.0), np.float32), inside, scene.light[0]
        )
        ratios.append(along / across)
    assert np.median(ratios) > 1.2, ratios


def test_the_floor_in_concrete_is_granular_and_not_brushed() -> None:
    """It was streaked across the light: what is 6 pixels apart in that direction was nearly alike."""
    scene = slab(320)
    azimuth = scene.light[0]
    moved = np.array([[1, 0, -6.0 * np.sin(azimuth)], [0, 1, 6.0 * np.cos(azimuth)]], np.float32)
    alike: list[float] = []
    for seed in range(10):
        made = spall(scene, seed, Body(coarse=True))
        inside = cv2.erode(made.mask.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
        grey = np.asarray(cv2.GaussianBlur(made.photo.rgb[..., 1], (0, 0), 1.0), np.float32)
        detail = grey - cv2.GaussianBlur(grey, (0, 0), 6.0)
        beside = cv2.warpAffine(detail, moved, detail.shape[::-1], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        alike.append(float((detail * beside)[inside].mean() / np.square(detail)[inside].mean()))
    assert np.median(alike) < 0.26, alike


@pytest.mark.parametrize(
    ("prompt", "body"),
    [
        ('A chip ("spalling") on the concrete slab.', Body(coarse=True)),
        ("a flake off the painted panel", Body(coated=True)),
        ('One chip ("peeling") on the door.', Body(coated=True)),
        ("brick walls with a spall", Body(coarse=True)),
        ("a pothole in the road", Body(coarse=True)),
        ("a chip on the white tablet", Body(coarse=True, matt=True, pale=True)),
        ("damaged_case of the transistor", Body(matt=True)),
        ("a chip on the steel plate", Body()),
        ("broken_large on the bottle", Body()),
    ],
)
def test_words_say_how_a_body_breaks(prompt: str, body: Body) -> None:
    assert named_body(prompt) == body


def test_a_dark_case_with_pale_letters_breaks_dull_where_it_is_named() -> None:
    native = np.full((160, 160, 3), 170, np.uint8)
    native[30:130, 30:130] = 42
    cv2.putText(native, "B52", (42, 95), cv2.FONT_HERSHEY_SIMPLEX, 1.2, (185, 185, 185), 3, cv2.LINE_AA)
    noise = np.random.default_rng(0).normal(0.0, 2.0, (160, 160, 1))
    scene = Scene(photo_from_array(np.clip(native + noise, 0, 255).astype(np.uint8)))
    brightest = {
        matt: max(
            float(made.photo.rgb[made.mask & scene.foreground].max())
            for seed in range(6)
            for made in [spall(scene, seed, Body(matt=matt), zone="edge", severity=12.0)]
        )
        for matt in (False, True)
    }
    assert brightest[False] > 0.9  # taken for glass, faces that mirror
    assert brightest[True] < 0.8


def test_a_hollow_in_wax_is_wax_and_not_grey_rock() -> None:
    wax = np.full((128, 128, 3), (222.0, 212.0, 186.0)) + np.random.default_rng(0).normal(0, 1.5, (128, 128, 1))
    scene = Scene(photo_from_array(wax.clip(0, 255).astype(np.uint8)))
    darker: list[float] = []
    for body in (named_body("a chunk of wax is missing from the candle"), named_body("a spall in the plate")):
        found: list[float] = []
        for seed in range(4):
            spec = DefectSpec(
                mechanism="chip", area_fraction=0.05, color_shift=(-30.0, 0.0, 0.0), severity=12.0, center=(0.5, 0.5), seed=seed
            )
            made = render_defect(scene, spec, Breaking(body))
            lab = lab_from_rgb(made.photo.rgb)[made.mask]
            found.append(float(np.median(scene.lab[made.mask][:, 0]) - np.median(lab[:, 0])))
        darker.append(float(np.median(found)))
    assert darker[0] < 14.0
    assert darker[1] > 20.0


def test_paint_that_comes_off_at_an_edge_leaves_the_part_whole() -> None:
    photo = np.full((160, 160, 3), 150.0)
    photo[40:120, 20:140] = (40, 40, 44)
    photo += np.random.default_rng(0).normal(0, 1.5, (160, 160, 1))
    scene = Scene(photo_from_array(photo.clip(0, 255).astype(np.uint8)))
    body = named_body("defective_painting of the bracket")
    assert body.coated
    for seed in range(8):
        spec = DefectSpec(mechanism="chip", zone="edge", area_fraction=0.03, severity=14.0, seed=seed)
        made = render_defect(scene, spec, Breaking(body))
        assert not (made.mask & ~scene.foreground).any()


def test_a_chip_of_wax_is_warm_in_its_shade_and_no_patch_of_grey() -> None:
    rng = np.random.default_rng(1)
    wax = np.array([214.0, 203.0, 172.0]) + rng.normal(0.0, 1.5, (192, 192, 1))
    scene = Scene(photo_from_array(np.clip(wax, 0, 255).astype(np.uint8)))
    skin = np.median(lab_from_rgb(scene.photo.rgb).reshape(-1, 3), axis=0)
    for seed in range(6):
        made = spall(scene, seed, named_body("chipped wax of a candle"), color_shift=(-20.0, 0.0, 0.0))
        inside = cv2.erode(made.mask.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
        broken = np.median(lab_from_rgb(made.photo.rgb)[inside], axis=0)
        assert broken[0] > skin[0] - 12.0
        assert broken[2] > 1.03 * skin[2]


def test_a_white_tablet_is_white_inside() -> None:
    """Its chip was as dark as slate."""
    rng = np.random.default_rng(1)
    scene = Scene(photo_from_array(np.clip(rng.normal(228.0, 1.5, (192, 192, 3)), 0, 255).astype(np.uint8)))
    for seed in range(6):
        made = spall(scene, seed, named_body("chipped edge of a white tablet"), color_shift=(-30.0, 0.0, 0.0))
        inside = cv2.erode(made.mask.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
        assert float(np.median(lab_from_rgb(made.photo.rgb)[inside][:, 0])) > 78.0
