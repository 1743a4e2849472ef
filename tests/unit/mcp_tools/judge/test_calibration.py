import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from anomalyagent.mcp_tools.imaging.photo import photo_from_array
from anomalyagent.mcp_tools.judge.calibration import main
from anomalyagent.mcp_tools.judge.findings import FAULTS
from anomalyagent.mcp_tools.judge.fitting import area_under_curve
from anomalyagent.mcp_tools.judge.scoring import FaultScale, read_calibration
from anomalyagent.mcp_tools.judge.specimens import make_specimen
from anomalyagent.mcp_tools.judge.twins import make_clean_twin


def test_the_shipped_calibration_never_rewards_a_fault() -> None:
    calibration = read_calibration()
    assert set(calibration.faults) == {fault.name for fault in FAULTS}
    for scale in calibration.faults.values():
        assert scale.location >= 0
        assert scale.quality >= 0
        assert scale.gross > scale.harmless >= 0


def test_seriousness_rises_from_harmless_to_beyond_gross() -> None:
    scale = FaultScale(harmless=1.0, gross=3.0, location=1.0, quality=1.0)
    assert [scale.seriousness(amount) for amount in (0.0, 1.0, 2.0, 3.0, 9.0)] == [0.0, 0.0, 0.5, 1.0, 1.5]


def test_area_under_the_curve_of_a_case_counted_by_hand() -> None:
    # pairs (high, low): 3>1, 3>2, 2>1, 2=2 -> 3.5 of 4
    assert area_under_curve([3.0, 2.0], [1.0, 2.0]) == pytest.approx(0.875)


def test_a_clean_twin_differs_only_around_the_mask_and_hides_the_defect() -> None:
    normals = [make_specimen("tile", np.random.default_rng(seed), 96) for seed in range(3)]
    native = normals[0].native.copy()
    native[40:50, 40:55] = 0
    mask = np.zeros((96, 96), bool)
    mask[40:50, 40:55] = True
    twin = make_clean_twin(photo_from_array(native), mask, normals[1:], np.random.default_rng(0))
    assert twin is not None
    changed = (twin.native != native).any(axis=2)
    rows, columns = np.nonzero(changed)
    assert rows.min() >= 30
    assert columns.max() <= 65
    assert twin.native[40:50, 40:55].mean() > 50


def _write_normals(folder: Path, item: str, count: int) -> Path:
    (folder / item).mkdir(parents=True)
    for seed in range(count):
        photo = make_specimen(item, np.random.default_rng(seed), 96)
        cv2.imwrite(str(folder / item / f"{seed:03d}.png"), photo.native[..., ::-1])
    return folder / item


def test_the_command_refits_on_folders_and_prints_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [str(_write_normals(tmp_path, item, 4)) for item in ("leather", "painted_surface")]
    out = tmp_path / "calibration.json"
    assert main(["--normals", *folders, "--out", str(out), "--generated", "0"]) == 0
    printed = capsys.readouterr().out
    assert "hard_cut" in printed
    assert "leather" in printed
    assert set(read_calibration(out).faults) == {fault.name for fault in FAULTS}
    assert set(json.loads(out.read_text())["report"]) == {"leather", "painted_surface"}


def test_a_refit_without_scipy_names_the_extra(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "scipy", None)
    assert main(["--normals", str(tmp_path), "--out", str(tmp_path / "x.json"), "--generated", "0"]) == 2
    assert "pip install 'anomalyagent[eval]'" in capsys.readouterr().err


def test_without_out_the_shipped_fit_is_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = _write_normals(tmp_path, "painted_surface", 4)
    before = sorted(tmp_path.rglob("*"))
    assert main(["--normals", f"paint={folder}", "--generated", "0"]) == 0
    printed = capsys.readouterr().out
    assert "judged by the shipped fit" in printed
    assert printed.rstrip().splitlines()[-3].split() == ["real", "ones", "pass", "-"]  # none were given
    assert "paint" in printed
    assert "100 %" in printed
    assert sorted(tmp_path.rglob("*")) == before


def test_the_command_says_which_folder_has_no_photos(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--normals", str(tmp_path), "--out", str(tmp_path / "x.json"), "--generated", "0"]) == 2
    assert str(tmp_path) in capsys.readouterr().err
