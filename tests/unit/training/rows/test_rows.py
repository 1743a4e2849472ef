"""Exports of trajectories: golden rows, filters, splits, redaction, tables that are refused when they do not fit."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from datasets import load_dataset
from helpers.conversations import Conversation, answer, call_image
from helpers.trace_runs import good_talk, second_chance, store_run

from anomalyagent.errors import ConfigError, RunError, TraceError
from anomalyagent.graph.files import alone_in
from anomalyagent.graph.trace import Edit, read_trajectory, write_trajectory
from anomalyagent.graph.wire import converse, render
from anomalyagent.training.conversation import view_of
from anomalyagent.training.rows.atif import from_atif, to_atif
from anomalyagent.training.rows.export import Format, export_traces
from anomalyagent.training.rows.make import grpo_rows, image_name, preference_rows, sft_rows
from anomalyagent.training.rows.redact import Redactor
from anomalyagent.training.rows.select import Chosen, Filters, pick
from anomalyagent.training.rows.table import read_table

GOLDEN = Path(__file__).parents[1] / "golden"
MAKERS = {"sft": sft_rows, "grpo": grpo_rows, "preference": preference_rows}


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    return store_run(tmp_path / "run", [good_talk(), second_chance()])


def chosen_of(run_dir: Path) -> list[Chosen]:
    return pick([run_dir], Filters()).chosen


def redactor(one: Chosen) -> Redactor:
    return Redactor(one.run_dir)


def same_as_golden(name: str, value: Any) -> None:
    """Wordings of tools are tested in test_wire; here their digest would only be in the way."""
    text = json.dumps(value, indent=1, ensure_ascii=False, default=lambda entry: entry.ref) + "\n"
    assert text == (GOLDEN / name).read_text("utf-8")


@pytest.mark.parametrize("form", ["sft", "grpo", "preference"])
def test_rows_look_like_their_golden_file(run_dir: Path, form: str) -> None:
    rows = list(MAKERS[form](chosen_of(run_dir), redactor, system=False, images=True))
    slim = [{key: value for key, value in row.items() if key not in ("tools", "tools_sha256")} for row in rows]
    same_as_golden(f"traces_{form}.json", slim)


def test_an_atif_document_looks_like_its_golden_file(run_dir: Path) -> None:
    document = to_atif(chosen_of(run_dir)[0].trajectory, 3, lambda entry: f"images/{entry.number}.png")
    document["agent"] |= {"tool_definitions": "left out", "extra": "left out"}
    document["steps"][0]["message"] = "left out"
    same_as_golden("traces_atif.json", document)


def test_spans_look_like_their_golden_file(run_dir: Path, tmp_path: Path) -> None:
    export_traces([run_dir], "otel", tmp_path / "data", Filters())
    lines = (tmp_path / "data" / "otel" / "train" / "run.jsonl").read_text("utf-8").splitlines()
    spans = [
        span
        for line in lines
        for each in json.loads(line)["resourceSpans"]
        for scope in each["scopeSpans"]
        for span in scope["spans"]
    ]
    slim = [
        {
            "name": span["name"],
            "attributes": sorted(each["key"] for each in span["attributes"]),
            "parent": "parentSpanId" in span,
        }
        for span in spans
    ]
    same_as_golden("traces_otel.json", slim)


def test_a_trajectory_comes_back_from_atif_as_it_was(run_dir: Path) -> None:
    talk = Conversation().prompt().failing(call_image()).image().judge(2.0)
    run = store_run(run_dir.parent / "other", [second_chance(), talk.act(answer("failure", 2, False), legal=False)])
    for name in ("scratch-00000", "scratch-00001"):
        trajectory = read_trajectory(run / "trajectories" / f"{name}.json")
        document = json.loads(json.dumps(to_atif(trajectory, 3, image_name)))
        assert from_atif(document) == trajectory


def test_an_atif_document_of_another_version_is_refused(run_dir: Path) -> None:
    document = to_atif(chosen_of(run_dir)[0].trajectory, 3, image_name)
    with pytest.raises(TraceError, match=r"ATIF-v1\.2"):
        from_atif({**document, "schema_version": "ATIF-v1.2"})
    with pytest.raises(TraceError, match="none of anomalyagent's"):
        from_atif({**document, "extra": None})


def test_a_conversation_in_a_table_is_the_one_that_a_model_reads_live(run_dir: Path, tmp_path: Path) -> None:
    export_traces([run_dir], "sft", tmp_path / "data", Filters(), images=False)
    row = read_table(tmp_path / "data" / "train.parquet")[1]
    trajectory = read_trajectory(run_dir / "trajectories" / "scratch-00001.json")
    live = converse(view_of(trajectory, 3))
    assert [message["role"] for message in row["messages"]] == [message.role for message in live]
    for stored, said in zip(row["messages"], live, strict=True):
        if said.said is None:
            assert stored["content"] == said.text
        elif stored.get("tool_calls"):
            assert json.dumps(stored["tool_calls"][0]["function"]) in render([said])
    calls = [call for message in row["messages"] for call in message.get("tool_calls") or []]
    assert all(None not in call["function"]["arguments"].values() for call in calls), "no argument was filled in with null"


def test_a_table_holds_its_images_in_the_order_in_which_the_messages_show_them(run_dir: Path, tmp_path: Path) -> None:
    export_traces([run_dir], "sft", tmp_path / "data", Filters())
    row = read_table(tmp_path / "data" / "train.parquet")[1]
    blocks = [b for m in row["messages"] if isinstance(m["content"], list) for b in m["content"] if b["type"] == "image"]
    assert len(row["images"]) == len(blocks) == 4
    greys = [image.getpixel((0, 0))[0] for image in row["images"]]
    assert greys == [7 + 31 * number for number in (1, 2, 3, 4)]


def test_a_new_export_into_the_folder_is_what_datasets_reads_there(run_dir: Path, tmp_path: Path) -> None:
    read: list[int] = []
    for filters in (Filters(), Filters(kinds=("single",))):
        done = export_traces([run_dir], "sft", tmp_path / "data", filters, images=False)
        rows: Any = load_dataset(str(tmp_path / "data"), cache_dir=str(tmp_path / "cache"))
        assert rows["train"].num_rows == done.rows["train"]
        read.append(rows["train"].num_rows)
    assert read[0] > read[1]


def test_a_table_replaced_by_one_of_the_same_time_is_read_and_no_copy_is_kept_in_the_home(
    run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    for filters in (Filters(), Filters(kinds=("single",))):
        done = export_traces([run_dir], "sft", tmp_path / "data", filters, images=False)
        path = tmp_path / "data" / "train.parquet"
        os.utime(path, (1, 1))
        assert read_table(path).num_rows == done.rows["train"]
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("form", ["sft", "grpo"])
def test_a_table_of_text_has_no_column_that_makes_trl_look_for_images(run_dir: Path, tmp_path: Path, form: Format) -> None:
    export_traces([run_dir], form, tmp_path / "data", Filters(), images=False)
    assert "images" not in read_table(tmp_path / "data" / "train.parquet").column_names


@pytest.mark.parametrize(("column", "value", "said"), [("trace_version", 99, "trace version"), ("tools_sha256", "x", "digest")])
def test_rows_for_another_program_are_refused(run_dir: Path, tmp_path: Path, column: str, value: Any, said: str) -> None:
    export_traces([run_dir], "grpo", tmp_path / "data", Filters(), images=False)
    path = tmp_path / "data" / "train.parquet"
    table = read_table(path)

    def constant(_: Any) -> dict[str, Any]:
        return {column: value}

    changed = table.map(constant, load_from_cache_file=False, keep_in_memory=True)
    changed.to_parquet(str(tmp_path / "changed.parquet"))
    with pytest.raises(TraceError, match=said):
        read_table(tmp_path / "changed.parquet")
    (tmp_path / "damaged.parquet").write_bytes(path.read_bytes()[:500])
    with pytest.raises(TraceError, match="cannot be read"):
        read_table(tmp_path / "damaged.parquet")


def test_export_keeps_accepted_ones_of_the_kinds_and_rewards_that_are_asked_for(tmp_path: Path) -> None:
    rejected = Conversation(1).prompt().image().judge(2.0).mask(2).act(answer("failure", 2, True))
    run = store_run(tmp_path / "run", [good_talk(), second_chance(), rejected])
    assert [one.kind for one in pick([run], Filters()).chosen] == ["single", "dual"]
    assert [one.kind for one in pick([run], Filters(kinds=("dual",))).chosen] == ["dual"]
    assert len(pick([run], Filters(accepted_only=False)).chosen) == 3
    rewards = sorted(one.reward for one in pick([run], Filters()).chosen)
    assert [one.reward for one in pick([run], Filters(least_reward=rewards[1])).chosen] == [rewards[1]]
    with pytest.raises(TraceError, match=r"a reward below 5 x2"):
        pick([run], Filters(least_reward=5.0))


def test_a_fork_whose_score_a_person_changed_is_left_out(tmp_path: Path) -> None:
    run = store_run(tmp_path / "run", [good_talk(), second_chance()])
    changed, kept = sorted((run / "trajectories").glob("*.json"))
    for path, name in ((changed, "score"), (kept, "thought")):
        trajectory = read_trajectory(path)
        edits = [Edit(turn=2, path=name, before=1.0, after=9.0)]
        write_trajectory(trajectory.model_copy(update={"edits": edits}), path)
    picked = pick([run], Filters())
    assert [one.trajectory.id for one in picked.chosen] == [kept.stem]
    assert picked.left_out == {"a person changed a score or a finding": 1}


def test_equal_trajectories_are_exported_once(tmp_path: Path) -> None:
    run = store_run(tmp_path / "run", [good_talk()])
    picked = pick([run, run], Filters())
    assert len(picked.chosen) == 1
    assert picked.left_out == {"a duplicate": 1}


def test_no_item_and_no_photo_of_the_test_split_is_in_training(tmp_path: Path) -> None:
    items = ("nut", "screw", "cable")
    run = store_run(tmp_path / "run", [good_talk(6.0 + 0.1 * number) for number in range(6)], items)
    path = run / "trajectories" / "scratch-00000.json"
    leak = read_trajectory(run / "trajectories" / "scratch-00001.json").task.normal_sha256
    leaking = read_trajectory(path)
    leaking = leaking.model_copy(update={"task": leaking.task.model_copy(update={"normal_sha256": leak})})
    path.write_text(json.dumps(leaking.model_dump(mode="json")))
    picked = pick([run], Filters(test_items=("screw",)))
    split = {name: {one.trajectory.task.item_name for one in picked.chosen if one.split == name} for name in ("train", "test")}
    assert split == {"train": {"nut", "cable"}, "test": {"screw"}}
    assert picked.left_out == {"its photo is in the test split": 1}
    shared = pick([run], Filters(test_share=0.34))
    assert len({one.trajectory.task.item_name for one in shared.chosen if one.split == "test"}) == 1
    small = pick([run], Filters(test_share=0.1))  # of three items: none, by rounding alone
    assert len({one.trajectory.task.item_name for one in small.chosen if one.split == "test"}) == 1
    with pytest.raises(ConfigError, match="no share can be held out: splits go by item, and there is only nut besides"):
        pick([run], Filters(test_items=("screw", "cable"), test_share=0.1))
    with pytest.raises(ConfigError, match="no trajectory is of the test item 'bolt'"):
        pick([run], Filters(test_items=("bolt",)))


def test_local_paths_do_not_leave_the_machine(tmp_path: Path) -> None:
    cleaner = Redactor(tmp_path / "run")
    own = f"{tmp_path}/run/images/a.png"
    told = f"cannot read {own}, '/data/secret/client/b.png' and C:\\Users\\me\\c.png; 3/4 of dE/JND </thinking>"
    assert cleaner.text(told) == ("cannot read <run>/images/a.png, '<path>/b.png' and <path>/c.png; 3/4 of dE/JND </thinking>")
    assert cleaner.replaced == 3
    assert cleaner.value({"a": ["/x/y/z", 1, None]}) == {"a": ["<path>/z", 1, None]}


def test_preferences_come_from_rounds_of_one_and_from_rewards_of_several(tmp_path: Path) -> None:
    run = store_run(tmp_path / "run", [second_chance(), good_talk(9.0)])
    for number in (0, 1):
        path = run / "trajectories" / f"scratch-{number:05d}.json"
        one = read_trajectory(path)
        same = one.task.model_copy(update={"normal_sha256": "1" * 64})
        path.write_text(json.dumps(one.model_copy(update={"task": same}).model_dump(mode="json")))
    rows = list(preference_rows(chosen_of(run), redactor, system=True, images=False))
    assert [row["pair"] for row in rows] == ["turn", "conversation"]
    assert all(row["chosen_score"] > row["rejected_score"] for row in rows)
    assert rows[0]["prompt"][-1]["role"] == "tool"
    assert rows[1]["prompt"][-1]["role"] == "user"


def test_the_card_counts_what_is_there(run_dir: Path, tmp_path: Path) -> None:
    done = export_traces([run_dir], "atif", tmp_path / "data", replace(Filters(), kinds=("dual",)))
    card = (tmp_path / "data" / "README.md").read_text("utf-8")
    assert "| train | 1 | 1 | 0 | 1 | 0 | 8.00 |" in card
    assert "of kind single (1)" in card
    assert done.rows == {"train": 1}
    assert len(list((tmp_path / "data" / "atif" / "images").glob("*.png"))) == 4


def test_export_does_not_write_into_a_folder_of_something_else(run_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(RunError, match="holds no export"):
        export_traces([run_dir], "sft", tmp_path, Filters())


def test_a_readme_of_something_else_is_not_overwritten(run_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "README.md").write_text("# My project")
    with pytest.raises(RunError, match="is not empty and holds no export"):
        export_traces([run_dir], "sft", tmp_path / "mine", Filters())
    (tmp_path / "file").write_text("x")
    with pytest.raises(RunError, match="is a file and holds no export"):
        export_traces([run_dir], "sft", tmp_path / "file", Filters())


@pytest.mark.parametrize("form", ["atif", "otel"])
def test_what_moves_to_the_test_split_leaves_the_training_split(form: Any, tmp_path: Path) -> None:
    run = store_run(tmp_path / "run", [good_talk(), second_chance()], ("nut", "screw"))
    out = tmp_path / "data"
    export_traces([run], form, out, Filters())
    before = {path.relative_to(out) for path in out.rglob("*") if path.is_file()}
    export_traces([run], form, out, Filters(test_items=("nut", "screw")))
    folders = {path.parent.name for path in out.rglob("*") if path.is_file()}
    assert "test" in folders
    assert "train" not in folders
    export_traces([run], form, out, Filters())
    assert {path.relative_to(out) for path in out.rglob("*") if path.is_file()} == before


def test_two_exports_at_once_do_not_mix_in_one_folder(run_dir: Path, tmp_path: Path) -> None:
    with alone_in(tmp_path / "data"), pytest.raises(RunError, match="another process"):
        export_traces([run_dir], "sft", tmp_path / "data", Filters(), images=False)
    assert export_traces([run_dir], "sft", tmp_path / "data", Filters(), images=False).rows["train"]


def test_an_export_that_was_cut_off_before_its_card_can_be_made_again(run_dir: Path, tmp_path: Path) -> None:
    export_traces([run_dir], "grpo", tmp_path / "data", Filters(), images=False)
    (tmp_path / "data" / "README.md").unlink()
    assert export_traces([run_dir], "grpo", tmp_path / "data", Filters(), images=False).rows["train"]


def test_an_export_in_another_format_replaces_the_earlier_one(run_dir: Path, tmp_path: Path) -> None:
    out = tmp_path / "data"
    formats: list[tuple[Format, str]] = [("atif", "atif"), ("sft", "train.parquet"), ("otel", "otel")]
    for form, there in formats:
        export_traces([run_dir], form, out, Filters(), images=False)
        assert sorted(path.name for path in out.iterdir() if not path.name.startswith(".")) == ["README.md", there]
