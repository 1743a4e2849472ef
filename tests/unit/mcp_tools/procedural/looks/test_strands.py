"""Wires of a mesh are found, broken and bent; what is no mesh is left to the other renderers."""

import numpy as np
import pytest
from helpers.photos import make_photo
from numpy.typing import NDArray

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.backends.procedural import ProceduralImageGen
from anomalyagent.mcp_tools.imaging.photo import photo_from_array
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.structure.mesh import find_mesh, names_mesh

PITCH, HALF, SIZE = 20.0, 3.0, 240
WIRE, GROUND = 190.0, 60.0
BENT = DefectSpec(mechanism="bend", area_fraction=0.01, elongation=4.0, severity=12.0, center=(0.5, 0.5))
BROKEN = DefectSpec(mechanism="missing", area_fraction=0.004, elongation=4.0, severity=15.0, center=(0.5, 0.5))


def _wires(shape_px: int = SIZE, *, dark: bool = False, seed: int = 0) -> NDArray[np.uint8]:
    """Straight wires in both directions, with soft borders and a little noise."""
    at = np.arange(shape_px, dtype=np.float32)
    away = np.abs((at + 0.5 * PITCH) % PITCH - 0.5 * PITCH)
    wire = np.clip(HALF - away + 0.5, 0.0, 1.0)
    cover = np.maximum(wire[:, None], wire[None, :])
    front, back = (GROUND, WIRE) if dark else (WIRE, GROUND)
    grey = back + (front - back) * cover + np.random.default_rng(seed).normal(0.0, 2.0, cover.shape)
    return np.clip(grey, 0, 255).astype(np.uint8)


def _staggered() -> NDArray[np.uint8]:
    """A sheet with rows of round holes, every other one moved by half a pitch."""
    y, x = np.mgrid[:SIZE, :SIZE].astype(np.float32)
    row = np.round(y / PITCH)
    dx = (x + 0.5 * PITCH * (row % 2) + 0.5 * PITCH) % PITCH - 0.5 * PITCH
    hole = np.clip(7.0 - np.hypot(dx, y - row * PITCH) + 0.5, 0.0, 1.0)
    grey = 170.0 - 130.0 * hole + np.random.default_rng(0).normal(0.0, 2.0, hole.shape)
    return np.clip(grey, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("scale", [1, 2])
def test_pitches_and_cells_of_a_mesh_are_found(dark: bool, scale: int) -> None:
    grey = np.kron(_wires(dark=dark), np.ones((scale, scale), np.uint8))
    mesh = find_mesh(Scene(photo_from_array(grey)))
    assert mesh is not None
    assert np.allclose(np.linalg.norm(mesh.pitches, axis=1), PITCH * scale, atol=1.0)
    assert abs(float(mesh.pitches[0] @ mesh.pitches[1])) < 0.1 * (PITCH * scale) ** 2
    whole = ((mesh.centers_xy > PITCH * scale) & (mesh.centers_xy < (SIZE - PITCH) * scale)).all(axis=1)
    inside = mesh.centers_xy[whole] / (PITCH * scale)
    assert len(inside) >= 81
    assert np.abs(inside - np.floor(inside) - 0.5).max() < 0.1


@pytest.mark.parametrize("seed", range(4))
def test_strands_that_differ_by_colour_alone_are_found_and_broken(seed: int) -> None:
    cover = (_wires(seed=1).astype(np.float32) - GROUND)[..., None] / (WIRE - GROUND)
    green = np.array([90.0, 127.0, 90.0])  # as bright as the grey around it
    native = np.clip(112.0 + cover * (green - 112.0), 0, 255).astype(np.uint8)
    photo = photo_from_array(native)
    mesh = find_mesh(Scene(photo))
    assert mesh is not None
    assert np.allclose(np.linalg.norm(mesh.pitches, axis=1), PITCH, atol=1.0)
    edited = ProceduralImageGen().edit(photo, "a broken wire of the grid", BROKEN, seed)
    greenness = [shown.rgb[..., 1] - shown.rgb[..., 0] for shown in (photo, edited.photo)]
    bared = (greenness[0] > 0.1) & (greenness[1] < 0.04)
    assert np.count_nonzero(bared) > (2.0 * HALF) ** 2  # a gap longer than a wire is wide


def test_a_photo_larger_than_the_searched_copy_has_its_pitch_in_its_own_pixels() -> None:
    grey = np.kron(_wires(), np.ones((6, 6), np.uint8))  # 1440 pixels
    mesh = find_mesh(Scene(photo_from_array(grey)))
    assert mesh is not None
    assert np.allclose(np.linalg.norm(mesh.pitches, axis=1), 6 * PITCH, rtol=0.03)


def test_other_photos_are_no_mesh() -> None:
    for native in (make_photo("surface", size=200), make_photo("part", size=200), np.full((120, 120), 90, np.uint8)):
        assert find_mesh(Scene(photo_from_array(native))) is None


def test_words_that_name_a_mesh() -> None:
    assert names_mesh("one bent element on the inner area of the wire_mesh")
    assert names_mesh("a broken strand on the Grid")
    assert not names_mesh("a bent pin on the connector")
    assert not names_mesh("grit on the bridge")


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("mechanism", ["missing", "cut"])
def test_a_broken_wire_shows_the_ground_and_leaves_the_crossing_wires(mechanism: str, seed: int) -> None:
    photo = photo_from_array(_wires())
    spec = BROKEN.model_copy(update={"mechanism": mechanism})
    edited = ProceduralImageGen().edit(photo, "a broken wire of the grid", spec, seed)
    before, after = (255.0 * shown.rgb[..., 0] for shown in (photo, edited.photo))
    assert (edited.photo.native[~edited.changed] == photo.native[~edited.changed]).all()
    freed = (before > WIRE - 20) & (after < GROUND + 20)
    assert freed.sum() > 2 * HALF * 5
    rows, columns = (np.flatnonzero(freed.any(axis=side)) for side in (1, 0))
    thin, long = sorted((np.ptp(rows), np.ptp(columns)))
    assert thin <= 2 * HALF + 2 <= long + 2  # one wire alone, along its length
    # nothing new that is as bright as a wire, but ends that stick out
    assert ((after > WIRE - 20) & (before < GROUND + 20)).sum() < 0.7 * freed.sum()


@pytest.mark.parametrize("seed", range(6))
def test_a_bent_wire_lies_beside_its_place(seed: int) -> None:
    photo = photo_from_array(_wires())
    edited = ProceduralImageGen().edit(photo, "a bent strand of the mesh", BENT, seed)
    before, after = (255.0 * shown.rgb[..., 0] for shown in (photo, edited.photo))
    left, new = ((a > WIRE - 25) & (b < GROUND + 25) for a, b in ((before, after), (after, before)))
    assert left.sum() > 20
    assert new.sum() > 20
    # as much wire as before, not drawn out or rubbed out
    assert abs(float((after[edited.changed] > 125).sum()) / float((before[edited.changed] > 125).sum()) - 1.0) < 0.4
    assert not ((after > WIRE + 25) | (after < GROUND - 25)).any()


@pytest.mark.parametrize("seed", range(4))
def test_the_web_between_two_staggered_holes_breaks(seed: int) -> None:
    photo = photo_from_array(_staggered())
    assert find_mesh(Scene(photo)) is not None
    edited = ProceduralImageGen().edit(photo, "a broken strand of the grating", BROKEN, seed)
    before, after = (255.0 * shown.rgb[..., 0] for shown in (photo, edited.photo))
    assert ((before > 150) & (after < 60)).sum() > 20
    assert not (after[edited.changed] > 190).any()


def test_a_part_that_is_called_a_grid_and_shows_none_is_drawn_as_before() -> None:
    photo = photo_from_array(make_photo("surface", size=160))
    plain, named = (ProceduralImageGen().edit(photo, prompt, BENT, 1) for prompt in ("a crease", "a bent grid"))
    assert (plain.photo.native == named.photo.native).all()
    assert (plain.changed == named.changed).all()
