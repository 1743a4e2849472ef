"""What `doctor` and others print is text: brackets are part of it, and a line that is to be copied stays one line."""

import re
import sys
from pathlib import Path

import pytest
from helpers.photos import make_photos
from typer.testing import CliRunner

from anomalyagent.cli import app
from anomalyagent.configs import loading


def test_doctor_names_the_extra_of_a_missing_module_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "segment_anything", None)
    fix = "mask_gen backend 'sam' cannot be used: not installed: segment_anything. Run: pip install 'anomalyagent[sam]'"
    lines = CliRunner().invoke(app, ["doctor"], env={"COLUMNS": "80"}).stdout.splitlines()
    assert lines.count(fix) == 1
    assert next(line for line in lines if re.search(r"mask_gen +│ sam ", line)).rstrip("│ ").endswith("no, see below")
    done = CliRunner().invoke(app, ["doctor", "--set", "tools.mask_gen.backend=sam"], env={"COLUMNS": "80"})
    assert done.exit_code == 1
    assert f"problem: {fix}" in done.stdout.splitlines()
    assert fix not in done.stdout.splitlines()


def test_a_folder_and_a_type_with_brackets_are_printed_as_they_are(tmp_path: Path) -> None:
    normals = make_photos(tmp_path / "normals", count=1)
    out = tmp_path / "run[bold]"
    common = ["--normals", str(normals), "--item", "plate", "--anomaly-type", "scratch [dim]", "--count", "1"]
    done = CliRunner().invoke(app, ["synthesize", *common, "--out", str(out)], env={"COLUMNS": "120"})
    assert done.exit_code == 0, done.output
    assert f"data set  {out}/dataset" in done.stdout
    assert re.search(r"^ *scratch \[dim\] +1 ", done.stdout, re.MULTILINE)


def test_doctor_reads_the_cards_and_files_that_every_run_reads(tmp_path: Path) -> None:
    cards = tmp_path / "cards"
    cards.mkdir()
    (cards / "hand.yaml").write_text("- broken: [")
    (tmp_path / "zone.png").write_bytes(b"no image")
    for setting, told in (
        (f"knowledge.folders=[{cards}]", "hand.yaml: not valid YAML"),
        (f"tools.image_gen.options.zone_mask={tmp_path / 'zone.png'}", "zone.png is not a known image format"),
    ):
        done = CliRunner().invoke(app, ["doctor", "--set", setting])
        assert done.exit_code == 1
        assert told in done.stdout


def test_a_command_that_is_interrupted_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(loading, "load_settings", interrupted)
    done = CliRunner().invoke(app, ["doctor"])
    assert (done.exit_code, done.stderr) == (130, "Interrupted.\n")
