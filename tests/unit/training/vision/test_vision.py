"""A tiny random Qwen3-VL, built on the spot, trained with images in tool results: SFT, and GRPO on the live tools."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from helpers.tiny_vision import make_tiny_qwen3vl
from helpers.trace_runs import good_talk, second_chance, store_run
from trl.trainer.sft_config import SFTConfig

from anomalyagent.errors import BackendUnavailableError, ConfigError, PolicyError, TraceError
from anomalyagent.graph.policies.local import LocalPolicy
from anomalyagent.graph.policies.local_vision import show_images
from anomalyagent.graph.progress import View
from anomalyagent.graph.trace import Answer, Malformed, ToolCall, read_trajectory
from anomalyagent.graph.wire import read_turn, tools_digest, write_turn
from anomalyagent.training.conversation import to_messages
from anomalyagent.training.rows.export import export_traces
from anomalyagent.training.rows.make import image_name
from anomalyagent.training.rows.select import Filters
from anomalyagent.training.rows.table import read_table
from anomalyagent.training.vision.grpo import train_vision_grpo
from anomalyagent.training.vision.model import load_seeing
from anomalyagent.training.vision.settings import VisionSettings, load_vision_settings, shipped_vision_trainings
from anomalyagent.training.vision.sft import Collator, newest_whole, train_vision_sft, trainer_config

ROOT = Path(__file__).parents[4]
ON_A_CPU = (
    "model.dtype=float32",
    "model.most_pixels=4096",
    "trainer.use_cpu=true",
    "trainer.bf16=false",
    "trainer.activation_checkpointing=false",
    "trainer.report_to=[]",
    "trainer.disable_tqdm=true",
    "trainer.gradient_accumulation_steps=1",
    "trainer.warmup_steps=0",
)
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")  # TRL asks transformers under a name that is going away


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_qwen3vl(tmp_path_factory.mktemp("model") / "qwen3vl")


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rows")
    run = store_run(folder / "run", [good_talk(), second_chance()])
    export_traces([run], "sft", folder / "data", Filters(), system=False)
    return folder / "data"


def sft_settings(tiny: Path, rows: Path, *more: str) -> VisionSettings:
    return load_vision_settings("qwen3vl_sft", (*ON_A_CPU, f"model.name={tiny}", f"rows={rows}", *more))


def weights_of(model: Any, part: str) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in model.named_parameters() if part in name}


def changed(before: dict[str, torch.Tensor], model: Any) -> set[str]:
    after = dict(model.named_parameters())
    return {name for name, value in before.items() if not torch.equal(value, after[name])}


def test_labels_are_our_own_turns_and_every_image_is_counted(tiny: Path, rows: Path) -> None:
    processor = load_seeing(sft_settings(tiny, rows).model).processor
    row: dict[str, Any] = read_table(rows / "train.parquet")[1]
    batch = Collator(processor)([row])
    ids, labels = batch["input_ids"][0], batch["labels"][0]
    learned = processor.tokenizer.decode(ids[labels != -100])
    turns = learned.split("<|im_end|>")[:-1]
    said = [message for message in row["messages"] if message["role"] == "assistant"]
    assert len(turns) == len(said) == 8
    assert [type(read_turn(turn).action) for turn in turns] == [ToolCall] * 7 + [Answer]
    assert len(batch["image_grid_thw"]) == len(row["images"]) == 4
    pad = processor.tokenizer.convert_tokens_to_ids("<|image_pad|>")
    assert int((ids == pad).sum()) == int((batch["image_grid_thw"].prod(dim=1) // 4).sum())


def test_an_sft_step_moves_projector_and_language_model_and_leaves_the_encoder(tiny: Path, rows: Path, tmp_path: Path) -> None:
    settings = sft_settings(tiny, rows, "trainer.max_steps=2", "trainer.learning_rate=0.01", "trainer.save_steps=1")
    seeing = load_seeing(settings.model)
    before = weights_of(seeing.model, "")
    trainer = train_vision_sft(settings, tmp_path, seeing)
    moved = changed(before, seeing.model)
    assert not any(".visual." in name and "merger" not in name for name in moved)
    assert any("merger" in name for name in moved), "gradients reach the projector: the images are read"
    assert any("language_model" in name for name in moved)
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert losses[1] < losses[0]
    card = json.loads((tmp_path / "model" / "policy.json").read_text("utf-8"))
    assert (card["kind"], card["stage"], card["tools_sha256"]) == ("chat", "sft", tools_digest())
    again = train_vision_sft(sft_settings(tiny, rows, "trainer.max_steps=3", "trainer.save_steps=1"), tmp_path)
    assert again.state.global_step == 3
    assert [entry["step"] for entry in again.state.log_history if "loss" in entry] == [1, 2, 3], "it went on from step 2"


def scripted(seeing: Any, seen: list[int]) -> Any:
    """In place of the model's sampling: what a policy would write; the first rollout gives up at once."""
    tokenizer = seeing.processor.tokenizer

    def generate(input_ids: Any, **given: Any) -> Any:
        grid = given.get("image_grid_thw")
        seen.append(0 if grid is None else len(grid))
        done = []
        for number, text in enumerate(tokenizer.batch_decode(input_ids)):
            item, kind = (re.findall(f"{name}: (.*)\n", text)[-1] for name in ("item", "anomaly type"))
            names = {"item_name": item, "anomaly_type": kind}
            spec = {"mechanism": "scratch", "area_fraction": 0.02, "elongation": 10.0, "severity": 9.0}
            turns = [
                ToolCall(name="prompt_gen", arguments={"image": 1, **names}),
                ToolCall(name="image_gen", arguments={"image": 1, "prompt": "a scratch", "spec": spec}),
                ToolCall(name="quality_eval", arguments={"normal_image": 1, "anomaly_image": 2, **names}),
            ]
            turn = text.count("<|im_start|>assistant\n") - 1
            stop = Answer(status="failure", final_image_index=None, mask_generated=False, synthesis_logic="no")
            action = stop if turn >= len(turns) or (turn == 0 and number == 0) else turns[turn]
            done.append(tokenizer.encode(write_turn("so", action) + "<|im_end|>", add_special_tokens=False))
        longest = max(map(len, done))
        padded = [ids + [tokenizer.pad_token_id] * (longest - len(ids)) for ids in done]
        return torch.cat([input_ids, torch.tensor(padded)], dim=1)

    return generate


def test_a_grpo_step_sees_the_images_that_the_live_tools_made(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRL_EXPERIMENTAL_SILENCE", "1")
    settings = load_vision_settings(
        "qwen3vl_grpo",
        (
            *ON_A_CPU,
            f"model.name={tiny}",
            "tasks=1",
            "system=false",
            "practice={sizes_px: [64], photos: 1, sources: [{specimen: sheet_metal, item: sheet, types: [scratch]}]}",
            "trainer.max_steps=1",
            "trainer.learning_rate=0.01",
            "trainer.num_generations=2",
            "trainer.per_device_train_batch_size=2",
            "trainer.max_completion_length=6000",
            "trainer.use_vllm=false",
            "trainer.save_strategy='no'",
        ),
    )
    seeing = load_seeing(settings.model)
    seen: list[int] = []
    seeing.model.generate = scripted(seeing, seen)
    before = weights_of(seeing.model, "")
    trainer = train_vision_grpo(settings, tmp_path, ROOT, seeing)
    logged = trainer.state.log_history[0]
    assert logged["reward_std"] > 0
    assert logged["tools/call_frequency"] > 0
    assert logged["tools/failure_frequency"] == 0
    assert max(seen) >= 2, "the image that image_gen made came back into the conversation"
    moved = changed(before, seeing.model)
    assert any("language_model" in name for name in moved)
    assert any("merger" in name for name in moved)
    assert not any(".visual." in name and "merger" not in name for name in moved)
    assert (tmp_path / "model" / "policy.json").is_file()


async def test_the_local_policy_shows_a_model_its_images_as_it_was_trained(tiny: Path, rows: Path, tmp_path: Path) -> None:
    run = store_run(tmp_path / "run", [second_chance()])
    trajectory = read_trajectory(run / "trajectories" / "scratch-00000.json")
    view = View(trajectory.task, trajectory.turns[:3], trajectory.images[:2], 3, workspace=run)
    processor = load_seeing(sft_settings(tiny, rows).model).processor
    messages = to_messages(view, images=image_name)
    assert show_images(view) == processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    policy = LocalPolicy({"model": str(tiny), "temperature": 0.0, "max_new_tokens": 16})
    decision = await policy.decide(view)
    assert isinstance(decision.action, Malformed), "a random model writes nothing that can be read"
    assert (await policy.decide(view)) == decision
    (run / trajectory.images[1].ref).unlink()
    with pytest.raises(PolicyError, match="cannot be shown"):
        await policy.decide(view)


def shipped() -> Iterator[str]:
    yield from shipped_vision_trainings()


@pytest.mark.parametrize("name", list(shipped()))
def test_shipped_trainings_follow_the_paper_and_name_arguments_that_trl_knows(name: str) -> None:
    from dataclasses import fields

    from trl.trainer.grpo_config import GRPOConfig

    settings = load_vision_settings(name)
    known = {field.name for field in fields(SFTConfig if settings.stage == "sft" else GRPOConfig)}
    assert set(settings.trainer) <= known
    if settings.stage == "sft":
        assert (settings.trainer["num_train_epochs"], settings.trainer["learning_rate"]) == (3, 1e-5)
    else:
        assert (settings.trainer["num_generations"], settings.trainer["temperature"], settings.tasks) == (8, 1.0, 1030)


def test_the_accelerate_files_name_deepspeed_files_of_zero_3() -> None:
    folder = ROOT / "configs" / "train" / "vision"
    for path in folder.glob("accelerate_*.yaml"):
        named = yaml.safe_load(path.read_text("utf-8"))["deepspeed_config"]["deepspeed_config_file"]
        assert json.loads((ROOT / named).read_text("utf-8"))["zero_optimization"]["stage"] == 3
    offloaded = json.loads((folder / "deepspeed_zero3_offload.json").read_text("utf-8"))
    assert offloaded["zero_optimization"]["offload_optimizer"]["device"] == "cpu"


def test_what_cannot_be_trained_is_told(tiny: Path, rows: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="name the folder"):
        train_vision_sft(sft_settings(tiny, rows, "rows=null"), tmp_path)
    with pytest.raises(BackendUnavailableError, match="cannot be loaded"):
        train_vision_sft(sft_settings(tmp_path / "none", rows), tmp_path)
    with pytest.raises(ConfigError, match="learning_rat"):
        train_vision_sft(sft_settings(tiny, rows, "trainer.learning_rat=1"), tmp_path)
    with pytest.raises(ConfigError, match=r"longer than model\.longest"):
        train_vision_sft(sft_settings(tiny, rows, "model.longest=256"), tmp_path)
    with pytest.raises(TraceError, match="cannot be read"):
        train_vision_sft(sft_settings(tiny, tmp_path), tmp_path)
    export_traces([store_run(tmp_path / "run", [good_talk()])], "sft", tmp_path / "blind", Filters(), images=False)
    with pytest.raises(ConfigError, match=r"hold no images, and this model sees\. Export without --no-images"):
        train_vision_sft(sft_settings(tiny, tmp_path / "blind"), tmp_path)
    with pytest.raises(ConfigError, match="stage"):
        load_vision_settings("qwen3vl_sft", ("stage=dpo",))


def test_a_training_goes_on_from_the_newest_checkpoint_that_is_whole(tmp_path: Path) -> None:
    assert newest_whole(tmp_path) is None
    for step in (9, 10, 11):
        (tmp_path / "checkpoints" / f"checkpoint-{step}").mkdir(parents=True)
        if step < 11:  # the last one was being written when the machine went down
            (tmp_path / "checkpoints" / f"checkpoint-{step}" / "trainer_state.json").write_text("{}")
    assert newest_whole(tmp_path) == str(tmp_path / "checkpoints" / "checkpoint-10")


def test_a_learning_rate_may_be_written_without_a_point(tiny: Path, rows: Path, tmp_path: Path) -> None:
    """The documentation's own `--set trainer.learning_rate=5e-6` came as a text, and ended the training at its first step."""
    settings = sft_settings(tiny, rows, "trainer.learning_rate=5e-6")
    assert trainer_config(SFTConfig, settings, tmp_path).learning_rate == pytest.approx(5e-6, rel=1e-9)
