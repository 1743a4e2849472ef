"""`anomalyagent trace`: every command on a real run, and on damaged and hostile files."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from anomalyagent.cli import app
from anomalyagent.errors import AnomalyAgentError, ForkError, TraceError

Trace = Callable[..., Result]
NAME = "scratch-00000"


@pytest.fixture
def trace(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Trace:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("LOGNAME", "ada")

    def run(*arguments: object, typed: str = "", code: int = 0) -> Result:
        trusting = ["--trust"] if arguments[0] in ("fork", "replay", "approve") else []
        done = CliRunner().invoke(app, ["trace", *map(str, arguments), *trusting], input=typed)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception  # the console script shows our own errors by their message
        assert done.exit_code == code, done.output
        return done

    return run


def told(done: Result) -> Any:
    return json.loads(done.stdout)


def damage(run_dir: Path, change: Callable[[dict[str, Any]], None]) -> None:
    file = run_dir / "trajectories" / f"{NAME}.json"
    tree = json.loads(file.read_text("utf-8"))
    change(tree)
    file.write_text(json.dumps(tree), encoding="utf-8")


def test_list_shows_filters_and_sorts(run_dir: Path, trace: Trace) -> None:
    everything = told(trace("list", run_dir, "--json"))
    assert {one["outcome"] for one in everything} == {"accepted", "rejected"}
    accepted = told(trace("list", run_dir, "--json", "--outcome", "accepted", "--sort", "score", "--limit", "1"))
    assert len(accepted) == 1
    text = trace("list", run_dir, "--anomaly-type", "dent").stdout
    assert "dent-00000" in text
    assert NAME not in text


def test_show_tells_the_whole_story_and_what_can_be_changed(run_dir: Path, trace: Trace) -> None:
    text = trace("show", f"{run_dir}/{NAME}").stdout
    for word in ("prompt_gen", "image_gen", "quality_eval", "round 1", "image 1", "policy expert"):
        assert word in text
    assert "spec.severity" in trace("show", f"{run_dir}/trajectories/{NAME}.json", "--turn", 1).stdout
    assert "spec.severity" in told(trace("show", f"{run_dir}/{NAME}", "--turn", 1, "--json"))["editable"]
    assert told(trace("show", f"{run_dir}/{NAME}", "--json"))["missing_images"] == []
    trace("show", f"{run_dir}/{NAME}", "--turn", 99, code=2)


def test_fork_diff_and_replay(run_dir: Path, trace: Trace) -> None:
    made = told(trace("fork", f"{run_dir}/{NAME}", "--at", 1, "--set", "spec.severity=30", "--set", "spec.zone=edge", "--json"))
    assert (made["id"], made["parent_id"], made["forked_at"]) == (f"{NAME}-fork1", NAME, 1)
    compared = told(trace("diff", f"{run_dir}/{NAME}", f"{run_dir}/{NAME}-fork1", "--json"))
    assert (compared["parting"]["turn"], compared["parting"]["where"]) == (1, "action")
    text = trace("diff", f"{run_dir}/{NAME}", f"{run_dir}/{NAME}-fork1").stdout
    assert "They part at turn 1: the action differs first." in text
    assert "spec.zone  any -> edge" in text
    assert "Every turn is the same." in trace("replay", f"{run_dir}/{NAME}").stdout
    scored = trace("fork", f"{run_dir}/{NAME}", "--at", 2, "--set", "score=9").stdout
    assert "passed  false -> true" in scored
    words = told(trace("fork", f"{run_dir}/{NAME}", "--at", 1, "--prompt", "Add a tiny dark stain.", "--json"))
    assert words["turns"][1]["action"]["arguments"]["prompt"] == "Add a tiny dark stain."
    assert words["turns"][1]["action"]["arguments"]["spec"]["mechanism"] == "stain"


def test_replay_with_another_policy_and_limit_says_so(run_dir: Path, trace: Trace, tmp_path: Path) -> None:
    answer = {"kind": "answer", "status": "failure", "final_image_index": None, "mask_generated": False, "synthesis_logic": "x"}
    config = tmp_path / "script.yaml"
    config.write_text(json.dumps({"policy": {"options": {"turns": [{"action": answer}], "repeat": True}}}))
    arguments = ("--policy", "scripted", "--config", config, "--setting", "limits.turns=4", "--json")
    compared = told(trace("replay", f"{run_dir}/{NAME}", "--at", 1, *arguments))
    assert {"path": "policy", "before": "expert", "after": "scripted"} in compared["made_with"]
    made = told(trace("show", f"{run_dir}/{NAME}-fork1", "--json"))
    assert "limit of 4 turns" in made["reason"]
    assert {edit["path"] for edit in made["edits"]} >= {"settings.policy.name", "settings.limits.turns"}
    backend = ("--backend", "quality_eval=helpers.tiny_backends:TinyJudge")
    assert told(trace("replay", f"{run_dir}/{NAME}", "--at", 2, *backend, "--json"))["parting"]["turn"] == 2
    trace("replay", f"{run_dir}/{NAME}", "--backend", "camera=x", code=2)


def test_approve_asks_edits_rejects_and_waits(run_dir: Path, trace: Trace) -> None:
    typed = "s\nwhat?\ne nonsense\ne spec.severity=900\ne spec.severity=7\nq\n"
    left = trace("fork", f"{run_dir}/{NAME}", "--at", 1, "--approve", "image_gen", "--approve", "mask_gen", typed=typed)
    assert "is not PATH=VALUE" in left.stderr
    assert "cannot be 900" in left.stderr
    fork = f"{run_dir}/{NAME}-fork1"
    assert f"trace approve {fork}" in left.stderr
    assert told(trace("approve", run_dir, "--json"))[0]["waiting"]["index"] > 1
    assert "waits before" in trace("approve", run_dir).stdout
    assert f"{NAME}-fork1 waits for approval" in trace("list", run_dir).stdout
    assert "waits before turn" in trace("approve", fork, "--reject", "the place is wrong").stdout
    with pytest.raises(ForkError, match="cannot be 900"):
        trace("approve", fork, "--set", "spec.severity=900")
    trace("approve", fork, typed="a\n" * 9)
    assert trace("approve", run_dir).stdout == "Nothing waits.\n"
    made = told(trace("show", fork, "--json"))
    assert [edit["path"] for edit in made["edits"] if edit["path"] != "prompt"][:2] == ["spec.severity", "rejected"]
    trace("fork", f"{run_dir}/{NAME}", "--at", 0, "--approve", "prompt_gen", typed="")
    trace("approve", f"{run_dir}/{NAME}-fork2", "--discard")
    assert trace("approve", run_dir).stdout == "Nothing waits.\n"


def test_review_stores_verdicts_shows_agreement_and_rebuilds_the_data_set(run_dir: Path, trace: Trace) -> None:
    names = {one["outcome"]: one["name"] for one in told(trace("list", run_dir, "--json"))}
    trace("review", f"{run_dir}/{names['accepted']}", "keep", "--note", "fine [bold]")
    trace("review", f"{run_dir}/{names['rejected']}", "keep", "--reviewer", "Bo")
    trace("review", f"{run_dir}/{NAME}", "fix")
    trace("review", f"{run_dir}/{NAME}", "undo")
    text = trace("review", run_dir).stdout
    assert "fine [bold]" in text
    assert "2 reviewed, 50 % agree" in text
    found = told(trace("review", run_dir, "--json"))
    assert [one["reviewer"] for one in found["reviews"]] == ["ada", "Bo"]
    assert found["agreement"]["overruled_rejected"] == [names["rejected"]]
    built = told(trace("dataset", run_dir, "--json", "--out", run_dir / "kept", "--copy"))
    assert sum(built["samples"].values()) == 2
    assert (run_dir / "kept" / "metal_nut" / "manifest.jsonl").is_file()
    assert "keep" in trace("list", run_dir, "--verdict", "keep").stdout


def test_two_runs_are_compared_task_by_task(run_dir: Path, trace: Trace, tmp_path: Path) -> None:
    other = Path(shutil.copytree(run_dir, tmp_path / "other"))
    (other / "trajectories" / "dent-00000.json").write_text("{")
    damage(other, lambda tree: tree["turns"][0].update(thought="Something else."))
    text = trace("diff", run_dir, other).stdout
    assert "0 (thought)" in text
    assert "dent-00000.json is not a complete JSON file" in " ".join(text.split())
    assert told(trace("diff", run_dir, other, "--json"))["only_a"] == ["dent-00000"]


EVERY = [
    ("show", f"RUN/{NAME}"),
    ("show", f"RUN/{NAME}", "--turn", "0"),
    ("diff", f"RUN/{NAME}", f"RUN/{NAME}"),
    ("fork", f"RUN/{NAME}", "--at", "0"),
    ("replay", f"RUN/{NAME}"),
]


@pytest.mark.parametrize("arguments", EVERY)
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "not a complete JSON"),
        ('{"schema_version": 1, "id": "x", "tu', "not a complete JSON"),
        ('{"schema_version": 99}', "schema_version 99"),
        ("[" * 200_000, "not a complete JSON|nested"),
        ('{"schema_version": 1}', "not a valid trajectory"),
        ("\x00\xff", "not a complete JSON"),
    ],
)
def test_a_file_that_is_no_trajectory_is_a_clear_error_in_every_command(
    run_dir: Path, trace: Trace, arguments: tuple[str, ...], content: str, message: str
) -> None:
    (run_dir / "trajectories" / f"{NAME}.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(TraceError, match=message):
        trace(*(word.replace("RUN", str(run_dir)) for word in arguments))
    assert "unreadable" in trace("list", run_dir).stdout


def test_what_is_not_there_is_named_with_what_is(run_dir: Path, trace: Trace, tmp_path: Path) -> None:
    for arguments, message in [
        (("show", f"{run_dir}/scratch-0000"), "Known are scratch-0000"),
        (("show", run_dir), "is a whole run"),
        (("list", tmp_path / "nowhere"), "is not a folder"),
        (("list", tmp_path), "holds no run"),
        (("diff", run_dir, f"{run_dir}/{NAME}"), "is a whole run"),
        (("show", f"{run_dir}/../secret"), "no run|no trajectory"),
        (("show", "scratch-00000"), "names no trajectory. Give RUN/ID"),
        (("review", f"{run_dir}/nobody", "keep"), "no trajectory 'nobody'"),
    ]:
        with pytest.raises(AnomalyAgentError, match=message):
            trace(*arguments)


def test_a_hostile_trace_is_shown_as_text_and_steers_nothing(run_dir: Path, trace: Trace) -> None:
    evil = "\x1b]0;owned\x07\x1b[2J[red]markup[/red] \u202egnp.exe \x9b31m<script>alert(1)</script>"

    def poison(tree: dict[str, Any]) -> None:
        tree["turns"][0]["thought"] = evil
        tree["turns"][1]["action"]["arguments"]["prompt"] = evil
        tree["turns"][0]["observation"]["text"] = evil
        tree["images"][0]["ref"] = "../secret.png"
        tree["reason"] = evil
        tree["task"]["item_name"] = evil

    damage(run_dir, poison)
    for arguments in (
        ("list", run_dir),
        ("show", f"{run_dir}/{NAME}"),
        ("show", f"{run_dir}/{NAME}", "--turn", 1),
        ("diff", f"{run_dir}/{NAME}", f"{run_dir}/scratch-00001"),
        ("show", f"{run_dir}/{NAME}", "--json"),
    ):
        text = trace(*arguments).stdout
        assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(text)
    shown = trace("show", f"{run_dir}/{NAME}").stdout
    assert "[red]markup[/red]" in shown
    assert "\\x1b]0;owned\\x07" in shown
    assert "../secret.png  missing" in shown
    (run_dir.parent / "secret.png").write_bytes(b"")
    with pytest.raises(TraceError, match=r"secret\.png.*has '\.\.' in it"):
        trace("fork", f"{run_dir}/{NAME}", "--at", 1)


def test_an_observation_of_50_mb_is_cut_and_a_missing_image_is_named(run_dir: Path, trace: Trace) -> None:
    def blow_up(tree: dict[str, Any]) -> None:
        tree["turns"][0]["observation"]["text"] = "x" * 50_000_000
        tree["turns"][1]["action"]["arguments"]["prompt"] = "word " * 10_000

    damage(run_dir, blow_up)
    image = json.loads((run_dir / "trajectories" / f"{NAME}.json").read_text())["images"][1]["ref"]
    (run_dir / image).unlink()
    shown = trace("show", f"{run_dir}/{NAME}").stdout
    assert "50.0 million characters in all" in shown
    assert f"{image}  missing" in shown
    assert len(shown) < 100_000
    assert len(trace("diff", f"{run_dir}/{NAME}", f"{run_dir}/scratch-00001").stdout) < 200_000
    with pytest.raises(TraceError, match="an image that the fork needs is gone"):
        trace("fork", f"{run_dir}/{NAME}", "--at", 2)


def test_turns_that_contradict_each_other_are_told_beside_what_can_be_shown(run_dir: Path, trace: Trace) -> None:
    damage(run_dir, lambda tree: tree["turns"][1]["observation"].update(images=[]))
    assert "do not fit together" in trace("show", f"{run_dir}/{NAME}").stdout
    for arguments in (("fork", "--at", 0), ("replay",)):
        with pytest.raises(TraceError, match="do not fit together"):
            trace(arguments[0], f"{run_dir}/{NAME}", *arguments[1:])


def test_a_file_name_that_steers_terminals_is_shown_as_text(run_dir: Path) -> None:
    name = "evil\x1b]0;owned\x07"
    (run_dir / "trajectories" / f"{name}.json").write_text("{")
    command = [sys.executable, "-m", "anomalyagent", "trace"]
    for arguments in (["list", str(run_dir)], ["show", f"{run_dir}/{name}"], ["diff", str(run_dir), str(run_dir)]):
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False, timeout=240)
        assert "evil" in done.stdout + done.stderr
        assert not {"\x1b", "\x07"} & set(done.stdout + done.stderr)
