"""The tiny policy: one network in three engines, a tokenizer that loses nothing, a grammar that lets only legal turns pass."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.conversations import Conversation, answer, call_image
from tokenizers import Tokenizer

from anomalyagent.errors import PolicyError
from anomalyagent.graph.policies.expert import ExpertPolicy
from anomalyagent.graph.policies.local import LocalPolicy, ModelCard, read_model_card, token_bytes
from anomalyagent.graph.policies.local_grammar import Vocabulary
from anomalyagent.graph.policies.local_network import Network
from anomalyagent.graph.policies.local_plans import SCALED, STEPS, TRIES, carry_out, image_plan, plans, write_planned
from anomalyagent.graph.progress import View
from anomalyagent.graph.rules import check
from anomalyagent.graph.trace import SCHEMA_VERSION, ToolCall
from anomalyagent.graph.wire import converse, read_turn, render, tools_digest, write_turn
from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.training.conversation import CHAT_TEMPLATE
from anomalyagent.training.settings import TinyModelSettings
from anomalyagent.training.tiny.model import make_model, save_policy
from anomalyagent.training.tiny.rollout import ParallelNetwork
from anomalyagent.training.tiny.rows import encode
from anomalyagent.training.tiny.tokenizer import train_tokenizer, write_tokenizer
from anomalyagent.training.tiny.train import load_policy


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
    card = ModelCard(kind="plans", tools_sha256=tools_digest(), trace_version=SCHEMA_VERSION, stage="sft")
    save_policy(make_model(settings, 0).half().float(), folder, folder, card)
    return folder


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> Any:
    return Tokenizer.from_file(str(folder / "tokenizer.json"))


def test_a_policy_that_went_on_from_another_does_not_tell_where_that_lay(folder: Path, tmp_path: Path) -> None:
    card = read_model_card(folder)
    assert card is not None
    save_policy(load_policy(folder), folder, tmp_path / "next", card)
    assert str(folder) not in (tmp_path / "next" / "config.json").read_text("utf-8")


def test_the_tokenizer_loses_nothing(tokenizer: Any) -> None:
    for text in (render(converse(_talks()[1].view)), 'Ölwanne 漏れ "x" {}\n\t<tool_call>é'):
        ids = tokenizer.encode(text).ids
        assert tokenizer.decode(ids, skip_special_tokens=False) == text
        assert b"".join(token_bytes(tokenizer)[token] for token in ids).decode() == text


def test_rows_are_the_text_of_the_conversation_and_mark_our_plans(tokenizer: Any) -> None:
    messages = converse(_talks()[0].view, system=False)
    row = encode(tokenizer, messages)
    assert tokenizer.decode(row.ids, skip_special_tokens=False) == render(messages)
    ours = tokenizer.decode([token for token, mine in zip(row.ids, row.own, strict=True) if mine], skip_special_tokens=False)
    plans = [message.text.partition("</thinking>") for message in messages if message.role == "assistant"]
    assert ours == "".join(plan + mark for plan, mark, _ in plans)


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


def _takes(view: View, thought: str) -> bool:
    grammar = plans(view)
    return grammar.complete(grammar.advance(grammar.start(), f"<thinking>{thought}</thinking>".encode()))


def test_only_plans_whose_calls_are_legal_pass_the_grammar() -> None:
    view = Conversation().prompt().view
    plan = image_plan("scratch", "asked", {"size": 1.4, "strength": 0.5, "length": 1.0}, frozenset({"colour"}), 8)
    assert plan == (
        "I draw: scratch, as asked; size x1.4, strength x0.5, length x1, place kept, direction kept, colour open, tries 8."
    )
    assert _takes(view, plan)
    for wrong in (
        plan.replace("scratch", "hole"),
        plan.replace("x1.4", "x1.5"),
        plan.replace("as asked", "as the judge says"),
        plan.replace("kept", "gone", 1),
        plan.replace("tries 8", "tries 3"),
        "I start with a prompt.",
        "I take the mask of image 2.",
    ):
        assert not _takes(view, wrong)
        with pytest.raises(PolicyError, match="is no plan for turn 2"):
            carry_out(view, wrong if "x1.5" not in wrong else wrong.replace("size", "width"))


def test_the_call_carries_out_the_plan_in_steps_against_a_known_spec() -> None:
    view = Conversation().prompt().view
    assert view.progress.prompt is not None
    asked = view.progress.prompt.spec
    for factor in STEPS:
        action = carry_out(view, image_plan(asked.mechanism, "asked", dict.fromkeys(SCALED, factor), frozenset(), 1))
        assert check(view, action) is None
        assert isinstance(action, ToolCall)
        drawn = DefectSpec.model_validate(action.arguments["spec"])
        assert drawn.area_fraction == pytest.approx(min(0.7, asked.area_fraction * factor), rel=0.05)
        assert drawn.severity == pytest.approx(min(60.0, max(0.5, asked.severity * factor)), rel=0.05)
        assert read_turn(write_turn("", action)).action == action


@pytest.mark.parametrize("tries", TRIES)
def test_a_plan_says_how_often_image_gen_may_try(tries: int) -> None:
    view = Conversation().prompt().view
    action = carry_out(view, image_plan("scratch", "asked", dict.fromkeys(SCALED, 1.0), frozenset(), tries))
    assert isinstance(action, ToolCall)
    assert check(view, action) is None
    assert action.arguments.get("tries", 1) == tries
    assert ("tries" in action.arguments) == (tries > 1)


async def test_judged_means_what_the_expert_would_draw() -> None:
    view = Conversation().prompt().image().judge(3.0).knowledge().view
    expert = (await ExpertPolicy({}).decide(view)).action
    plan = image_plan("scratch", "judged", dict.fromkeys(SCALED, 1.0), frozenset(), 1)
    ours = carry_out(view, plan)
    assert isinstance(expert, ToolCall)
    assert isinstance(ours, ToolCall)
    wanted = DefectSpec.model_validate(expert.arguments["spec"]).model_copy(update={"seed": None})
    drawn = DefectSpec.model_validate(ours.arguments["spec"])
    assert (drawn.mechanism, drawn.zone, drawn.count) == (wanted.mechanism, wanted.zone, wanted.count)
    assert drawn.area_fraction == pytest.approx(wanted.area_fraction, rel=0.05)
    assert drawn.elongation == pytest.approx(wanted.elongation, rel=0.05)


async def test_after_a_failed_drawing_the_defect_grows_once_not_twice() -> None:
    """A refined spec was made easier by the expert and again by the plan: 2.56 times as large instead of 1.6."""
    view = Conversation().prompt().image().judge(3.0).knowledge().failing(call_image()).view
    expert = (await ExpertPolicy({}).decide(view)).action
    ours = carry_out(view, image_plan("scratch", "judged", dict.fromkeys(SCALED, 1.0), frozenset(), 1))
    assert isinstance(expert, ToolCall)
    assert isinstance(ours, ToolCall)
    wanted = float(expert.arguments["spec"]["area_fraction"])
    assert ours.arguments["spec"]["area_fraction"] == pytest.approx(wanted, rel=0.05)


def test_the_grammar_says_what_must_follow_and_which_tokens_may(tokenizer: Any) -> None:
    view = Conversation().prompt().view
    grammar, vocabulary = plans(view), Vocabulary(token_bytes(tokenizer))
    assert grammar.forced(grammar.start()) == b"<thinking>I draw: "
    states = grammar.advance(grammar.start(), b"<thinking>I draw: scratch, as asked; size x")
    assert grammar.forced(states) == b""
    steps = {vocabulary.data[token] for token in grammar.allowed(states, vocabulary)}
    assert {b"0.5", b"0.7", b"1", b"1.4", b"2"} <= steps
    for token, data in enumerate(vocabulary.data):
        assert bool(data and grammar.advance(states, data)) == (token in grammar.allowed(states, vocabulary)) or not data
    assert write_planned(Conversation().view, b"<thinking>I start with a prompt.</thinking>").endswith("</tool_call>")


def test_a_model_for_other_tools_another_trace_or_with_damaged_weights_is_refused(folder: Path, tmp_path: Path) -> None:
    import shutil

    def copy(name: str) -> Path:
        return Path(shutil.copytree(folder, tmp_path / name))

    card = ModelCard(kind="plans", tools_sha256=tools_digest(), trace_version=SCHEMA_VERSION, stage="sft")
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
