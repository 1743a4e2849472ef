import subprocess
import sys

import cv2
import numpy as np
import pytest

from anomalyagent.configs.schema import KnowledgeSettings
from anomalyagent.errors import ConfigError, ToolInputError
from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.backends.features import FeatureJudge
from anomalyagent.mcp_tools.contracts import Adjustment, QualityResult
from anomalyagent.mcp_tools.imaging.photo import Photo, photo_from_array
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.judge.specimens import make_specimen
from anomalyagent.mcp_tools.procedural.breaking.named_body import Body
from anomalyagent.mcp_tools.procedural.engine import render_defect
from anomalyagent.mcp_tools.procedural.mechanisms.chip import Breaking


def _metal(size: int = 128, seed: int = 0) -> Photo:
    return make_specimen("sheet_metal", np.random.default_rng(seed), size)


def _scratched(normal: Photo, strength: float = 0.25) -> Photo:
    """A dark line of 40 x 2 px, as the lens would show it."""
    height, width = normal.shape
    line = np.zeros((height, width), np.float32)
    cv2.line(line, (width // 4, height // 3), (width // 4 + 40, height // 3 + 22), 1.0, 2)
    line = cv2.GaussianBlur(line, (0, 0), 0.9)[..., None]
    return normal.edited(np.clip(normal.rgb - strength * line, 0, 1).astype(np.float32), np.ones(normal.shape, bool))


def _judge(normal: Photo, anomaly: Photo, anomaly_type: str = "scratch", item: str = "sheet_metal") -> QualityResult:
    return FeatureJudge({}, KnowledgeSettings()).judge(normal, anomaly, item, anomaly_type, 5.0)


def test_a_plausible_scratch_passes_and_the_review_says_so() -> None:
    normal = _metal()
    result = _judge(normal, _scratched(normal))
    assert result.passed
    assert result.score == pytest.approx(result.location_score + result.quality_score, abs=0.011)
    assert "scratch" in result.review


def test_no_change_scores_nothing_and_asks_for_more() -> None:
    normal = _metal()
    result = _judge(normal, normal)
    assert (result.location_score, result.quality_score, result.passed) == (0.0, 0.0, False)
    assert [finding.name for finding in result.findings] == ["no_visible_change"]


def test_an_invisible_change_scores_nothing() -> None:
    normal = _metal()
    native = normal.native.copy()
    native[40:50, 40:50] ^= 1
    assert _judge(normal, photo_from_array(native)).score == 0.0


def test_photos_of_different_sizes_are_refused_with_both_sizes() -> None:
    with pytest.raises(ToolInputError, match="128 x 128"):
        _judge(_metal(), _metal(96))


def test_the_same_pair_gets_the_same_result() -> None:
    normal = _metal()
    first, again = (_judge(_metal(), _scratched(normal)) for _ in range(2))
    assert first == again


def test_an_unknown_item_and_type_are_judged_without_a_card() -> None:
    normal = _metal()
    result = _judge(normal, _scratched(normal), "qzx", "frobnication")
    assert result.passed
    assert not any(finding.name == "wrong_shape" for finding in result.findings)


@pytest.mark.parametrize("kind", ["grey", "grey16", "alpha"])
def test_other_kinds_of_photos_are_judged_alike(kind: str) -> None:
    def convert(photo: Photo) -> Photo:
        grey = photo.native.mean(axis=2)
        if kind == "grey":
            return photo_from_array(grey.astype(np.uint8))
        if kind == "grey16":
            return photo_from_array((grey * 257).astype(np.uint16))
        return photo_from_array(np.dstack([photo.native, np.full(photo.shape, 255, np.uint8)]))

    normal = _metal()
    assert _judge(convert(normal), convert(_scratched(normal))).passed


@pytest.mark.parametrize(("height", "width"), [(32, 32), (33, 200), (310, 150)])
def test_any_size_is_judged(height: int, width: int) -> None:
    native = make_specimen("tile", np.random.default_rng(1), 320).native[:height, :width]
    normal = photo_from_array(native.copy())
    native = native.copy()
    native[10:16, 8:22] = 20
    result = _judge(normal, photo_from_array(native), "hole", "tile")
    assert 0.0 <= result.score <= 10.0


def test_a_change_of_the_whole_frame_is_judged() -> None:
    normal = _metal()
    inverted = photo_from_array(255 - normal.native)
    assert not _judge(normal, inverted).passed


def test_a_faint_scratch_is_told_to_become_stronger() -> None:
    normal = _metal()
    result = _judge(normal, _scratched(normal, 0.05))
    finding = next(finding for finding in result.findings if finding.name == "too_faint")
    assert finding.adjust == Adjustment(field="severity", how="multiply", value=1.6)
    assert result.score < _judge(normal, _scratched(normal)).score


def test_a_larger_threshold_fails_the_same_scores() -> None:
    normal = _metal()
    judge = FeatureJudge({}, KnowledgeSettings())
    strict = judge.judge(normal, _scratched(normal), "sheet_metal", "scratch", 9.99)
    assert not strict.passed
    assert strict.threshold == 9.99


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(ConfigError, match="calibration"):
        FeatureJudge({"calibraton": "x"}, KnowledgeSettings())


def test_a_damaged_calibration_says_how_to_write_it_anew(tmp_path: object) -> None:
    from pathlib import Path

    path = Path(str(tmp_path)) / "bad.json"
    path.write_text("{}")
    normal = _metal()
    with pytest.raises(ConfigError, match=r"judge\.calibration"):
        FeatureJudge({"calibration": str(path)}, KnowledgeSettings()).judge(normal, _scratched(normal), "x", "y", 5.0)


def test_every_adjustment_that_sets_a_number_fits_a_spec() -> None:
    spec = DefectSpec(mechanism="scratch")
    for field, value in (("count", 1.0), ("zone", "edge"), ("mechanism", "dent"), ("elongation", 3.2)):
        adjustment = Adjustment(field=field, how="set", value=value)  # type: ignore[arg-type]
        DefectSpec.model_validate({**spec.model_dump(), adjustment.field: adjustment.value})


def test_the_judge_starts_without_heavy_libraries() -> None:
    code = (
        "import sys, anomalyagent.mcp_tools.backends.features;"
        "bad = [m for m in ('torch', 'scipy', 'skimage', 'chromadb') if m in sys.modules]; sys.exit(str(bad) if bad else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_ground_below_a_coating_may_have_any_colour() -> None:
    rng = np.random.default_rng(2)
    blue = np.clip(np.array([60, 95, 150]) + rng.normal(0, 1.0, (192, 192, 1)), 0, 255).astype(np.uint8)
    normal = photo_from_array(blue)
    spec = DefectSpec(mechanism="chip", zone="center", area_fraction=0.03, elongation=1.5, severity=14.0, seed=3)
    flaked = render_defect(Scene(normal), spec, Breaking(Body(coated=True))).photo
    assert _judge(normal, flaked, "peeling", "painted panel").passed
    assert _judge(normal, flaked, "peeling", "car door").passed
    assert not _judge(normal, flaked, "chip", "plastic housing").passed
