"""Real defects of the user: read, measured, transplanted."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers.photos import make_photo

from anomalyagent.errors import ConfigError, ImageError, ToolInputError
from anomalyagent.knowledge.cards import Priors
from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.backends.procedural import ProceduralImageGen
from anomalyagent.mcp_tools.imaging.change import mask_of_change
from anomalyagent.mcp_tools.imaging.photo import photo_from_array
from anomalyagent.mcp_tools.procedural.references import load_references, of_type, priors_of

PHOTO = photo_from_array(make_photo("surface", 5, 128))
SPOT = DefectSpec(mechanism="stain", area_fraction=0.02, elongation=2.0, severity=10.0)


def write_defect(folder: Path, stem: str, seed: int, half: tuple[int, int] = (16, 6)) -> None:
    """A red ellipse on a sheet, and its mask beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    image, mask = make_photo("surface", seed, 128).copy(), np.zeros((128, 128), np.uint8)
    cv2.ellipse(mask, (60, 70), half, 0, 0, 360, 255, -1)
    image[mask > 0] = (150, 30, 30)
    cv2.imwrite(str(folder / f"{stem}.png"), image[..., ::-1])
    cv2.imwrite(str(folder / f"{stem}_mask.png"), mask)


@pytest.fixture
def references(tmp_path: Path) -> Path:
    for number in range(3):
        write_defect(tmp_path / "stain", f"{number:03d}", number)
    return tmp_path


def test_donors_are_measured(references: Path) -> None:
    donor = load_references(references)[0]
    assert donor.anomaly_type == "stain"
    assert donor.elongation == pytest.approx(16 / 6, rel=0.15)
    assert donor.area_fraction == pytest.approx(np.pi * 16 * 6 / 128**2, rel=0.15)
    assert donor.shift[1] > 15.0
    assert abs(np.sin(donor.angle_rad)) < 0.1


def test_mvtec_layout_is_read_too(references: Path, tmp_path: Path) -> None:
    root = tmp_path / "mvtec"
    (root / "test" / "stain").mkdir(parents=True)
    (root / "ground_truth" / "stain").mkdir(parents=True)
    (references / "stain" / "000.png").rename(root / "test" / "stain" / "000.png")
    (references / "stain" / "000_mask.png").rename(root / "ground_truth" / "stain" / "000_mask.png")
    assert [donor.anomaly_type for donor in load_references(root)] == ["stain"]


def test_a_transplant_keeps_both_promises_and_the_donors_colour(references: Path) -> None:
    backend = ProceduralImageGen({"reference": str(references), "reference_share": 1.0})
    redder = list[bool]()
    for seed in range(6):
        edited = backend.edit(PHOTO, "", SPOT, seed)
        assert any("transplanted" in note for note in edited.notes)
        assert edited.changed.any()
        assert np.array_equal(edited.photo.native[~edited.changed], PHOTO.native[~edited.changed])
        assert np.array_equal(edited.changed, mask_of_change(PHOTO, edited.photo))
        change = edited.photo.native[edited.changed].astype(int) - PHOTO.native[edited.changed]
        redder.append(float((change[:, 0] - change[:, 1]).mean()) > 20.0)
    assert all(redder)


def test_same_seed_same_transplant(references: Path) -> None:
    made = [ProceduralImageGen({"reference": str(references), "reference_share": 1}).edit(PHOTO, "", SPOT, 4) for _ in range(2)]
    assert np.array_equal(made[0].photo.native, made[1].photo.native)


def test_share_zero_never_transplants(references: Path) -> None:
    backend = ProceduralImageGen({"reference": str(references), "reference_share": 0})
    assert all(not any("transplanted" in note for note in backend.edit(PHOTO, "", SPOT, seed).notes) for seed in range(4))


def test_priors_follow_the_references_and_keep_the_cards_zones(references: Path) -> None:
    base = Priors.model_validate({"area_fraction": (0.1, 0.3), "elongation": (1.0, 1.2), "zones": ("edge",)})
    priors = priors_of(of_type(load_references(references), "Stain"), base)
    assert priors.area_fraction[1] < 0.05
    assert priors.elongation[0] > 1.5
    assert priors.zones == ("edge",)
    assert priors.tint_ab is not None


def test_a_folder_without_masks_is_refused(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), make_photo())
    with pytest.raises(ImageError, match="_mask"):
        load_references(tmp_path)
    with pytest.raises(ImageError, match="no folder"):
        load_references(tmp_path / "nowhere")


def test_a_mask_of_another_size_is_refused(references: Path) -> None:
    cv2.imwrite(str(references / "stain" / "000_mask.png"), np.full((40, 40), 255, np.uint8))
    with pytest.raises(ImageError, match="40 x 40"):
        load_references(references)


@pytest.fixture
def left_half(tmp_path: Path) -> Path:
    mask = np.zeros((128, 128), np.uint8)
    mask[:, :64] = 255
    cv2.imwrite(str(tmp_path / "zone.png"), mask)
    return tmp_path / "zone.png"


@pytest.mark.parametrize("mechanism", ["scratch", "stain", "contamination", "chip", "crack", "transplant"])
def test_nothing_is_drawn_where_the_zone_mask_is_black(left_half: Path, mechanism: str) -> None:
    backend = ProceduralImageGen({"zone_mask": str(left_half)})
    for seed in range(3):
        spec = DefectSpec.model_validate({"mechanism": mechanism, "area_fraction": 0.02, "severity": 10, "zone": "right"})
        edited = backend.edit(PHOTO, "", spec, seed)
        assert edited.changed.any()
        assert np.array_equal(edited.photo.native[:, 64:], PHOTO.native[:, 64:])
        assert np.array_equal(edited.changed, mask_of_change(PHOTO, edited.photo))


def test_a_zone_mask_fits_photos_of_the_same_shape_only(left_half: Path) -> None:
    backend = ProceduralImageGen({"zone_mask": str(left_half)})
    larger = photo_from_array(make_photo("surface", 1, 192))
    assert not backend.edit(larger, "", SPOT, 0).changed[:, 96:].any()
    wide = photo_from_array(np.concatenate([larger.native, larger.native], axis=1))
    with pytest.raises(ToolInputError, match="same shape"):
        backend.edit(wide, "", SPOT, 0)


def test_unknown_options_and_shares_are_refused() -> None:
    with pytest.raises(ConfigError, match="unknown option 'quality'"):
        ProceduralImageGen({"quality": 3})
    with pytest.raises(ConfigError, match="0 to 1"):
        ProceduralImageGen({"reference_share": 3})


def test_on_an_object_a_transplant_lies_to_the_outline_as_the_defect_lay(tmp_path: Path) -> None:
    y, x = np.mgrid[:200, :200]
    away = np.hypot(x - 100, y - 100)
    part = np.where((away < 80)[..., None], (120, 120, 120), (20, 20, 20))
    part = (part + np.random.default_rng(0).normal(0, 1.5, part.shape)).clip(0, 255).astype(np.uint8)
    marked, mask = part.copy(), np.zeros((200, 200), np.uint8)
    mask[30:60, 92:108] = 255  # from close to the rim towards the middle: red outside, blue inside
    marked[30:44, 92:108], marked[44:60, 92:108] = (200, 40, 40), (40, 40, 200)
    cv2.imwrite(str(tmp_path / "a.png"), marked[..., ::-1])
    cv2.imwrite(str(tmp_path / "a_mask.png"), mask)
    donor = load_references(tmp_path)[0]
    assert donor.to_outline is not None
    assert donor.to_outline.depth == pytest.approx(25 / 80, abs=0.03)
    assert donor.to_outline.outward_rad == pytest.approx(-np.pi / 2, abs=0.1)
    backend = ProceduralImageGen({"reference": str(tmp_path), "reference_share": 1.0})
    asked = DefectSpec(mechanism="stain", area_fraction=donor.area_fraction, elongation=donor.elongation, severity=20.0)
    directions: list[float] = []
    for seed in range(8):
        made = backend.edit(photo_from_array(part), "", asked, seed)
        change, mask_made = made.photo.rgb - photo_from_array(part).rgb, mask_of_change(photo_from_array(part), made.photo)
        red, blue = (mask_made & (change[..., one] > change[..., other] + 0.1) for one, other in ((0, 2), (2, 0)))
        assert away[red].mean() > away[blue].mean() + 8.0
        assert abs(float(away[mask_made].mean()) - 55.0) < 20.0
        directions.append(float(np.arctan2((y - 100)[mask_made].mean(), (x - 100)[mask_made].mean())))
    assert np.ptp(directions) > 1.5


def test_files_of_the_options_can_be_checked_before_a_run(references: Path, tmp_path: Path) -> None:
    assert ProceduralImageGen({"reference": str(references)}).check_files() == []
    (references / "stain" / "002_mask.png").unlink()
    (told,) = ProceduralImageGen({"reference": str(references)}).check_files()
    assert told.startswith("1 of the images")
    assert "002.png lacks 002_mask.png" in told
    (references / "stain" / "001_mask.png").write_bytes(b"no image")
    with pytest.raises(ImageError, match="001_mask"):
        ProceduralImageGen({"reference": str(references)}).check_files()
    cv2.imwrite(str(tmp_path / "zone.png"), np.zeros((32, 32), np.uint8))
    with pytest.raises(ImageError, match="black all over"):
        ProceduralImageGen({"zone_mask": str(tmp_path / "zone.png")}).check_files()


def test_references_whose_masks_are_all_empty_are_no_references(tmp_path: Path) -> None:
    write_defect(tmp_path / "stain", "a", 0)
    cv2.imwrite(str(tmp_path / "stain" / "a_mask.png"), np.zeros((128, 128), np.uint8))
    with pytest.raises(ImageError, match="holds no defect with a mask"):
        ProceduralImageGen({"reference": str(tmp_path)}).check_files()


def test_hidden_files_beside_references_are_none(references: Path) -> None:
    for name in ("._000.png", "._000_mask.png"):
        (references / "stain" / name).write_bytes(b"\x00\x05\x16\x07")
    assert len(load_references(references)) == 3
    assert ProceduralImageGen({"reference": str(references)}).check_files() == []
