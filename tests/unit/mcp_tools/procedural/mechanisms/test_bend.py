"""Bent leads keep their pixels and leave background behind; plain sheets get a crease; outlines are pushed."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers.sites import comb, draw, labelled_sheet, plain_sheet, site_on

from anomalyagent.knowledge.spec import DefectSpec, Mechanism
from anomalyagent.mcp_tools.backends.procedural import ProceduralImageGen
from anomalyagent.mcp_tools.imaging.photo import photo_from_array, read_photo
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.engine import render_defect
from anomalyagent.mcp_tools.procedural.geometry.warp import bend_map, sample_cover
from anomalyagent.mcp_tools.procedural.mechanisms import bend
from anomalyagent.mcp_tools.procedural.named_renderer import named_renderer
from anomalyagent.mcp_tools.procedural.parts.search import find_protrusions

NORMALS = Path(__file__).parents[5] / "examples" / "normals"
SPEC = DefectSpec(mechanism="bend", severity=10.0)


def test_leads_are_found_with_their_root_at_the_body() -> None:
    site = site_on(comb(), (66, 90), 220)
    leads = find_protrusions(site)
    assert leads
    for lead in leads:
        assert abs(lead.root_xy[1] - 64) < 8
        assert abs(np.cos(lead.angle_rad)) < 0.3  # they hang down
        assert 30 < lead.length_px < 60


def test_a_bent_lead_leaves_background_behind_and_keeps_its_colour() -> None:
    site = site_on(comb(), (66, 90), 220)
    moved = 0
    for seed in range(6):
        edit = bend.render(site, SPEC, np.random.default_rng(seed))
        assert edit is not None
        assert edit.photographed
        before, after = site.scene.photo.rgb, draw(site, edit)
        lead_before, lead_after = (rgb[70:105, :, 2] < 0.5 for rgb in (before, after))
        assert abs(int(lead_after.sum()) - int(lead_before.sum())) < 0.12 * lead_before.sum()
        freed = lead_before & ~lead_after
        moved += bool(freed.sum() > 20 and np.abs(after[70:105][freed] - 215 / 255).mean() < 0.08)
    assert moved >= 5


def test_an_unbent_map_changes_nothing_and_a_bent_one_turns_the_tip() -> None:
    beam = np.zeros((60, 60), np.float32)
    beam[10:50, 28:32] = 1.0
    root, down = (29.5, 10.0), np.pi / 2
    straight = sample_cover(beam, *bend_map((60, 60), root, down, 40.0, 0.0, 0.0))
    assert np.abs(straight - beam).max() < 0.02
    bent = sample_cover(beam, *bend_map((60, 60), root, down, 40.0, 0.6, 0.0))
    assert abs(float(bent.sum()) - float(beam.sum())) < 0.1 * float(beam.sum())
    rows, columns = np.nonzero(bent > 0.5)
    tip, foot = columns[rows >= rows.max() - 3].mean(), columns[rows <= rows.min() + 3].mean()
    assert abs(foot - 29.5) < 1.5
    assert abs(tip - foot) > 6


def test_a_plain_sheet_gets_a_crease_of_relief_only() -> None:
    edit = bend.render(site_on(plain_sheet(), (64, 64), 500, reach=4.0), SPEC, np.random.default_rng(0))
    assert edit is not None
    assert edit.height is not None
    assert edit.paint is None


def test_a_crease_is_a_soft_valley_and_no_slit() -> None:
    for seed in range(8):
        site = site_on(plain_sheet(256), (128, 128), 1600, reach=4.0)
        edit = bend.render(site, DefectSpec(mechanism="bend", severity=12.0, elongation=20.0), np.random.default_rng(seed))
        assert edit is not None
        assert edit.height is not None
        assert edit.height.mean() < 0.0
        rise, run = np.gradient(edit.height)
        slope = np.hypot(rise, run)
        assert slope.max() < 1.0
        assert (slope > 0.5 * slope.max()).sum() > 0.2 * site.area_px


def test_the_outline_of_a_body_is_pushed_without_new_colours() -> None:
    photo = np.full((128, 128, 3), 225, np.uint8)
    y, x = np.mgrid[:128, :128]
    photo[np.hypot(x - 64, y - 64) < 45] = 70
    site = site_on(photo, (107, 64), 300)
    edit = bend.render(site, SPEC, np.random.default_rng(3))
    assert edit is not None
    after = draw(site, edit)
    assert (np.abs(after - site.scene.photo.rgb).max(axis=2) > 0.2).sum() > 40
    assert after.min() >= 69 / 255
    assert after.max() <= 226 / 255


def test_what_lies_behind_a_dented_part_stays_where_it_is_and_the_dent_is_no_bite() -> None:
    y, x = np.mgrid[:200, :200]
    disc = np.hypot(x - 100, y - 100) < 45
    native = np.where(disc[..., None], (190, 90, 60), (60, 70, 62)) + np.random.default_rng(0).normal(0, 5, (200, 200, 3))
    scene = Scene(photo_from_array(native.clip(0, 255).astype(np.uint8)))
    for seed in range(8):
        spec = DefectSpec(mechanism="bend", zone="edge", area_fraction=0.08, severity=40.0, seed=seed)
        made = render_defect(scene, spec)
        red = made.photo.rgb[..., 0] > 0.5
        near = cv2.dilate((disc | red).astype(np.uint8), np.ones((19, 19), np.uint8)) > 0
        assert not (made.mask & ~near).any()
        assert (disc & ~red).sum() < 0.2 * disc.sum()
        assert np.hypot(x - 100, y - 100)[~red].min() > 45 - 0.16 * 90


def test_a_chamfer_along_the_outline_is_no_part_that_lies_on_the_object() -> None:
    for seed in (0, 2, 4, 6):
        scene = Scene(read_photo(NORMALS / "metal_nut" / f"{seed % 6:03d}.jpg"))
        made = render_defect(scene, DefectSpec(mechanism="bend", zone="edge", area_fraction=0.026, severity=8.0, seed=seed))
        face = scene.depth_px > 12  # a facet that is lifted falls over the face or leaves a slit in it
        drawn = np.abs(made.photo.rgb - scene.photo.rgb).max(axis=2)
        assert not (drawn[face] > 0.25).any()


@pytest.mark.parametrize("words", ["squeezed plate", "bent plate"])
def test_what_is_bent_at_its_edge_or_squeezed_gives_way_and_keeps_its_print(words: str) -> None:
    native = labelled_sheet(192)
    photo = photo_from_array(native)
    spec = DefectSpec(mechanism="bend", zone="edge", area_fraction=0.02, elongation=2.0, severity=12.0)
    print_of = np.zeros(photo.shape, np.bool_)
    print_of[74:118, 44:150] = True
    for seed in range(4):
        edited = ProceduralImageGen().edit(photo, words, spec, seed)
        assert edited.changed.any()
        assert edited.changed[print_of].mean() < 0.02


def test_the_teeth_of_a_ring_are_bent_and_not_its_bore() -> None:
    y, x = np.mgrid[:200, :200].astype(np.float32) - 100.0
    radius, turn = np.hypot(x, y), np.arctan2(y, x)
    ring = (radius > 26) & (radius < np.where(np.cos(4 * turn) > 0.4, 86, 58))
    photo = cv2.GaussianBlur(np.where(ring, 150.0, 25.0), (0, 0), 0.8) + np.random.default_rng(1).normal(0, 1.5, ring.shape)
    scene = Scene(photo_from_array(np.repeat(photo[..., None], 3, axis=2).clip(0, 255).astype(np.uint8)))
    reached: list[float] = []
    for seed in range(8):
        made = render_defect(scene, DefectSpec(mechanism="bend", zone="edge", area_fraction=0.03, severity=10.0, seed=seed))
        reached.append(float(np.median(radius[made.mask])))
    assert min(reached) > 50.0


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("mechanism", ["bend", "missing"])
def test_what_bends_or_breaks_one_of_several_pieces_leaves_the_others(mechanism: Mechanism, seed: int) -> None:
    """The rim of the next candle on a tray was drawn along, or bitten."""
    photo = np.full((240, 240, 3), 18, np.uint8)
    owners = np.zeros((240, 240), np.uint8)
    for index, middle in enumerate(((62, 62), (178, 62), (62, 178), (178, 178))):
        cv2.circle(photo, middle, 53, (225, 220, 200), -1, cv2.LINE_AA)
        cv2.circle(owners, middle, 57, index + 1, -1)
    noise = np.random.default_rng(0).normal(0.0, 1.5, (240, 240, 1))
    scene = Scene(photo_from_array(np.clip(cv2.GaussianBlur(photo, (0, 0), 0.7) + noise, 0, 255).astype(np.uint8)))
    spec = DefectSpec(mechanism=mechanism, zone="edge", area_fraction=0.05, severity=14.0, seed=seed)
    changed = np.bincount(owners[render_defect(scene, spec).mask], minlength=5)[1:]
    assert np.sort(changed)[:3].sum() <= 0.02 * changed.max()


@pytest.mark.parametrize("seed", range(4))
def test_a_board_with_components_keeps_its_straight_outline(seed: int) -> None:
    """Its edge was drawn in like that of rubber, with the mounting holes beside it."""
    photo, rng = np.full((256, 256, 3), 215, np.uint8), np.random.default_rng(0)
    photo[28:228, 28:228] = (20, 80, 45)
    for row in range(4):
        for column in range(4):
            x, y, kind = 58 + 46 * column, 58 + 46 * row, (row + column) % 2
            half, color = ((12, 9), (25, 25, 28)) if kind else ((9, 12), (190, 180, 150))
            photo[y - half[1] : y + half[1], x - half[0] : x + half[0]] = color
    photo = cv2.GaussianBlur(photo, (0, 0), 0.7) + rng.normal(0.0, 1.5, photo.shape)
    scene = Scene(photo_from_array(np.clip(photo, 0, 255).astype(np.uint8)))
    made = render_defect(scene, DefectSpec(mechanism="bend", zone="edge", area_fraction=0.012, severity=12.0, seed=seed))
    outline = cv2.dilate((~scene.foreground).astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    assert made.mask[outline].sum() < 0.05 * made.mask.sum()


@pytest.mark.parametrize("seed", range(3))
def test_a_perforated_sheet_is_bent_at_its_outline_and_not_around_a_hole(seed: int) -> None:
    photo = np.full((320, 320, 3), 14, np.uint8)
    photo[30:290, 30:290] = 135
    for index in range(25):
        cv2.circle(photo, (64 + 48 * (index % 5), 64 + 48 * (index // 5)), 10, (14, 14, 14), -1, cv2.LINE_AA)
    noise = np.random.default_rng(0).normal(0.0, 3.0, (320, 320, 1))
    scene = Scene(photo_from_array(np.clip(cv2.GaussianBlur(photo, (0, 0), 0.7) + noise, 0, 255).astype(np.uint8)))
    made = render_defect(scene, DefectSpec(mechanism="bend", area_fraction=0.03, severity=12.0, seed=seed))
    rim = np.ones((320, 320), bool)
    rim[34:286, 34:286] = False
    pushed = bool(made.mask[rim].sum() > 100)
    changed = np.abs(made.photo.rgb - scene.photo.rgb).max(axis=2)
    assert pushed or changed[~scene.foreground].max() < 0.05


def test_where_an_edge_gives_way_the_shade_below_it_goes_on_and_no_lit_ground_slides_in() -> None:
    """Lit ground from beyond the shadow was drawn along, up to an arc at which it met the shadow that had stayed."""
    y, x = np.mgrid[:240, :240]
    disc, shade = np.hypot(x - 110, y - 120) < 70, (np.hypot(x - 120, y - 120) < 70).astype(np.float32)
    grey = np.where(disc, 60.0, 205.0 - 45.0 * cv2.GaussianBlur(shade, (0, 0), 1.5)) + np.random.default_rng(0).normal(
        0, 1.5, disc.shape
    )
    grey = cv2.GaussianBlur(grey, (0, 0), 0.8)
    scene = Scene(photo_from_array(np.repeat(grey[..., None], 3, axis=2).clip(0, 255).astype(np.uint8)))
    shadow = (np.hypot(x - 110, y - 120) > 73) & (np.hypot(x - 120, y - 120) < 68)
    for seed in range(6):
        spec = DefectSpec(
            mechanism="bend", zone="edge", center=(0.97, 0.5), area_fraction=0.06, severity=30.0, seed=seed, orientation_deg=0.0
        )
        made = render_defect(scene, spec)
        assert made.mask.any()
        lighter = (made.photo.rgb - scene.photo.rgb)[..., 0]
        assert lighter[shadow].mean() < 0.03


def test_what_is_bent_at_its_edge_is_not_a_line_on_its_face() -> None:
    """A groove was lifted out of the face of a turned part and laid across it."""
    photo = np.full((260, 360, 3), 25, np.uint8)
    photo[20:240, 20:340] = 160
    photo[112:122, 80:280] = 90
    noise = np.random.default_rng(0).normal(0.0, 2.0, (260, 360, 1))
    site = site_on(np.clip(photo + noise, 0, 255).astype(np.uint8), (180, 117), 900)
    for seed in range(4):
        edit = bend.render(site, SPEC.model_copy(update={"zone": "edge"}), np.random.default_rng(seed))
        assert edit is not None
        groove = draw(site, edit)[115:119, 100:260].mean(axis=2)
        assert (groove < 0.5).mean() > 0.95  # it lies where it lay


@pytest.mark.parametrize("seed", range(4))
def test_a_bent_wick_is_the_wick_and_no_groove_beside_it(seed: int) -> None:
    """A wick is hardly longer than wide; a crease was drawn into the wax instead."""
    photo = np.full((220, 220, 3), 18, np.uint8)
    cv2.circle(photo, (110, 110), 90, (215, 205, 180), -1, cv2.LINE_AA)
    cv2.rectangle(photo, (104, 98), (116, 118), (120, 80, 40), -1)
    noise = np.random.default_rng(0).normal(0.0, 1.5, (220, 220, 1))
    scene = Scene(photo_from_array(np.clip(cv2.GaussianBlur(photo, (0, 0), 0.7) + noise, 0, 255).astype(np.uint8)))
    spec = DefectSpec(mechanism="bend", zone="center", center=(0.4, 0.35), area_fraction=0.012, severity=10.0, seed=seed)
    made = render_defect(scene, spec, named_renderer(scene, spec, "bent wick of a candle"))
    wick = np.zeros((220, 220), np.bool_)
    wick[98:119, 104:117] = True
    assert made.mask[wick].mean() > 0.2
    assert not made.mask[:70].any()
