"""What a prompt calls foreign matter is what is drawn: glue is no flake, a metal shaving is no crumb."""

import numpy as np
import pytest
from helpers.photos import make_photo
from helpers.sites import plain_sheet, site_on

from anomalyagent.knowledge.cards import load_cards
from anomalyagent.knowledge.sampling import sample_spec
from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.backends.procedural import ProceduralImageGen
from anomalyagent.mcp_tools.imaging.color import lab_from_rgb
from anomalyagent.mcp_tools.imaging.photo import photo_from_array
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.engine import render_defect
from anomalyagent.mcp_tools.procedural.light.palette import MATTER
from anomalyagent.mcp_tools.procedural.matter.named_matter import Named, named_matter
from anomalyagent.mcp_tools.procedural.mechanisms import contamination
from anomalyagent.mcp_tools.procedural.mechanisms.contamination import Foreign

WRITTEN = 'Add one mild deposit of foreign matter ("{name}") anywhere on the {item}. It lies on the surface.'
PHOTO = photo_from_array(make_photo("part", 0, 160))


@pytest.mark.parametrize(
    ("prompt", "material"),
    [
        (WRITTEN.format(name="glue", item="leather"), "glue"),
        (WRITTEN.format(name="metal_contamination", item="carpet"), "swarf"),
        (WRITTEN.format(name="extra_wax_in_candle", item="candle"), "wax"),
        (WRITTEN.format(name="solder ball", item="pcb"), "solder"),
        (WRITTEN.format(name="leak", item="capsules"), "resin"),
        ("Put a drop of glue on the metal nut.", "glue"),
        ("Add a large steel shaving near the edge", "swarf"),
        ("a metal nut with dust on one flank", "dust"),
        ("Put a drop of glue on the nut with the scratch.", "glue"),
        ("Part: metal nut. Defect: dried glue. Kind: contamination.", "glue"),
    ],
)
def test_the_words_say_what_the_matter_is(prompt: str, material: str) -> None:
    named = named_matter(prompt)
    assert named is not None
    assert material in named.matter
    assert set(named.matter) <= {matter.name for matter in MATTER}


@pytest.mark.parametrize(
    "prompt",
    [
        WRITTEN.format(name="contamination", item="metal nut"),
        WRITTEN.format(name="foreign_body", item='"rubber wire"'),
        "Add a black speck on the paper label.",
        "Part: metal nut. Defect: contamination. Kind: contamination.",
        "",
    ],
)
def test_the_words_for_the_part_do_not(prompt: str) -> None:
    assert named_matter(prompt) is None


@pytest.mark.parametrize("name", ["glue", "glue_strip"])
def test_the_surface_shows_through_glue(name: str) -> None:
    named = named_matter(WRITTEN.format(name=name, item="tile"))
    assert named is not None
    site = site_on(plain_sheet(), (64, 64), 900)
    for seed in range(10):
        spec = DefectSpec(mechanism="contamination", severity=8.0, elongation=4.0)
        edit = contamination.Foreign(named).render(site, spec, np.random.default_rng(seed))
        assert edit is not None
        assert edit.opacity is not None
        assert float(np.median(edit.opacity[edit.opacity > 0.1])) < 0.98
        assert not edit.strength_fixed


def test_the_backend_draws_what_the_prompt_names() -> None:
    spec = DefectSpec(mechanism="contamination", severity=16.0, area_fraction=0.03, elongation=1.5, center=(0.5, 0.5))
    yellow: dict[str, list[float]] = {"glue": [], "metal shaving": []}
    for name, tones in yellow.items():
        for seed in range(6):
            edited = ProceduralImageGen().edit(PHOTO, WRITTEN.format(name=name, item="part"), spec, seed)
            change = lab_from_rgb(edited.photo.rgb) - lab_from_rgb(PHOTO.rgb)
            tones.append(float(np.median(change[..., 2][edited.changed])))
    assert np.median(yellow["glue"]) > np.median(yellow["metal shaving"]) + 2.0


def test_glue_on_leather_is_pale_amber_and_stout() -> None:
    card = next(card for card in load_cards() if card.id == "mvtec/leather/glue")
    for seed in range(30):
        spec = sample_spec(card, seed)
        assert spec.color_shift is not None
        assert spec.color_shift[0] > 0.0
        assert spec.color_shift[2] > 5.0
        assert spec.elongation <= 4.0


@pytest.mark.parametrize("name", ["burr", "flash", "milling burr"])
def test_a_burr_is_made_of_the_part_itself(name: str) -> None:
    named = named_matter(WRITTEN.format(name=name, item="weld seam"))
    assert named is not None
    site = site_on(plain_sheet(), (64, 64), 400)
    hue = site.scene.lab[64, 64, 1:]
    for seed in range(8):
        spec = DefectSpec(mechanism="contamination", severity=8.0, elongation=2.0)
        edit = contamination.Foreign(named).render(site, spec, np.random.default_rng(seed))
        assert edit is not None
        assert edit.paint is not None
        assert np.abs(np.median(lab_from_rgb(edit.paint)[..., 1:], axis=(0, 1)) - hue).max() < 9.0


def test_a_clear_piece_of_metal_shows_lights_and_darks_and_is_no_white_paper() -> None:
    named = named_matter(WRITTEN.format(name="metal_contamination", item="carpet"))
    assert named is not None
    spec = DefectSpec(mechanism="contamination", severity=26.0, elongation=2.0)
    middles: list[float] = []
    for seed in range(12):
        site = site_on(plain_sheet(level=110, grain=12.0), (64, 64), 500)
        edit = contamination.Foreign(named).render(site, spec, np.random.default_rng(seed))
        assert edit is not None
        assert edit.paint is not None
        assert edit.opacity is not None
        lightness = lab_from_rgb(edit.paint)[..., 0][edit.opacity > 0.9]
        middles.append(float(np.median(lightness)))
    assert np.median(middles) < 90.0


def test_solder_is_grey_however_faint_and_on_whatever_it_lies() -> None:
    photo = np.full((160, 200, 3), (20, 90, 45), np.uint8) + np.random.default_rng(0).integers(0, 5, (160, 200, 3), np.uint8)
    scene = Scene(photo_from_array(photo))
    green = float(np.median(scene.lab[..., 1]))
    for severity in (4.0, 14.0):
        spec = DefectSpec(
            mechanism="contamination", area_fraction=0.02, severity=severity, color_shift=(20.0, 0.0, 0.0), seed=1
        )
        drawn = render_defect(scene, spec, Foreign(Named({"glob": 1.0}, ("solder",))))
        found = lab_from_rgb(drawn.photo.rgb)[drawn.mask]
        assert float(np.median(found[:, 1])) > 0.35 * green  # a* of green is below 0
