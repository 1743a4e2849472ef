"""The command line as a user meets it: real processes, real files."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from helpers.photos import make_photos
from typer.testing import CliRunner

from anomalyagent.cli import app
from anomalyagent.errors import WorkspaceError


def run(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "anomalyagent", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=240, env={**os.environ, **(env or {})})


def synthesize(normals: Path, out: Path, *more: str) -> subprocess.CompletedProcess[str]:
    common = ["--normals", str(normals), "--item", "steel sheet", "--anomaly-type", "scratch", "--out", str(out)]
    return run("synthesize", *common, *more)


@pytest.fixture(scope="module")
def normals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_photos(tmp_path_factory.mktemp("normals"), count=3)


@pytest.fixture(scope="module")
def finished(normals: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    out = tmp_path_factory.mktemp("run") / "out"
    return out, synthesize(normals, out, "--count", "3", "--json")


def test_json_ends_with_one_summary_object(finished: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    _, done = finished
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    summary = lines[-1]
    assert summary["accepted"] == 3
    assert {"rejected", "rounds_mean", "seconds_per_good", "cost_per_good"} <= summary.keys()
    assert [line["event"] for line in lines[:-1]].count("task_finished") >= 3


def test_a_run_leaves_the_promised_folder(finished: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    out, _ = finished
    assert {"run.json", "trajectories", "images", "dataset", "report.html", "checkpoints.sqlite"} <= {
        p.name for p in out.iterdir()
    }
    folder = out / "dataset" / "steel_sheet"
    manifest = [json.loads(line) for line in (folder / "manifest.jsonl").read_text("utf-8").splitlines()]
    assert len(manifest) == 3
    assert len(list((folder / "train" / "good").iterdir())) == 3
    for number in range(3):
        image = cv2.imread(str(folder / "test" / "scratch" / f"{number:03d}.png"), cv2.IMREAD_UNCHANGED)
        mask = cv2.imread(str(folder / "ground_truth" / "scratch" / f"{number:03d}_mask.png"), cv2.IMREAD_UNCHANGED)
        assert image is not None
        assert mask is not None
        assert mask.ndim == 2
        assert set(np.unique(mask)) == {0, 255}


def test_good_photos_with_harmless_differences_are_added_when_asked_for(normals: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = synthesize(normals, out, "--count", "2")
    assert first.returncode == 0, first.stderr
    assert " 1 rounds" not in first.stderr
    good = out / "dataset/steel_sheet/train/good"
    assert len(list(good.iterdir())) == 3
    again = synthesize(normals, out, "--count", "2", "--harmless")  # on a finished run too
    assert again.returncode == 0, again.stderr
    assert "2 good photos with harmless differences" in again.stdout
    assert len(list(good.glob("*_harmless_*.png"))) == 2
    assert len(list(good.iterdir())) == 5
    third = synthesize(normals, out, "--count", "3", "--harmless")  # a larger one brings its own
    assert third.returncode == 0, third.stderr
    assert len(list(good.glob("*_harmless_*.png"))) == 3
    assert run("dataset", "harmless", str(out)).stdout.startswith("nothing to do: ")
    assert run("dataset", "validate", str(out)).returncode == 0


def test_a_finished_run_is_told_of_when_no_good_photos_can_be_added(
    normals: Path, finished: tuple[Path, subprocess.CompletedProcess[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise WorkspaceError("the disk is full.")

    monkeypatch.setattr("anomalyagent.training.datasets.harmless.add_harmless", refuse)
    common = ["--normals", str(normals), "--item", "steel sheet", "--anomaly-type", "scratch", "--out", str(finished[0])]
    done = CliRunner().invoke(app, ["synthesize", *common, "--count", "3", "--harmless"])
    assert isinstance(done.exception, WorkspaceError)
    assert "3 accepted, 0 rejected, 0 failed" in done.output


def test_every_pixel_outside_the_mask_is_identical_to_the_source(
    finished: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    out, _ = finished
    for file in (out / "trajectories").glob("*.json"):
        trajectory = json.loads(file.read_text("utf-8"))
        if trajectory["outcome"] != "accepted":
            continue
        normal = cv2.imread(str(out / trajectory["task"]["normal_image"]))
        anomaly = cv2.imread(str(out / trajectory["final_image"]))
        mask = cv2.imread(str(out / trajectory["mask"]), cv2.IMREAD_GRAYSCALE)
        assert normal is not None
        assert anomaly is not None
        assert mask is not None
        assert mask.any()
        assert np.array_equal(normal[mask == 0], anomaly[mask == 0])


def test_the_same_command_again_makes_nothing_twice(
    normals: Path, finished: tuple[Path, subprocess.CompletedProcess[str]]
) -> None:
    out, _ = finished
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.png")}
    again = synthesize(normals, out, "--count", "3")
    assert again.returncode == 0, again.stderr
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.png")} == before
    assert "3 accepted" in again.stdout


def test_another_seed_on_the_same_folder_is_refused_with_the_difference(
    normals: Path, finished: tuple[Path, subprocess.CompletedProcess[str]]
) -> None:
    out, _ = finished
    refused = synthesize(normals, out, "--count", "3", "--seed", "9")
    assert refused.returncode == 6
    assert "seed" in refused.stderr
    assert "Traceback" not in refused.stderr


HELD = """
import runpy, sys
write = sys.stdout.write

def held(text):
    done = write(text)
    if "accepted" in text:
        sys.stdout.flush()
        sys.stdin.readline()
    return done

sys.stdout.write = held
runpy.run_module("anomalyagent", run_name="__main__", alter_sys=True)
"""
"""The program, which waits after each sample until its stdin is closed: it is not done before the signal comes."""


def test_ctrl_c_leaves_a_run_that_resumes_to_the_same_data_set(normals: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    command = [sys.executable, "-c", HELD, "synthesize", "--normals", str(normals), "--item", "steel sheet"]
    command += ["--anomaly-type", "scratch", "--count", "6", "--out", str(out)]
    pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(command, text=True, **pipes) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "accepted" in line:
                process.send_signal(signal.SIGINT)
                break
        process.communicate(timeout=240)
    assert process.returncode == 130
    assert synthesize(normals, out, "--count", "6").returncode == 0
    whole = tmp_path / "whole"
    assert synthesize(normals, whole, "--count", "6").returncode == 0
    assert tree(out / "dataset") == tree(whole / "dataset")


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--set", "limits.roundz=2"], 2, "Did you mean 'limits.rounds'"),
        (["--set", "tools.image_gen.backend=procedurl"], 2, "procedural"),
        (["--set", "policy.name=exprt"], 4, "expert"),
        (["--config", "nowhere.yaml"], 2, "does not exist"),
        (["--set", "knowledge.folders=[/nowhere]"], 5, "/nowhere"),
    ],
)
def test_bad_settings_give_one_clear_line(normals: Path, tmp_path: Path, arguments: list[str], code: int, words: str) -> None:
    done = synthesize(normals, tmp_path / "run", "--count", "1", *arguments)
    assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr
    assert words in done.stderr


@pytest.mark.parametrize("content", ["empty folder", "no images", "file missing"])
def test_photos_that_cannot_be_used_give_one_clear_line(tmp_path: Path, content: str) -> None:
    folder = tmp_path / "photos"
    if content != "file missing":
        folder.mkdir()
    if content == "no images":
        (folder / "notes.txt").write_text("hello", "utf-8")
    done = synthesize(folder, tmp_path / "run", "--count", "1")
    assert done.returncode in (3, 6)
    assert "Traceback" not in done.stderr
    assert str(folder) in done.stderr


def test_auto_beside_named_types_is_refused(normals: Path, tmp_path: Path) -> None:
    done = synthesize(normals, tmp_path / "run", "--anomaly-type", "auto")
    assert done.returncode == 2
    assert "auto" in done.stderr


def test_doctor_finds_the_embedded_configuration_ready() -> None:
    done = run("doctor", "--json")
    assert done.returncode == 0, done.stdout
    report = json.loads(done.stdout)
    assert report["ready"]
    assert {one["tool"] for one in report["backends"] if one["chosen"] and one["usable"]} == {
        "prompt_gen",
        "image_gen",
        "quality_eval",
        "knowledge_retrieval",
        "mask_gen",
    }


def test_doctor_says_what_a_chosen_backend_lacks() -> None:
    done = run("doctor", "--set", "tools.mask_gen.backend=nothing_of_this_name")
    assert done.returncode == 1
    assert "nothing_of_this_name" in done.stdout


def test_doctor_tells_the_prices_and_which_of_them_are_old() -> None:
    chosen = "prices={old-model: {input: 1.0, as_of: 2020-01-31}, ended-model: {output: 2.0, until: 2020-12-31}}"
    done = run("doctor", "--config", "api", "--set", chosen, "--json")
    report = json.loads(done.stdout)
    assert report["prices"]["gemini-3.1-flash-image"] == {
        "input": 0.5,
        "output": 3.0,
        "image_output": 60.0,
        "as_of": "2026-10",
    }
    told = " ".join(report["warnings"])
    assert "the price of old-model is of 2020-01-31, " in told
    assert "the price of ended-model ended on 2020-12-31: look it up and set it under `prices`" in told
    assert not any("price of" in problem for problem in report["problems"])  # it is for the user to judge
    shown = run("doctor", "--config", "api").stdout
    assert "Price of gpt-image-2.6-sunburst (US dollars, tokens by the million): input 5" in " ".join(shown.split())


def test_config_show_names_the_layer_of_each_change() -> None:
    done = run("config", "show", "--set", "limits.rounds=5", env={"ANOMALYAGENT_SEED": "4"})
    assert "rounds: 5" in done.stdout
    assert "[--set limits.rounds]" in done.stdout
    assert "[environment ANOMALYAGENT_SEED]" in done.stdout


def test_the_home_folder_can_be_written_short_in_options_and_in_settings(tmp_path: Path) -> None:
    (tmp_path / "cards").mkdir()
    (tmp_path / "mine.yaml").write_bytes("\ufeffseed: 5\r\nknowledge:\r\n  folders: [~/cards, ~nobody$/cards]\r\n".encode())
    shown = run("config", "show", "--config=~/mine.yaml", env={"HOME": str(tmp_path)})
    assert shown.returncode == 0, shown.stderr
    assert f'folders: ["{tmp_path}/cards", "~nobody$/cards"]' in shown.stdout
    missing = run("dataset", "validate", "~/none", env={"HOME": str(tmp_path)})
    assert f"error: {tmp_path}/none does not exist" in missing.stderr
    nobody = run(
        "synthesize", "--normals", "~nobody$/a.png", "--item", "nut", "--anomaly-type", "dent", "--out", str(tmp_path / "o")
    )
    assert "error: ~nobody$/a.png does not exist" in nobody.stderr


def test_knowledge_commands_add_show_and_search(tmp_path: Path) -> None:
    card = tmp_path / "mine.yaml"
    card.write_text(
        """
- id: mine/widget/wobble
  item: widget
  anomaly_type: wobble
  material: metal
  appearance: The flange of the widget leans.
  cause: Dropped.
  location: At the flange.
  inspection: Look from the side.
  variants:
    - mechanism: bend
      priors: {area_fraction: [0.01, 0.1]}
  source: our line
""",
        "utf-8",
    )
    env = {"XDG_DATA_HOME": str(tmp_path / "data"), "XDG_CACHE_HOME": str(tmp_path / "cache"), "HOME": str(tmp_path)}
    assert run("knowledge", "add", str(card), env=env).returncode == 0
    assert "mine/widget/wobble" in run("knowledge", "show", "widget", env=env).stdout
    found = json.loads(run("knowledge", "search", "a leaning flange on a widget", "--json", env=env).stdout)
    assert found[0]["id"] == "mine/widget/wobble"
    assert "widget" in run("knowledge", "list", env=env).stdout
    assert run("knowledge", "rebuild", env=env).returncode == 0
    assert run("knowledge", "check", env=env).returncode == 0


def test_an_invalid_card_is_refused_with_its_field(tmp_path: Path) -> None:
    card = tmp_path / "bad.yaml"
    card.write_text("- id: mine/x\n  item: x\n", "utf-8")
    done = run("knowledge", "add", str(card))
    assert done.returncode == 5
    assert "anomaly_type" in done.stderr


def test_help_of_every_command_names_its_options() -> None:
    assert "--anomaly-type" in run("synthesize", "--help").stdout
    assert "--workspace" in run("mcp", "serve", "--help").stdout


def test_a_run_opens_no_connection_and_loads_no_torch(normals: Path, tmp_path: Path) -> None:
    script = f"""
import socket, sys
def refuse(self, address, *rest):
    if self.family != socket.AF_UNIX:
        raise AssertionError(f"outside connection to {{address}}")
    return connect(self, address, *rest)
connect = socket.socket.connect
socket.socket.connect = refuse
socket.getaddrinfo = lambda *a, **k: (_ for _ in ()).throw(AssertionError(f"name look-up of {{a}}"))
sys.argv = ["anomalyagent", "synthesize", "--normals", {str(normals)!r}, "--item", "steel sheet", "--anomaly-type", "auto",
            "--count", "1", "--out", {str(tmp_path / "run")!r}, "--set", "tools.quality_eval.threshold=7.5"]
from anomalyagent.cli import main
try:
    main()
except SystemExit as done:
    assert not done.code or done.code == 1, done.code
heavy = {{"torch", "diffusers", "transformers", "trl", "segment_anything"}} & set(sys.modules)
assert not heavy, heavy
print("quiet")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=240)
    assert "quiet" in done.stdout, done.stdout + done.stderr


def test_a_closed_pipe_is_no_error() -> None:
    command = f"{sys.executable} -m anomalyagent knowledge list | head -1"
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=False, timeout=240)
    assert "Traceback" not in done.stderr


def test_names_that_the_encoding_of_the_output_lacks_do_not_end_a_run(normals: Path, tmp_path: Path) -> None:
    common = ["--normals", str(normals), "--anomaly-type", "scratch", "--count", "1", "--out", str(tmp_path / "out")]
    done = run("synthesize", "--item", "\u87ba\u6bcd", *common, env={"PYTHONIOENCODING": "cp1252"})
    assert done.returncode == 0, done.stderr
    assert r"'\u87ba\u6bcd'" in done.stdout


def test_the_encoding_of_the_system_does_not_reach_the_processes_of_a_run(normals: Path, tmp_path: Path) -> None:
    manifests: list[bytes] = []
    for jobs, name in (("1", "one"), ("2", "two"), ("2", "r\udce9")):  # the last one is no UTF-8
        out = tmp_path / name
        common = [
            "--normals",
            str(normals),
            "--item",
            "M\xfctter",
            "--anomaly-type",
            "scratch",
            "--count",
            "2",
            "--out",
            str(out),
        ]
        done = run("synthesize", *common, "--jobs", jobs, env={"PYTHONIOENCODING": "ascii"})
        assert done.returncode == 0, done.stderr
        manifests.append((out / "dataset" / "M\xfctter" / "manifest.jsonl").read_bytes())
    assert manifests[0] == manifests[1] == manifests[2]


def test_an_output_folder_that_cannot_be_written_gives_one_clear_line(normals: Path, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way", "utf-8")
    done = synthesize(normals, blocked / "run", "--count", "1")
    assert done.returncode == 6
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", [("trace", "list"), ("config", "show", "--config"), ("dataset", "validate")])
def test_a_path_that_cannot_even_be_looked_for_gives_one_clear_line(command: tuple[str, ...], tmp_path: Path) -> None:
    done = run(*command, str(tmp_path / ("x" * 300)))
    assert done.returncode != 0
    assert "File name too long" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="a folder that is in use cannot be deleted there")
def test_a_working_folder_that_was_deleted_is_said_in_one_line(normals: Path, tmp_path: Path) -> None:
    program = "import os, runpy, sys\nos.mkdir(sys.argv[1]); os.chdir(sys.argv[1]); os.rmdir(sys.argv[1])\n"
    program += "del sys.argv[1]; runpy.run_module('anomalyagent', run_name='__main__', alter_sys=True)"
    request = ["--normals", str(normals), "--item", "nut", "--anomaly-type", "scratch", "--count", "1", "--out", "run"]
    command = [sys.executable, "-c", program, str(tmp_path / "gone"), "synthesize", *request]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: the folder that you are in was deleted")
    assert "Traceback" not in done.stderr


def test_workers_leave_when_the_run_is_killed(normals: Path, tmp_path: Path) -> None:
    import psutil

    command = [sys.executable, "-m", "anomalyagent", "synthesize", "--normals", str(normals), "--item", "steel sheet"]
    command += ["--anomaly-type", "scratch", "--count", "200", "--jobs", "2", "--out", str(tmp_path / "run")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "accepted" in line:
                break
        workers = psutil.Process(process.pid).children(recursive=True)
        assert workers
        process.kill()
    gone, alive = psutil.wait_procs(workers, timeout=240)
    assert not alive, gone


def test_zone_masks_and_references_are_options_of_synthesize(normals: Path, tmp_path: Path) -> None:
    zone, spots = np.zeros((96, 96), np.uint8), tmp_path / "spots"
    zone[:, :48] = 255
    cv2.imwrite(str(tmp_path / "zone.png"), zone)
    spots.mkdir()
    photo = cv2.imread(str(next(normals.glob("*.png"))))
    mask = cv2.line(np.zeros((96, 96), np.uint8), (20, 30), (60, 42), 255, 2)
    assert photo is not None
    photo[mask > 0] = 40
    cv2.imwrite(str(spots / "a.png"), photo)
    cv2.imwrite(str(spots / "a_mask.png"), mask)
    options = ["--zone-mask", str(tmp_path / "zone.png"), "--reference", str(spots)]
    done = synthesize(normals, tmp_path / "run", "--count", "4", "--json", *options)
    assert done.returncode == 0, done.stderr
    masks = sorted((tmp_path / "run" / "dataset" / "steel_sheet" / "ground_truth" / "scratch").glob("*.png"))
    assert len(masks) == 4
    for path in masks:
        drawn = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        assert drawn is not None
        assert drawn[:, :48].any()
        assert not drawn[:, 48:].any()
    assert "transplanted from a real defect" in "".join(
        path.read_text("utf-8") for path in (tmp_path / "run" / "trajectories").glob("*.json")
    )


def test_a_zone_mask_that_cannot_be_read_ends_the_command_before_a_run_begins(normals: Path, tmp_path: Path) -> None:
    zone = tmp_path / "zone.png"
    zone.write_bytes(next(normals.glob("*.png")).read_bytes()[:200])
    done = synthesize(normals, tmp_path / "run", "--zone-mask", str(zone))
    assert done.returncode not in (0, 1)
    assert done.stderr.count("zone.png") == 1
    assert not (tmp_path / "run").exists()
