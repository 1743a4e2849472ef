"""A whole training of a very small policy: it resumes on the same curve, and refuses what is damaged or belongs to another."""

import errno
import inspect
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.photos import make_photos
from tokenizers import Tokenizer

from anomalyagent.errors import ConfigError, RunError, TraceError
from anomalyagent.graph.files import alone_in
from anomalyagent.graph.policies.local import LocalPolicy, read_model_card
from anomalyagent.graph.rules import TOOL_ARGUMENTS
from anomalyagent.training.log import TrainingLog, read_log
from anomalyagent.training.settings import TrainSettings, load_train_settings, shipped_trainings
from anomalyagent.training.tiny import model
from anomalyagent.training.tiny.collect import collect
from anomalyagent.training.tiny.grpo import advantages, run_grpo
from anomalyagent.training.tiny.train import run_sft


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> TrainSettings:
    photos = make_photos(tmp_path_factory.mktemp("photos"), "part", count=2, size=64)
    return TrainSettings.model_validate(
        {
            "settings": {"limits.turns": 8, "tools.quality_eval.threshold": 8.0},
            "practice": {"sources": [{"folder": str(photos), "item": "nut", "types": ["scratch", "dent"]}], "sizes_px": [64]},
            "model": {"vocabulary": 520, "width": 48, "layers": 1, "heads": 2, "inner": 48},
            "sft": {"trajectories": 10, "epochs": 24, "batch": 5, "save_every": 16, "learning_rate": 0.01},
            "grpo": {"steps": 3, "tasks": 2, "rollouts": 3, "save_every": 1, "turn_tokens": 24, "replay": 4},
        }
    )


@pytest.fixture(scope="module")
def whole(settings: TrainSettings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training that was never disturbed."""
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("whole")
    run_sft(settings, out, _quiet)
    run_grpo(settings, out, _quiet)
    return out


def _quiet(line: str) -> None:
    del line


def _curve(folder: Path) -> list[dict[str, Any]]:
    return [{key: value for key, value in step.items() if "seconds" not in key} for step in read_log(folder / "log.jsonl")]


def test_both_stages_leave_a_policy_curves_and_a_log(whole: Path) -> None:
    for stage in ("sft", "grpo"):
        card = read_model_card(whole / stage / "model")
        assert card is not None
        assert card.stage == stage
        assert (whole / stage / "curves.png").read_bytes().startswith(b"\x89PNG")
        assert list((whole / stage / "tensorboard").iterdir())
        LocalPolicy({"model": str(whole / stage / "model")})
    losses = [step["loss"] for step in _curve(whole / "sft")]
    assert np.mean(losses[-2:]) < losses[0]
    assert {"reward", "reward_task", "kl", "legal", "readable", "dropped"} <= set(_curve(whole / "grpo")[0])


def test_a_killed_training_resumes_on_the_same_curve(settings: TrainSettings, whole: Path, tmp_path: Path) -> None:
    shutil.copy(whole / "practice.jsonl", tmp_path)
    run_sft(settings, tmp_path, _quiet, stop_after=20)  # the last checkpoint is that of step 16
    assert not (tmp_path / "sft" / "model").exists()
    run_sft(settings, tmp_path, _quiet)
    assert _curve(tmp_path / "sft") == _curve(whole / "sft")
    run_grpo(settings, tmp_path, _quiet, stop_after=2)
    run_grpo(settings, tmp_path, _quiet)
    assert _curve(tmp_path / "grpo") == _curve(whole / "grpo")
    for stage in ("sft", "grpo"):
        again, first = (folder / stage / "model" / "model.safetensors" for folder in (tmp_path, whole))
        assert again.read_bytes() == first.read_bytes()


@pytest.mark.parametrize("last", [1, 8])
async def test_practice_that_was_cut_off_anywhere_in_a_row_is_collected_to_the_same_rows(
    settings: TrainSettings, whole: Path, tmp_path: Path, last: int
) -> None:
    """Cut off before the end of a line, the next row came into the same line, and both were lost to the training."""
    rows = (whole / "practice.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "practice.jsonl").write_bytes(b"".join(rows[:-2])[:-last])
    await collect(settings, tmp_path, _quiet)
    assert (tmp_path / "practice.jsonl").read_bytes() == b"".join(rows)


def test_a_policy_that_was_killed_while_it_was_written_over_an_earlier_one_is_not_done(
    settings: TrainSettings, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    shutil.copytree(whole, out)

    def killed(weights: Any, path: str, metadata: Any) -> None:
        Path(path).write_bytes(b"half")
        raise KeyboardInterrupt

    longer = settings.model_copy(update={"grpo": settings.grpo.model_copy(update={"steps": 4})})
    with monkeypatch.context() as patched:
        patched.setattr(model, "save_file", killed)
        with pytest.raises(KeyboardInterrupt):
            run_grpo(longer, out, _quiet)
    assert read_model_card(out / "grpo" / "model") is None
    run_grpo(longer, out, _quiet)
    LocalPolicy({"model": str(out / "grpo" / "model")})


def test_a_log_that_cannot_be_cut_back_stays_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = TrainingLog(tmp_path)
    for step in range(3):
        log.add(step, {"loss": 1.0})
    log.close()
    before = log.path.read_bytes()

    def full(path: Path, data: Any, *_: Any) -> int:
        with path.open("wb") as file:
            file.write(before[:30])
        raise OSError(errno.ENOSPC, "No space left on device")

    for name in ("write_text", "write_bytes"):
        monkeypatch.setattr(Path, name, full)
    with pytest.raises(RunError, match="No space left"):
        TrainingLog(tmp_path, 2)
    assert log.path.read_bytes() == before


def test_a_damaged_checkpoint_and_one_of_another_training_are_refused(
    settings: TrainSettings, whole: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(whole, out)
    shutil.rmtree(out / "grpo" / "model")
    other = settings.model_copy(update={"rewards": settings.rewards.model_copy(update={"beta": 0.0})})
    with pytest.raises(RunError, match="belongs to another training"):
        run_grpo(other, out, _quiet)
    state = out / "grpo" / "checkpoints" / "step-00003" / "state.pt"
    state.write_bytes(state.read_bytes()[:-7])
    with pytest.raises(RunError, match=r"damaged: state\.pt"):
        run_grpo(settings, out, _quiet)
    with pytest.raises(RunError, match="another configuration"):
        run_sft(settings.model_copy(update={"seed": 5}), out, _quiet)


async def test_practice_of_another_trace_version_or_other_tools_is_refused(
    settings: TrainSettings, whole: Path, tmp_path: Path
) -> None:
    head, *rows = (whole / "practice.jsonl").read_text("utf-8").splitlines()
    for key, value in (("trace_version", 0), ("tools", "0" * 16), ("tasks", {"sizes_px": [32]})):
        identity = json.loads(head)["identity"] | {key: value}
        (tmp_path / "practice.jsonl").write_text("\n".join([json.dumps({"identity": identity}), *rows]))
        with pytest.raises(TraceError, match=f"collected for another training: {key}"):
            await collect(settings, tmp_path, _quiet)


async def test_practice_of_other_tasks_says_in_short_what_differs(settings: TrainSettings, whole: Path, tmp_path: Path) -> None:
    shutil.copy(whole / "practice.jsonl", tmp_path)
    other = settings.model_copy(update={"practice": settings.practice.model_copy(update={"sizes_px": [99]})})
    with pytest.raises(TraceError, match=r"tasks\.sizes_px was \[\d.*\] and is \[99\] now") as told:
        await collect(other, tmp_path, _quiet)
    assert len(str(told.value)) < 600


def test_equal_rewards_have_no_advantage_and_others_are_relative_to_their_group() -> None:
    assert advantages([0.4, 0.4, 0.4]) == [0.0, 0.0, 0.0]
    better, worse = advantages([1.0, 0.0])
    assert better == pytest.approx(1.0, abs=1e-3)
    assert worse == pytest.approx(-1.0, abs=1e-3)


def test_shipped_trainings_are_valid_and_never_practise_what_is_measured() -> None:
    from anomalyagent.knowledge.cards import load_cards
    from anomalyagent.training.practice import Practice

    assert {"tiny", "evaluation"} <= set(shipped_trainings())
    trained, measured = (load_train_settings(name) for name in ("tiny", "evaluation"))
    cards = load_cards(())
    practised = {name for names in Practice(trained.practice, cards, Path(), 0).names for pair in names for name in pair}
    held = {name for names in Practice(measured.practice, cards, Path(), 0).names for pair in names for name in pair}
    assert not practised & held
    with pytest.raises(ConfigError, match=r"grpo\.stepz"):
        load_train_settings("tiny", ("grpo.stepz=3",))


def test_practice_away_from_the_clone_says_where_the_photos_are(tmp_path: Path) -> None:
    from anomalyagent.knowledge.cards import load_cards
    from anomalyagent.training.practice import Practice

    practice = Practice(load_train_settings("evaluation").practice, load_cards(()), tmp_path, 0)
    environment: Any = None
    with pytest.raises(ConfigError, match=r"practice on examples/normals/connector: .* lie in a clone of the repository"):
        practice.task(0, environment)


@pytest.mark.filterwarnings("ignore::FutureWarning")  # TRL asks transformers under a name that is going away
def test_trl_trains_on_the_live_tools(
    settings: TrainSettings, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datasets import Dataset
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast
    from trl.trainer.grpo_config import GRPOConfig

    from anomalyagent.training.conversation import RESPONSE_TEMPLATE
    from anomalyagent.training.grpo import ToolGRPOTrainer, ToolRoom, make_environments, prompt_rows, reward_of_rollout
    from anomalyagent.training.tiny.collect import make_practice

    folder = whole / "sft" / "model"
    monkeypatch.setenv("TRL_EXPERIMENTAL_SILENCE", "1")
    tokenizer: Any = PreTrainedTokenizerFast.from_pretrained(str(folder))
    tokenizer.response_template = RESPONSE_TEMPLATE
    config = GRPOConfig(
        output_dir=str(tmp_path / "trl"),
        max_steps=1,
        num_generations=2,
        per_device_train_batch_size=2,
        max_completion_length=200,
        max_tool_calling_iterations=3,
        use_cpu=True,
        bf16=False,
        activation_checkpointing=False,
        report_to=[],
        disable_tqdm=True,
        logging_steps=1,
        save_strategy="no",
    )
    with ToolRoom(settings, make_practice(settings), tmp_path / "room") as room:
        trainer = ToolGRPOTrainer(
            model=LlamaForCausalLM.from_pretrained(str(folder), dtype=torch.float32),
            args=config,
            train_dataset=Dataset.from_list(prompt_rows(0, 2, system=False)),
            processing_class=tokenizer,
            reward_funcs=[reward_of_rollout(room)],
            environment_factory=make_environments(room),
        )
        trainer.train()
        factory = make_environments(room)
        live = factory()
        for tool, arguments in TOOL_ARGUMENTS.items():  # TRL tells the model what the signature says
            assert list(inspect.signature(getattr(live, tool)).parameters) == list(arguments)
        task = live.reset(number=0)
        assert "item: nut" in task
        assert live.prompt_gen(
            image=1, item_name="nut", anomaly_type=task.split("anomaly type: ")[1].split("\n")[0]
        ).startswith("prompt: ")
        assert live.mask_gen(normal_image=1, anomaly_image=2).startswith("Not carried out.")
        assert room.score(live._finish("no answer at all")).behaviour < 0
    logged = trainer.state.log_history[0]
    assert "reward" in logged
    assert "dropped" in logged


def test_more_steps_than_a_finished_training_had_are_trained(settings: TrainSettings, whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(whole, out)
    told: list[str] = []
    longer = settings.model_copy(update={"grpo": settings.grpo.model_copy(update={"steps": 4})})
    run_grpo(longer, out, told.append)
    assert [step["step"] for step in _curve(out / "grpo")] == [0, 1, 2, 3]
    assert _curve(out / "grpo")[:3] == _curve(whole / "grpo")
    run_grpo(settings, out, told.append)
    assert told[-1].startswith("grpo is done already, with 4 steps")


def test_a_tokenizer_of_other_settings_is_not_taken(settings: TrainSettings, whole: Path, tmp_path: Path) -> None:
    shutil.copy(whole / "practice.jsonl", tmp_path)
    shutil.copytree(whole / "tokenizer", tmp_path / "tokenizer")  # as a training leaves it that was stopped early
    larger = settings.model_copy(update={"model": settings.model.model_copy(update={"vocabulary": 560})})
    run_sft(larger, tmp_path, _quiet, stop_after=1)
    sizes = [Tokenizer.from_file(str(out / "tokenizer/tokenizer.json")).get_vocab_size() for out in (whole, tmp_path)]
    assert sizes[0] < sizes[1]


def test_two_trainings_do_not_mix_in_one_folder(settings: TrainSettings, tmp_path: Path) -> None:
    for train in (run_sft, run_grpo):
        with alone_in(tmp_path), pytest.raises(RunError, match="another process"):
            train(settings, tmp_path, _quiet)
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_conversations_that_are_all_too_long_are_told(settings: TrainSettings, whole: Path, tmp_path: Path) -> None:
    shutil.copy(whole / "practice.jsonl", tmp_path)
    short = settings.model_copy(update={"sft": settings.sft.model_copy(update={"longest": 20})})
    with pytest.raises(ConfigError, match=r"none of the \d+ conversations fits into 20 tokens, the shortest has \d\d+\. Raise"):
        run_sft(short, tmp_path, _quiet)
