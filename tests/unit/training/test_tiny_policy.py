"""The tiny policy: one network in three engines, a tokenizer that loses nothing, a grammar that lets only legal turns pass."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.conversations import Conversation, answer, call, call_prompt
from tokenizers import Tokenizer

from anomalyagent.errors import PolicyError
from anomalyagent.graph.policies.local import LocalPolicy, ModelCard, token_bytes
from anomalyagent.graph.policies.local_grammar import THOUGHTS, Vocabulary, turn_grammar, write_image_call
from anomalyagent.graph.policies.local_network import Network
from anomalyagent.graph.rules import check
from anomalyagent.graph.trace import SCHEMA_VERSION
from anomalyagent.graph.wire import converse, read_turn, render, tools_digest, write_turn
from anomalyagent.training.conversation import CHAT_TEMPLATE
from anomalyagent.training.settings import TinyModelSettings
from anomalyagent.training.tiny.model import make_model, save_policy
from anomalyagent.training.tiny.rollout import ParallelNetwork
from anomalyagent.training.tiny.rows import encode
from anomalyagent.training.tiny.tokenizer import train_tokenizer, write_tokenizer


def _talks() -> list[Conversation]:
    short = Conversation().prompt().image().judge(8.0).mask().act(answer("success", 2, True))
    long = Conversation().prompt().image().judge(2.0).knowledge().image().judge(3.0).image().judge(4.0)
    return [short, long]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy with random weights."""
    folder = tmp_path_factory.mktemp("tiny")
    texts = [render(converse(talk.view, system=False)) for talk in _talks()]
    write_tokenizer(train_tokenizer(texts, 600), folder, CHAT_TEMPLATE)
    settings = TinyModelSettings(vocabulary=600, width=32, layers=2, heads=2, inner=48)
    card = ModelCard(kind="tiny", tools_sha256=tools_digest(), trace_version=SCHEMA_VERSION, stage="sft")
    save_policy(make_model(settings, 0).half().float(), folder, folder, card)
    return folder


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> Any:
    return Tokenizer.from_file(str(folder / "tokenizer.json"))


def test_the_tokenizer_loses_nothing(tokenizer: Any) -> None:
    for text in (render(converse(_talks()[1].view)), 'Ölwanne 漏れ "x" {}\n\t<tool_call>é'):
        ids = tokenizer.encode(text).ids
        assert tokenizer.decode(ids, skip_special_tokens=False) == text
        assert b"".join(token_bytes(tokenizer)[token] for token in ids).decode() == text


def test_rows_are_the_text_of_the_conversation_and_mark_our_turns(tokenizer: Any) -> None:
    messages = converse(_talks()[0].view, system=False)
    row = encode(tokenizer, messages)
    assert row.ids == tokenizer.encode(render(messages)).ids
    ours = tokenizer.decode([token for token, mine in zip(row.ids, row.own, strict=True) if mine], skip_special_tokens=False)
    assert ours == "".join(message.text + "<|im_end|>" for message in messages if message.role == "assistant")


def test_numpy_torch_and_transformers_agree(folder: Path, tokenizer: Any) -> None:
    from transformers import LlamaForCausalLM

    model = LlamaForCausalLM.from_pretrained(str(folder), dtype=torch.float32).eval()
    texts = [tokenizer.encode(render(converse(talk.view, system=False))).ids for talk in _talks()]
    wanted = [model(input_ids=torch.tensor([ids])).logits[0, -1].detach().numpy() for ids in texts]
    network = Network(folder)
    parallel = ParallelNetwork(model, 2)
    parallel.feed([texts[0][:20], texts[1][:33]])
    parallel.feed([texts[0][20:-1], texts[1][33:40]])
    parallel.feed([[], texts[1][40:-1]])
    side_by_side = parallel.feed([texts[0][-1:], texts[1][-1:]]).numpy()
    for row, ids in enumerate(texts):
        network.logits(ids[:30])  # the start of a conversation that grows
        np.testing.assert_allclose(network.logits(ids), wanted[row], atol=2e-4)
        np.testing.assert_allclose(side_by_side[row], wanted[row], atol=2e-4)


async def test_even_random_weights_write_only_turns_that_can_be_read_and_are_legal(folder: Path) -> None:
    policy = LocalPolicy({"model": str(folder), "temperature": 3.0})
    talk = Conversation(2)
    seen: set[str] = set()
    for view in (
        talk.view,
        talk.prompt().view,
        talk.image().view,
        talk.judge(3.0).view,
        talk.knowledge().view,
        talk.image().judge(4.0).view,
        talk.mask(3).view,
    ):
        decision = await policy.decide(view)
        assert check(view, decision.action) is None
        seen.add(getattr(decision.action, "name", decision.action.kind))
        assert await policy.decide(view) == decision
    assert {"prompt_gen", "image_gen", "quality_eval", "answer"} <= seen


def test_the_grammar_takes_what_the_teacher_writes_and_refuses_what_the_rules_refuse() -> None:
    view = Conversation().prompt().view
    spec = {
        "mechanism": "scratch",
        "zone": "edge",
        "center": [0.5, 1],
        "area_fraction": 0.012,
        "elongation": 12,
        "orientation_deg": 179,
        "severity": 9.5,
        "color_shift": [-20, 0, 7],
        "count": 3,
    }
    good = write_image_call("metal nut", "scratch", spec)
    grammar = turn_grammar(view)

    def takes(text: str) -> bool:
        return grammar.complete(grammar.advance(grammar.start(), text.encode()))

    assert check(view, good) is None
    assert takes(write_turn(THOUGHTS["image_gen"][0], good))
    assert read_turn(write_turn("", good)).action == good
    for field, value in (("mechanism", "hole"), ("area_fraction", 0.9), ("severity", 0.1), ("zone", "inside"), ("count", 17)):
        assert not takes(write_turn(THOUGHTS["image_gen"][0], write_image_call("metal nut", "scratch", {**spec, field: value})))
    assert not takes(write_turn(THOUGHTS["prompt_gen"][0], call_prompt()))
    assert not takes(write_turn(THOUGHTS["mask_gen"][0], call("mask_gen", normal_image=1, anomaly_image=2)))


def test_the_grammar_says_what_must_follow_and_which_tokens_may(tokenizer: Any) -> None:
    grammar = turn_grammar(Conversation().prompt().view)
    vocabulary = Vocabulary(token_bytes(tokenizer))
    opening = f"<thinking>{THOUGHTS['image_gen'][0]}".encode()
    states = grammar.advance(grammar.start(), opening)
    forced = grammar.forced(states)
    assert forced.startswith(b"</thinking>")
    assert forced.endswith(b'"spec": {"mechanism": "scratch"')
    states = grammar.advance(states, forced + b', "zone": "edge", "area_fraction": 0.')
    assert grammar.forced(states) == b""
    digits = {vocabulary.data[token] for token in grammar.allowed(states, vocabulary)}
    assert digits == {str(digit).encode() for digit in range(8)}  # 0.0... to 0.7
    for token, data in enumerate(vocabulary.data):
        assert bool(data and grammar.advance(states, data)) == (token in grammar.allowed(states, vocabulary)) or not data


def test_a_model_for_other_tools_another_trace_or_with_damaged_weights_is_refused(folder: Path, tmp_path: Path) -> None:
    import shutil

    def copy(name: str) -> Path:
        return Path(shutil.copytree(folder, tmp_path / name))

    card = ModelCard(kind="tiny", tools_sha256=tools_digest(), trace_version=SCHEMA_VERSION, stage="sft")
    other = copy("tools")
    (other / "policy.json").write_text(card.model_copy(update={"tools_sha256": "0" * 16}).model_dump_json())
    with pytest.raises(PolicyError, match="trained for other tools"):
        LocalPolicy({"model": str(other)})
    old = copy("trace")
    (old / "policy.json").write_text(card.model_copy(update={"trace_version": 0}).model_dump_json())
    with pytest.raises(PolicyError, match="traces of version 0"):
        LocalPolicy({"model": str(old)})
    damaged = copy("damaged")
    weights = damaged / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(PolicyError, match="damaged or incomplete"):
        LocalPolicy({"model": str(damaged)})
    with pytest.raises(PolicyError, match="is not a folder"):
        LocalPolicy({"model": str(tmp_path / "none")})
    with pytest.raises(PolicyError, match="temperatur"):
        LocalPolicy({"temperatur": 1})
