"""The `local` policy on transformers: a tiny random model, loaded, asked and read as a large one is."""

import hashlib
from importlib import import_module
from pathlib import Path
from typing import Any

import cv2
import pytest
import torch
from helpers.conversations import Conversation
from helpers.photos import make_photo
from helpers.tiny_backends import tiny_settings
from helpers.tiny_chat import save_tiny_chat

from anomalyagent.configs.schema import PolicySettings
from anomalyagent.errors import PolicyError
from anomalyagent.graph.build import build_graph, run_trajectory
from anomalyagent.graph.nodes import Services
from anomalyagent.graph.policies import make_policy
from anomalyagent.graph.policies.base import Policy
from anomalyagent.graph.state import initial_state, read_turns
from anomalyagent.graph.trace import Malformed, Task, ToolCall
from anomalyagent.mcp_tools.client import ToolClient

transformers: Any = import_module("transformers")
SAID = '<thinking>First a prompt.</thinking>\n<tool_call>{"name": "prompt_gen", "arguments": {"image": 1}}</tool_call>'


@pytest.fixture(scope="module")
def random_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_chat(tmp_path_factory.mktemp("random"))


@pytest.fixture(scope="module")
def one_sentence(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that has learned one turn by heart: whatever it reads, it says SAID and stops.

    Its embedding tells the tokens apart and no attention or MLP adds to it, so the output layer is a table "after this token
    comes that one"; a token for each place in SAID makes that enough.
    """
    folder = tmp_path_factory.mktemp("sentence")
    tokenizers: Any = import_module("tokenizers")
    pieces = [SAID[start : start + 6] for start in range(0, len(SAID), 6)]
    assert len(set(pieces)) == len(pieces)
    words = {"<|other|>": 0, **{piece: number for number, piece in enumerate(pieces, 1)}}
    plain = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="<|other|>"))
    plain.pre_tokenizer = tokenizers.pre_tokenizers.Split(tokenizers.Regex(r"\n"), "isolated")
    plain.decoder = tokenizers.decoders.Fuse()
    end = len(words)
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=plain, additional_special_tokens=["<|im_end|>"], unk_token="<|other|>"
    ).save_pretrained(folder)
    config = transformers.GPT2Config(
        vocab_size=end + 1, n_positions=2048, n_embd=64, n_layer=1, n_head=1, tie_word_embeddings=False
    )
    model = transformers.GPT2LMHeadModel(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.transformer.ln_f.weight.fill_(1.0)
        codes = torch.eye(end + 1, 64)
        model.transformer.wte.weight.copy_(codes)
        for token in range(end + 1):
            follows = token + 1 if 1 <= token < end else 1  # after anything else: the beginning
            model.lm_head.weight[follows] += 50 * codes[token]
    model.save_pretrained(folder)
    return folder


def policy_of(model: Path, **options: Any) -> Policy:
    return make_policy(PolicySettings(name="local", options={"model": str(model), "max_new_tokens": 24, **options}), {})


async def test_what_the_model_says_is_read_up_to_its_end(one_sentence: Path) -> None:
    for temperature in (0, 1.0):
        decision = await policy_of(one_sentence, temperature=temperature).decide(Conversation().view)
        assert (decision.thought, decision.action) == ("First a prompt.", ToolCall(name="prompt_gen", arguments={"image": 1}))


async def test_a_model_that_knows_nothing_makes_malformed_turns_the_same_for_the_same_seed(random_model: Path) -> None:
    view = Conversation().view
    first, second = [await policy_of(random_model).decide(view) for _ in range(2)]
    assert isinstance(first.action, Malformed)
    assert first.action.raw
    assert first == second
    certain = await policy_of(random_model, temperature=0).decide(view)
    assert certain.action != first.action


async def test_a_run_with_it_goes_on_to_its_limit(random_model: Path, tmp_path: Path) -> None:
    settings = tiny_settings()
    limits = settings.limits.model_copy(update={"turns": 4})
    cv2.imwrite(str(tmp_path / "normal.png"), make_photo("part", 1, 64))
    digest = hashlib.sha256((tmp_path / "normal.png").read_bytes()).hexdigest()
    task = Task(id="t", index=0, normal_image="normal.png", normal_sha256=digest, item_name="nut", anomaly_type="dent", seed=3)
    async with ToolClient(settings, tmp_path) as tools:
        wired = build_graph(Services(policy_of(random_model), tools, limits, tmp_path))
        state = await run_trajectory(wired, "t", initial_state(task, digest), 4)
    assert len(read_turns(state)) == 4
    assert state.get("outcome") == "failed"
    assert "limit of 4 turns" in state.get("reason", "")


async def test_a_conversation_that_is_too_long_for_the_model_is_said(random_model: Path, one_sentence: Path) -> None:
    with pytest.raises(PolicyError, match=r"the model reads 16384\. Use a model that reads more"):
        await policy_of(random_model, max_new_tokens=16000).decide(Conversation().view)
    await policy_of(one_sentence, max_new_tokens=1024).decide(Conversation().view)


def test_a_folder_without_a_model_is_said(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="cannot be loaded"):
        policy_of(tmp_path)


def test_the_folder_of_a_training_is_told_where_its_model_is(random_model: Path, tmp_path: Path) -> None:
    for name in ("sft", "grpo"):
        (tmp_path / name / "model").mkdir(parents=True)
        (tmp_path / name / "model" / "config.json").write_text("{}")
    with pytest.raises(PolicyError, match="grpo/model"):
        policy_of(tmp_path)
    with pytest.raises(PolicyError, match="sft/model"):
        policy_of(tmp_path / "sft")
    policy_of(random_model)
