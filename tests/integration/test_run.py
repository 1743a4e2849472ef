"""Whole runs with real tool servers and small backends."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from helpers.photos import make_photos
from helpers.run_backends import HERE, run_settings
from helpers.runs import hashes, request

from anomalyagent.configs.schema import Settings
from anomalyagent.errors import ForkError, PolicyError, RunError, TraceError
from anomalyagent.graph.approval import Pause, Ruling
from anomalyagent.graph.events import Event, Importing, Note, Planned, TaskFinished, TaskStarted
from anomalyagent.graph.run import Request, synthesize
from anomalyagent.graph.trace import read_trajectory
from anomalyagent.training.datasets.harmless import add_harmless


@pytest.fixture
def normals(tmp_path: Path) -> Path:
    return make_photos(tmp_path / "photos", count=3, size=64)


def with_script(script: list[dict[str, Any]], **limits: Any) -> Settings:
    tree = run_settings(share=1.0).model_dump()
    tree["policy"] = {"name": "scripted", "options": {"turns": script}}
    tree["limits"] |= {"attempts_per_sample": 1, **limits}
    return Settings.model_validate(tree)


def tool(name: str, **arguments: Any) -> dict[str, Any]:
    return {"thought": "t", "action": {"kind": "tool_call", "name": name, "arguments": arguments}}


NAMES = {"item_name": "{item_name}", "anomaly_type": "{anomaly_type}"}
PROMPT = tool("prompt_gen", image=1, **NAMES)
IMAGE = tool("image_gen", image=1, prompt="a scratch")
JUDGE = tool("quality_eval", normal_image=1, anomaly_image=2, **NAMES)
MASK = tool("mask_gen", normal_image=1, anomaly_image=2)
ANSWER = {
    "action": {"kind": "answer", "status": "success", "final_image_index": 2, "mask_generated": True, "synthesis_logic": "l"}
}


def test_a_run_makes_a_data_set_in_mvtec_layout_and_says_how_it_went(normals: Path, tmp_path: Path) -> None:
    events: list[Event] = []
    out = tmp_path / "run"
    summary = synthesize(request(normals, out), run_settings(), events.append)
    assert (summary.status, summary.accepted, summary.failed) == ("complete", 6, 0)
    assert summary.cost_per_good is not None
    assert summary.cost_per_good >= 0.01
    assert summary.rounds_mean is not None
    assert summary.rounds_mean > 1
    dataset = out / "dataset" / "metal_nut"
    for kind in ("scratch", "dent"):
        assert sorted(path.name for path in (dataset / "test" / kind).iterdir()) == ["000.png", "001.png", "002.png"]
        for number in range(3):
            mask = cv2.imread(str(dataset / "ground_truth" / kind / f"{number:03d}_mask.png"), cv2.IMREAD_UNCHANGED)
            assert mask is not None
            assert set(np.unique(mask)) == {0, 255}
    assert sorted(path.name for path in (dataset / "train" / "good").iterdir()) == ["000.png", "001.png", "002.png"]
    lines = [json.loads(line) for line in (dataset / "manifest.jsonl").read_text().splitlines()]
    assert [(line["anomaly_type"], line["number"]) for line in lines] == [(k, n) for k in ("scratch", "dent") for n in range(3)]
    assert all((dataset / line["image"]).is_file() and line["score"] == 7.0 and line["source"] for line in lines)
    stored = json.loads((out / "run.json").read_text())
    assert stored["summary"]["status"] == "complete"
    assert len(stored["inputs"]["normals"]) == 3
    assert [type(event) for event in events if isinstance(event, Planned)] == [Planned]
    finished = [event for event in events if isinstance(event, TaskFinished)]
    assert len(finished) == sum(isinstance(event, TaskStarted) for event in events) == summary.accepted + summary.rejected
    assert "data:image/jpeg" in (out / "report.html").read_text()


def test_every_pixel_outside_the_mask_is_the_normal_photo(normals: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    synthesize(request(normals, out, count=2), run_settings(share=1.0))
    dataset = out / "dataset" / "metal_nut"
    for line in map(json.loads, (dataset / "manifest.jsonl").read_text().splitlines()):
        normal, image, mask = (
            cv2.imread(str(dataset / line[key]), cv2.IMREAD_UNCHANGED) for key in ("normal", "image", "mask")
        )
        assert normal is not None
        assert image is not None
        assert mask is not None
        assert (normal[mask == 0] == image[mask == 0]).all()
        assert (normal[mask > 0] != image[mask > 0]).any()


def test_the_same_request_again_makes_nothing_twice(normals: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    first = synthesize(request(normals, out), run_settings())
    before = {path: path.stat().st_mtime_ns for path in (out / "trajectories").iterdir()}
    data = hashes(out / "dataset")
    events: list[Event] = []
    second = synthesize(request(normals, out), run_settings(), events.append)
    assert not any(isinstance(event, TaskStarted) for event in events)
    assert {path: path.stat().st_mtime_ns for path in (out / "trajectories").iterdir()} == before
    assert hashes(out / "dataset") == data
    assert (second.accepted, second.rounds_mean) == (first.accepted, first.rounds_mean)


def test_a_larger_count_continues_and_equals_a_run_that_wanted_it_at_once(normals: Path, tmp_path: Path) -> None:
    synthesize(request(normals, tmp_path / "grown", count=2), run_settings())
    synthesize(request(normals, tmp_path / "grown", count=4), run_settings())
    synthesize(request(normals, tmp_path / "once", count=4), run_settings())
    assert hashes(tmp_path / "grown" / "dataset") == hashes(tmp_path / "once" / "dataset")


def test_a_smaller_count_another_setting_or_another_photo_is_refused_by_name(normals: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    synthesize(request(normals, out, types=["scratch"], count=2), run_settings())
    with pytest.raises(RunError, match="2 then, 1 now"):
        synthesize(request(normals, out, types=["scratch"], count=1), run_settings())
    with pytest.raises(RunError, match=r"tools.quality_eval.options.share: 0.5 then, 0.9 now"):
        synthesize(request(normals, out, types=["scratch"], count=2), run_settings(share=0.9))
    with pytest.raises(RunError) as told:
        synthesize(request(normals, out, types=["scratch"], count=2), run_settings(image_options={"depth": 2}))
    assert "tools.image_gen.options.depth: None then, 2 now" in str(told.value)
    assert "tools.image_gen.options:" not in str(told.value)  # {} then
    with pytest.raises(RunError, match="anomaly types: scratch then, dent now"):
        synthesize(request(normals, out, types=["dent"], count=2), run_settings())
    (normals / "good_01.png").write_bytes((normals / "good_00.png").read_bytes())
    shutil.copy(normals / "good_00.png", normals / "other.png")
    with pytest.raises(RunError, match=r"good_01.png: changed|other.png: new"):
        synthesize(request(normals, out, types=["scratch"], count=2), run_settings())


def test_settings_that_change_no_byte_may_differ(normals: Path, tmp_path: Path) -> None:
    tree = run_settings().model_dump()
    synthesize(request(normals, tmp_path / "run"), Settings.model_validate(tree))
    tree["limits"]["tool_timeout_s"] = 77
    assert synthesize(request(normals, tmp_path / "run"), Settings.model_validate(tree)).status == "complete"


def test_illegal_and_malformed_actions_become_observations(normals: Path, tmp_path: Path) -> None:
    malformed = {"action": {"kind": "malformed", "raw": "<tool", "problem": "The tool call has no end."}}
    settings = with_script([IMAGE, malformed, PROMPT, IMAGE, JUDGE, MASK, ANSWER])
    summary = synthesize(request(normals, tmp_path / "run", types=["scratch"], count=1), settings)
    assert summary.accepted == 1
    trajectory = read_trajectory(tmp_path / "run" / "trajectories" / "scratch-00000.json")
    illegal = [turn for turn in trajectory.turns if not turn.legal]
    assert [turn.observation.text.split(".")[0] for turn in illegal if turn.observation] == ["Not carried out"] * len(illegal)
    assert "prompt_gen first" in str(illegal[0].observation)
    assert "no end" in str(illegal[1].observation)


def test_a_script_plays_a_whole_trajectory(normals: Path, tmp_path: Path) -> None:
    settings = with_script([PROMPT, IMAGE, JUDGE, MASK, ANSWER])
    summary = synthesize(request(normals, tmp_path / "run", types=["scratch"], count=1), settings)
    assert summary.accepted == 1
    trajectory = read_trajectory(tmp_path / "run" / "trajectories" / "scratch-00000.json")
    assert [entry.role for entry in trajectory.images] == ["normal", "anomaly", "mask"]
    assert [turn.legal for turn in trajectory.turns] == [True] * 5


@pytest.mark.parametrize(
    ("turns", "limits", "reason"),
    [
        ([MASK] * 9, {"turns": 5}, "limit of 5 turns"),
        ([PROMPT, IMAGE, JUDGE, MASK, ANSWER], {"trajectory_cost_usd": 0.005}, "cost limit"),
        ([PROMPT], {}, "policy failed"),
    ],
)
def test_limits_end_a_trajectory_as_failed(
    normals: Path, tmp_path: Path, turns: list[dict[str, Any]], limits: dict[str, Any], reason: str
) -> None:
    summary = synthesize(request(normals, tmp_path / "run", types=["scratch"], count=1), with_script(turns, **limits))
    assert (summary.status, summary.failed) == ("incomplete", 1)
    trajectory = read_trajectory(tmp_path / "run" / "trajectories" / "scratch-00000.json")
    assert reason in trajectory.reason


def test_a_tool_that_always_fails_ends_in_failed_trajectories_with_the_error(normals: Path, tmp_path: Path) -> None:
    tree = run_settings("RefusingImage").model_dump()
    tree["limits"]["attempts_per_sample"] = 3
    summary = synthesize(request(normals, tmp_path / "run", types=["scratch"], count=1), Settings.model_validate(tree))
    assert (summary.status, summary.failed, summary.types[0].given_up) == ("incomplete", 3, True)
    assert "nothing can be drawn" in next(iter(summary.types[0].reasons))


def test_a_run_in_which_nothing_works_stops_early(normals: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"in a row failed.*nothing can be drawn"):
        synthesize(request(normals, tmp_path / "run", count=9), run_settings("RefusingImage"))


def test_failed_tasks_are_tried_again_when_the_fault_is_gone(normals: Path, tmp_path: Path) -> None:
    # The class behind the same setting is mended between the two sessions.
    import helpers.run_backends as backends

    settings, out = run_settings("RefusingImage", share=1.0), tmp_path / "run"
    with pytest.raises(RunError):
        synthesize(request(normals, out, count=9), settings)
    broken = backends.RefusingImage
    try:
        backends.RefusingImage = backends.SpeckleImage  # type: ignore[misc, assignment]
        mended = synthesize(request(normals, out, count=9), settings)
    finally:
        backends.RefusingImage = broken
    assert (mended.status, mended.accepted, mended.failed) == ("complete", 18, 0)


def test_rejected_images_are_kept_on_request_outside_the_data_set(normals: Path, tmp_path: Path) -> None:
    wanted = request(normals, tmp_path / "run", types=["scratch"], count=2)
    tree = run_settings(share=0.2).model_dump()
    tree["limits"]["rounds"] = 1
    summary = synthesize(replace(wanted, keep_rejected=True), Settings.model_validate(tree))
    kept = list((tmp_path / "run" / "rejected" / "metal_nut" / "scratch").glob("*.png"))
    assert summary.rejected > 0
    assert len(kept) == 2 * summary.rejected


def test_a_type_is_given_up_after_its_attempts(normals: Path, tmp_path: Path) -> None:
    tree = run_settings(share=0.0).model_dump()
    tree["limits"] |= {"attempts_per_sample": 2, "rounds": 1}
    summary = synthesize(request(normals, tmp_path / "run", types=["scratch"], count=2), Settings.model_validate(tree))
    assert (summary.status, summary.rejected, summary.types[0].given_up) == ("incomplete", 4, True)


def test_auto_takes_the_types_that_the_cards_name(normals: Path, tmp_path: Path) -> None:
    wanted = Request([normals], "bottle", "auto", 1, tmp_path / "run")
    summary = synthesize(wanted, run_settings(share=1.0))
    assert {one.anomaly_type for one in summary.types} == {"broken_large", "broken_small", "contamination"}


def test_auto_says_why_in_run_json_and_in_the_report_and_names_an_unusual_photo(tmp_path: Path) -> None:
    photos = make_photos(tmp_path / "photos", count=7, size=64)
    odd = cv2.imread(str(photos / "good_03.png"))
    assert odd is not None
    odd[10:50, 10:50] //= 4
    cv2.imwrite(str(photos / "odd.png"), odd)
    events: list[Event] = []
    out = tmp_path / "run"
    wanted = Request([photos], "hot rolled steel", "auto", 2, out)
    summary = synthesize(wanted, run_settings(share=1.0), events.append)
    stored = json.loads((out / "run.json").read_text("utf-8"))
    assert summary.accepted == sum(plan["count"] for plan in stored["plans"])
    assert all("hot_rolled_steel" in plan["reason"] for plan in stored["plans"])
    assert stored["traits"]["surface"] is True
    assert "Chosen by auto: listed for" in (out / "report.html").read_text("utf-8")
    assert any(isinstance(event, Note) and "odd.png: it is unlike" in event.text for event in events)
    assert [(event.done, event.total) for event in events if isinstance(event, Importing)] == [
        (done, 8) for done in range(1, 9)
    ]
    again = synthesize(wanted, run_settings(share=1.0))
    assert again.run_id == summary.run_id


def test_another_zone_mask_under_the_same_name_is_another_request(normals: Path, tmp_path: Path) -> None:
    zone = tmp_path / "zone.png"
    cv2.imwrite(str(zone), np.full((64, 64), 255, np.uint8))
    tree = run_settings(share=1.0).model_dump()
    tree["tools"]["image_gen"] = {"backend": "procedural", "options": {"zone_mask": str(zone)}}
    wanted = request(normals, tmp_path / "run", types=["stain"], count=1)
    synthesize(wanted, Settings.model_validate(tree))
    synthesize(wanted, Settings.model_validate(tree))
    cv2.imwrite(str(zone), np.tri(64, dtype=np.uint8) * 255)
    with pytest.raises(RunError, match=r"files of tools\.image_gen\.options\.zone_mask were changed"):
        synthesize(wanted, Settings.model_validate(tree))
    tree["tools"]["image_gen"]["options"]["zone_mask"] = str(normals)
    with pytest.raises(RunError, match=r"the zone mask .* is a folder"):
        synthesize(replace(wanted, out=tmp_path / "other"), Settings.model_validate(tree))


def test_unicode_long_and_odd_names_become_safe_folders(normals: Path, tmp_path: Path) -> None:
    types = ["Kratzer ü", "错位", "a/b\\c:*?", "CON", "x" * 200, "scratch", "Scratch?", "..", "  two  words "]
    with pytest.raises(RunError, match="letter or digit"):
        synthesize(request(normals, tmp_path / "run", types=types, count=1), run_settings(share=1.0))
    with pytest.raises(RunError, match="200 characters"):
        synthesize(request(normals, tmp_path / "run", types=["x" * 201], count=1), run_settings(share=1.0))
    types.remove("..")
    summary = synthesize(request(normals, tmp_path / "run", types=types, count=1), run_settings(share=1.0))
    assert summary.accepted == len(types)
    folders = {path.name for path in (tmp_path / "run" / "dataset" / "metal_nut" / "test").iterdir()}
    assert {"Kratzer_ü", "错位", "a_b_c", "CON_", "scratch", "two_words"} <= folders
    assert len({name.casefold() for name in folders}) == len(types)
    manifest = (tmp_path / "run" / "dataset" / "metal_nut" / "manifest.jsonl").read_text("utf-8")
    assert {json.loads(line)["anomaly_type"] for line in manifest.splitlines()} == set(types)


def test_photos_and_folders_whose_names_are_no_text_are_used_and_the_run_can_be_continued(
    normals: Path, tmp_path: Path
) -> None:
    folder, out = tmp_path / "f\udce9", tmp_path / "r\udce9"  # bytes that are no UTF-8, as Python writes them
    normals.rename(folder)
    (folder / "good_00.png").rename(folder / "caf\udce9.png")
    wanted = replace(request(folder, out, types=("scratch",)), command=["synthesize", str(folder)])
    synthesize(wanted, run_settings())
    lines = (out / "dataset/metal_nut/manifest.jsonl").read_text("utf-8").splitlines()
    assert r"caf\udce9.png" in {json.loads(line)["source"] for line in lines}
    summary = synthesize(replace(wanted, count=4), run_settings())
    assert (summary.status, summary.accepted) == ("complete", 4)


@pytest.mark.parametrize("names", [{"item": "nut\udce9"}, {"anomaly_types": ["dent\udce9"]}])
def test_a_name_that_is_no_text_is_refused(normals: Path, tmp_path: Path, names: dict[str, Any]) -> None:
    with pytest.raises(RunError, match="not valid Unicode"):
        synthesize(replace(request(normals, tmp_path / "run"), **names), run_settings())


@pytest.mark.parametrize("name", ["good", " Good "])
def test_a_type_called_good_is_refused(normals: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(RunError, match="normal images"):
        synthesize(request(normals, tmp_path / "run", types=[name]), run_settings())


def test_unreadable_photos_are_skipped_with_a_warning_and_listed(normals: Path, tmp_path: Path) -> None:
    whole = (normals / "good_00.png").read_bytes()
    (normals / "cut.png").write_bytes(whole[: len(whole) // 2])
    (normals / "empty.png").write_bytes(b"")
    (normals / "text.png").write_text("not an image")
    (normals / "folder.png").mkdir()
    (normals / "notes.txt").write_text("ignored")
    events: list[Event] = []
    summary = synthesize(request(normals, tmp_path / "run", count=1), run_settings(share=1.0), events.append)
    warnings = [event.text for event in events if isinstance(event, Note) and event.level == "warning"]
    assert summary.skipped_normals == len(warnings) == 4
    stored = json.loads((tmp_path / "run" / "run.json").read_text())
    assert {one["source"] for one in stored["inputs"]["skipped"]} == {"cut.png", "empty.png", "text.png", "folder.png"}
    assert synthesize(request(normals, tmp_path / "run", count=1), run_settings(share=1.0)).status == "complete"


def test_a_run_without_any_readable_photo_is_an_error(tmp_path: Path) -> None:
    empty = tmp_path / "photos"
    empty.mkdir()
    with pytest.raises(RunError, match="holds no image file"):
        synthesize(request(empty, tmp_path / "run"), run_settings())
    (empty / "a.png").write_bytes(b"x")
    with pytest.raises(RunError, match="none of the 1 normal images"):
        synthesize(request(empty, tmp_path / "run"), run_settings())
    with pytest.raises(RunError, match="does not exist"):
        synthesize(request(tmp_path / "nowhere", tmp_path / "run"), run_settings())


def test_an_mvtec_category_and_single_files_are_understood(normals: Path, tmp_path: Path) -> None:
    good = tmp_path / "nut" / "train" / "good"
    good.parent.mkdir(parents=True)
    shutil.copytree(normals, good)
    summary = synthesize(request(tmp_path / "nut", tmp_path / "a", count=1), run_settings(share=1.0))
    files = Request([normals / "good_00.png", good], "metal nut", ["scratch"], 1, tmp_path / "b")
    both = synthesize(files, run_settings(share=1.0))
    assert summary.accepted == 2
    assert both.accepted == 1
    assert len(list((tmp_path / "b" / "dataset" / "metal_nut" / "train" / "good").iterdir())) == 4


def test_photos_of_an_import_that_was_interrupted_are_not_left_in_the_data_set_of_another(
    normals: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"

    def leave(event: Event) -> None:
        if isinstance(event, Importing) and event.done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        synthesize(request(normals, out, types=("scratch",)), run_settings(), leave)
    good = out / "dataset" / "metal_nut" / "train" / "good"
    (good / ".7.part").write_bytes(b"half")  # as kill -9 would leave them
    (good / ".7-abc.tmp").write_bytes(b"half")
    synthesize(request(normals / "good_00.png", out, types=("scratch",), count=1), run_settings())
    assert [path.name for path in good.iterdir()] == ["000.png"]


def test_photos_with_harmless_differences_are_no_photos_of_their_own(normals: Path, tmp_path: Path) -> None:
    first = tmp_path / "first"
    synthesize(request(normals, first, types=("scratch",)), run_settings())
    add_harmless(first, 4, 0)
    category = first / "dataset" / "metal_nut"
    (category / "train" / "good" / "lost_harmless_000.png").write_bytes((category / "train/good/000.png").read_bytes())
    events: list[Event] = []
    synthesize(request(category, tmp_path / "second", types=("dent",), count=5), run_settings(), events.append)
    run = json.loads((tmp_path / "second" / "run.json").read_text("utf-8"))
    assert [one["source"] for one in run["inputs"]["normals"]] == ["000.png", "001.png", "002.png", "lost_harmless_000.png"]
    told = [event.text for event in events if isinstance(event, Note)]
    assert any("4 good photos with harmless differences" in text and "left out" in text for text in told), told


def test_a_folder_that_is_no_run_is_left_alone(normals: Path, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("x")
    with pytest.raises(RunError, match=r"thesis\.tex"):
        synthesize(request(normals, tmp_path / "home"), run_settings())
    with pytest.raises(RunError, match="cannot use"):
        synthesize(request(normals, tmp_path / "home" / "thesis.tex"), run_settings())
    category = tmp_path / "project" / "dataset" / "metal_nut" / "train" / "good"  # an item's own data set, where ours would go
    shutil.copytree(normals, category)
    with pytest.raises(RunError, match="holds no run"):
        synthesize(request(category, tmp_path / "project"), run_settings())
    assert hashes(category) == hashes(normals)


def test_a_folder_that_cannot_be_written_is_an_error(normals: Path) -> None:
    with pytest.raises(RunError, match="cannot use /proc"):
        synthesize(request(normals, Path("/proc/run")), run_settings())


def test_a_damaged_run_file_is_an_error_and_a_damaged_trajectory_is_made_anew(normals: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    synthesize(request(normals, out), run_settings())
    data = hashes(out / "dataset")
    (out / "trajectories" / "dent-00000.json").write_text('{"schema_version": 1, "id": "de')
    events: list[Event] = []
    assert synthesize(request(normals, out), run_settings(), events.append).status == "complete"
    assert any(isinstance(event, Note) and "made anew" in event.text for event in events)
    assert hashes(out / "dataset") == data
    (out / "run.json").write_text("{")
    with pytest.raises(TraceError, match=r"run\.json"):
        synthesize(request(normals, out), run_settings())


def test_unusable_requests_are_refused(normals: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="at least 1"):
        synthesize(request(normals, tmp_path / "run", count=0), run_settings())
    with pytest.raises(RunError, match="no name"):
        synthesize(Request([normals], " ", ["scratch"], 1, tmp_path / "run"), run_settings())
    with pytest.raises(RunError, match="missing or empty"):
        synthesize(request(normals, tmp_path / "run", types=[" "]), run_settings())
    tree = run_settings().model_dump() | {"policy": {"name": "oracle", "options": {}}}
    with pytest.raises(PolicyError, match="unknown policy"):
        synthesize(request(normals, tmp_path / "run"), Settings.model_validate(tree))


def test_a_tool_to_approve_must_be_there(normals: Path, tmp_path: Path) -> None:
    def approve(_: Pause) -> Ruling:
        return Ruling(kind="approve")

    wanted = replace(request(normals, tmp_path / "run"), approve=("image-gen",))
    with pytest.raises(ForkError, match=r"no tool 'image-gen' to approve; the tools are .*image_gen"):
        synthesize(wanted, run_settings(), approver=approve)


def test_the_number_of_rounds_can_be_given_with_the_request(normals: Path, tmp_path: Path) -> None:
    wanted = request(normals, tmp_path / "run", types=["scratch"], count=2)
    summary = synthesize(replace(wanted, max_rounds=1), run_settings())
    assert summary.rounds_mean == 1.0
    assert HERE in (tmp_path / "run" / "run.json").read_text()


def test_photos_smaller_than_usual_are_reported_and_varied_too(tmp_path: Path) -> None:
    normals = make_photos(tmp_path / "photos", count=1, size=24)
    settings = run_settings(share=1.0)
    limits = settings.limits.model_copy(update={"min_image_side_px": 16})
    summary = synthesize(request(normals, tmp_path / "run", count=1), settings.model_copy(update={"limits": limits}))
    assert (summary.status, summary.report) == ("complete", "report.html")
    assert add_harmless(tmp_path / "run", 1, 0, lambda _text: None) == 1
