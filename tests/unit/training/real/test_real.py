"""Trajectories from real defects: the run folder, the three kinds, what is rejected, resuming."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers.defects import make_mvtec

from anomalyagent.configs.schema import Settings
from anomalyagent.errors import ImageError, RunError
from anomalyagent.graph.locate import iterate_trajectories
from anomalyagent.graph.progress import View, read_progress
from anomalyagent.graph.rules import check
from anomalyagent.graph.runfile import read_run_file
from anomalyagent.graph.trace import Trajectory
from anomalyagent.mcp_tools.imaging.photo import photo_from_array, read_mask, read_photo
from anomalyagent.training.real.measure import measure_defect
from anomalyagent.training.real.run import RealRequest, retrace_real
from anomalyagent.training.rows.export import export_traces
from anomalyagent.training.rows.select import Filters

SETTINGS = Settings()


def nothing(_: object) -> None: ...


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_mvtec(tmp_path_factory.mktemp("data") / "machined_part", {"dark_stain": 3, "stain": 3}, train=8, good=0)


@pytest.fixture(scope="module")
def run_dir(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "real"
    retrace_real(request(data, out), SETTINGS, nothing)
    return out


def request(data: Path, out: Path) -> RealRequest:
    return RealRequest(data, None, "machined part", out, shares=(0.3, 0.4, 0.3))


def trajectories(run_dir: Path) -> Iterator[Trajectory]:
    for one in iterate_trajectories(run_dir):
        assert isinstance(one, Trajectory)
        yield one


def test_most_real_defects_give_an_accepted_trajectory_of_one_to_three_rounds(run_dir: Path) -> None:
    done = list(trajectories(run_dir))
    accepted = [one for one in done if one.outcome == "accepted"]
    assert len(done) == 6
    assert len(accepted) >= 4, [one.reason for one in done]
    assert {one.rounds for one in accepted} > {1}


def test_the_last_image_is_the_real_photo_and_its_mask_the_true_one(run_dir: Path, data: Path) -> None:
    for one in trajectories(run_dir):
        if one.outcome != "accepted":
            continue
        folder, index = one.task.anomaly_type, one.task.index
        real = read_photo(data / "test" / folder / f"{index:03d}.png")
        truth = read_mask(data / "ground_truth" / folder / f"{index:03d}_mask.png")
        assert read_photo(run_dir / str(one.final_image)).sha256 == real.sha256
        assert (read_mask(run_dir / str(one.mask)) == truth).all()
        twin = read_photo(run_dir / one.task.normal_image)
        near = cv2.dilate(truth.astype(np.uint8), np.ones((25, 25), np.uint8)) > 0
        assert (twin.native == real.native)[~near].all()
        assert (twin.native != real.native)[truth].mean() > 0.9


def test_every_turn_is_legal_and_earlier_rounds_failed_the_judge(run_dir: Path) -> None:
    for one in trajectories(run_dir):
        for number, turn in enumerate(one.turns):
            shown = [entry for entry in one.images if entry.number == 1]
            shown += [image for before in one.turns[:number] if before.observation for image in before.observation.images]
            assert check(View(one.task, one.turns[:number], shown, 3), turn.action) is None
            assert turn.thought
        rounds = read_progress(one.turns).rounds
        assert [each.passed for each in rounds] == [False] * (len(rounds) - 1) + [True] * bool(rounds)
        if len(rounds) == 3:
            assert read_progress(one.turns).knowledge, "a triple asks for knowledge"


def test_the_run_folder_is_one_like_any_other(run_dir: Path) -> None:
    file = read_run_file(run_dir)
    assert file is not None
    assert file.summary is not None
    assert file.summary.status == "complete"
    assert (run_dir / "report.html").is_file()
    lines = (run_dir / "dataset" / "machined_part" / "manifest.jsonl").read_text("utf-8").splitlines()
    assert len(lines) == file.summary.accepted
    assert json.loads(lines[0])["source"].startswith("test/dark_stain/00")
    sheet = cv2.imread(str(run_dir / "twins-dark_stain.jpg"))
    assert sheet is not None
    assert sheet.shape[1] > 1000


def test_the_same_command_again_makes_nothing_twice_and_another_one_is_refused(run_dir: Path, data: Path) -> None:
    path = run_dir / "trajectories" / "stain-00000.json"
    before = path.stat().st_mtime_ns
    events: list[object] = []
    summary = retrace_real(request(data, run_dir), SETTINGS, events.append)
    assert summary.status == "complete"
    assert path.stat().st_mtime_ns == before
    assert len(events) == 1
    with pytest.raises(RunError, match="other defects"):
        retrace_real(request(data, run_dir), SETTINGS.model_copy(update={"seed": 5}), nothing)


def test_a_run_of_real_defects_can_be_exported(run_dir: Path, tmp_path: Path) -> None:
    done = export_traces([run_dir], "grpo", tmp_path / "rows", Filters(), images=False)
    assert done.rows["train"] >= 4


def test_a_defect_with_a_mask_that_misses_it_is_rejected(data: Path, tmp_path: Path) -> None:
    broken = make_mvtec(tmp_path / "machined_part", {"stain": 1}, train=8, good=0)
    mask = broken / "ground_truth" / "stain" / "000_mask.png"
    truth = read_mask(mask).astype(np.uint8) * 255
    x, y, w, h = cv2.boundingRect(truth)
    truth[:, x + w // 3 :] = 0
    cv2.imwrite(str(mask), truth)
    image = read_photo(broken / "test" / "stain" / "000.png").native[..., ::-1].copy()
    image[y : y + h, x + w // 3 : x + 4 * w] //= 3
    cv2.imwrite(str(broken / "test" / "stain" / "000.png"), image)
    summary = retrace_real(request(broken, tmp_path / "out"), SETTINGS, nothing)
    assert summary.accepted == 0
    only = next(trajectories(tmp_path / "out"))
    assert "not clean" in only.reason
    assert not only.turns


def test_without_normals_the_other_defect_photos_are_the_material(data: Path, tmp_path: Path) -> None:
    alone = make_mvtec(tmp_path / "machined_part", {"stain": 5}, train=0, good=0)
    summary = retrace_real(request(alone, tmp_path / "out"), SETTINGS, nothing)
    assert summary.accepted >= 3


@pytest.mark.parametrize("shares", [(1.0, 0.0, float("nan")), (1.0, -0.1, 0.1), (0.0, 0.0, 0.0), (1.0, float("inf"), 0.0)])
def test_shares_that_are_none_are_told(shares: tuple[float, float, float], data: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="shares of single, dual and triple trajectories"):
        retrace_real(replace(request(data, tmp_path / "out"), shares=shares), SETTINGS, nothing)


def test_a_folder_without_defects_is_told(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no data set in a known layout"):
        retrace_real(request(tmp_path, tmp_path / "out"), SETTINGS, nothing)


def test_a_real_defect_is_measured_in_the_words_of_a_spec() -> None:
    flat = np.full((100, 100, 3), 150, np.uint8)
    defect, mask = flat.copy(), np.zeros((100, 100), np.bool_)
    mask[48:52, 20:80] = True
    defect[mask] = 60
    spec = measure_defect(photo_from_array(flat), photo_from_array(defect), mask, "scratch", 3)
    assert spec.area_fraction == pytest.approx(0.024, rel=0.02)
    assert spec.elongation > 8
    assert spec.orientation_deg == pytest.approx(0.0, abs=1.0)
    assert spec.center == pytest.approx((0.495, 0.495), abs=0.01)
    assert spec.severity > 6
    assert spec.count == 1


def test_a_damaged_photo_or_mask_is_told_before_anything_is_made(data: Path, tmp_path: Path) -> None:
    broken = tmp_path / "machined_part"
    shutil.copytree(data, broken)
    mask = broken / "ground_truth" / "stain" / "002_mask.png"
    cv2.imwrite(str(mask), np.zeros((90, 96), np.uint8))
    with pytest.raises(ImageError, match=r"002_mask\.png is 96 x 90, its image 96 x 96\. Mend the data set"):
        retrace_real(request(broken, tmp_path / "out"), SETTINGS, nothing)
    (broken / "test" / "stain" / "002.png").write_bytes(b"no photo")
    with pytest.raises(ImageError, match=r"002\.png"):
        retrace_real(request(broken, tmp_path / "out"), SETTINGS, nothing)
    shutil.copy(data / "test" / "stain" / "002.png", broken / "test" / "stain")
    shutil.copy(data / "ground_truth" / "stain" / "002_mask.png", mask)
    (broken / "train" / "good" / "001.png").write_bytes(b"no photo")
    with pytest.raises(ImageError, match=r"001\.png"):
        retrace_real(request(broken, tmp_path / "out"), SETTINGS, nothing)
    assert not list((tmp_path / "out").glob("*/*"))
    assert read_run_file(tmp_path / "out") is None
