"""The expert and the scripted policy."""

from pathlib import Path
from typing import Any

import pytest
from helpers.conversations import SPEC, Conversation, answer, call_image, call_knowledge

from anomalyagent.configs.schema import PolicySettings
from anomalyagent.errors import PolicyError
from anomalyagent.graph.nodes import conclude
from anomalyagent.graph.policies import make_policy
from anomalyagent.graph.policies.expert import ExpertPolicy, adjust_spec
from anomalyagent.graph.policies.scripted import ScriptedPolicy
from anomalyagent.graph.rules import check
from anomalyagent.graph.trace import Answer, ToolCall
from anomalyagent.knowledge.cards import Priors, Variant
from anomalyagent.knowledge.spec import Mechanism
from anomalyagent.mcp_tools.contracts import Adjustment, CardHit, Finding


def finding(name: str, field: Any, how: Any, value: Any) -> Finding:
    return Finding(
        name=name, weight=0.8, message=f"{name} was measured.", hint="h", adjust=Adjustment(field=field, how=how, value=value)
    )


FAINT = finding("too_faint", "severity", "multiply", 2.0)


async def next_call(talk: Conversation) -> ToolCall:
    decision = await ExpertPolicy({}).decide(talk.view)
    assert check(talk.view, decision.action) is None
    assert isinstance(decision.action, ToolCall)
    assert decision.thought
    return decision.action


async def next_answer(talk: Conversation) -> Answer:
    decision = await ExpertPolicy({}).decide(talk.view)
    assert check(talk.view, decision.action) is None
    assert isinstance(decision.action, Answer)
    return decision.action


async def test_the_expert_goes_through_a_single_round() -> None:
    talk = Conversation()
    assert (await next_call(talk)).name == "prompt_gen"
    assert (await next_call(talk.prompt())).name == "image_gen"
    assert (await next_call(talk.image())).name == "quality_eval"
    assert (await next_call(talk.judge(8.0))).name == "mask_gen"
    answer = await next_answer(talk.mask())
    assert (answer.status, answer.final_image_index, answer.mask_generated) == ("success", 2, True)


async def test_the_expert_does_what_the_finding_asks_with_a_new_seed() -> None:
    talk = Conversation().prompt()
    first = await next_call(talk)
    second = await next_call(talk.image().judge(4.5, [FAINT], location=3.0))
    assert second.name == "image_gen"
    assert second.arguments["spec"]["severity"] == 2 * SPEC.severity
    assert second.arguments["seed"] != first.arguments["seed"]
    assert second.arguments["prompt"] != first.arguments["prompt"]


async def test_the_expert_asks_for_knowledge_once_when_the_score_is_far_off() -> None:
    talk = Conversation().prompt().image().judge(1.0, [FAINT])
    assert (await next_call(talk)).name == "knowledge_retrieval"
    assert (await next_call(talk.knowledge())).name == "image_gen"
    assert (await next_call(talk.image().judge(1.0, [FAINT]))).name == "image_gen"


def card_of(mechanism: Mechanism) -> CardHit:
    priors = Priors.model_validate({"area_fraction": (0.02, 0.05), "elongation": (20, 60), "severity": (3, 8)})
    variants = [Variant(mechanism=mechanism, priors=priors)]
    return CardHit(id="a", item="nut", anomaly_type=mechanism, text="t", variants=variants, relevance=1, source="s")


async def test_knowledge_brings_the_spec_inside_its_ranges_but_keeps_what_a_finding_asked_for() -> None:
    talk = Conversation().prompt().image().judge(2.0, [FAINT]).knowledge([card_of("scratch")])
    spec = (await next_call(talk)).arguments["spec"]
    assert (spec["area_fraction"], spec["elongation"], spec["severity"]) == (0.02, 20, 12)


async def test_a_card_of_another_type_of_the_item_does_not_turn_the_wanted_defect_into_that_type() -> None:
    talk = Conversation().prompt().image().judge(2.0, [FAINT]).knowledge([card_of("missing")], match="near")
    spec = (await next_call(talk)).arguments["spec"]
    assert (spec["mechanism"], spec["area_fraction"], spec["severity"]) == ("scratch", SPEC.area_fraction, 12)


async def test_the_expert_goes_back_to_the_best_image_and_keeps_it_when_the_rounds_are_spent() -> None:
    talk = (
        Conversation(max_rounds=3).prompt().image().judge(4.5, [FAINT], location=3.0).image().judge(3.5, [FAINT], location=2.5)
    )
    decision = await ExpertPolicy({}).decide(talk.view)
    assert "back to image 2" in decision.thought
    talk.image().judge(4.0)
    mask = await next_call(talk)
    assert (mask.name, mask.arguments["anomaly_image"]) == ("mask_gen", 2)
    answer = await next_answer(talk.mask(of=2))
    assert (answer.status, answer.final_image_index) == ("failure", 2)


async def test_the_expert_tries_another_place_when_nothing_could_be_drawn_and_then_gives_up() -> None:
    talk = Conversation().prompt().failing(call_image())
    again = await next_call(talk)
    assert again.arguments["spec"]["area_fraction"] > SPEC.area_fraction
    talk.failing(call_image()).failing(call_image())
    assert (await next_answer(talk)).status == "failure"


async def test_the_expert_decides_the_same_for_the_same_view() -> None:
    talk = Conversation().prompt().image().judge(4.0, [FAINT])
    assert await ExpertPolicy({}).decide(talk.view) == await ExpertPolicy({}).decide(talk.view)


async def test_an_illegal_action_of_the_expert_is_an_error_not_a_loop() -> None:
    talk = Conversation().act(call_image(), legal=False)
    with pytest.raises(PolicyError, match="refused"):
        await ExpertPolicy({}).decide(talk.view)


@pytest.mark.parametrize(
    ("field", "how", "value", "expected"),
    [
        ("severity", "multiply", 100.0, 60.0),
        ("severity", "add", -100.0, 0.5),
        ("area_fraction", "multiply", 0.5, 0.005),
        ("elongation", "set", 3.0, 3.0),
        ("count", "add", 1.4, 2),
        ("center", "set", (0.2, 0.7), (0.2, 0.7)),
        ("center", "resample", None, None),
        ("orientation_deg", "set", 200.0, 20.0),
        ("zone", "set", "edge", "edge"),
        ("mechanism", "set", "dent", "dent"),
    ],
)
def test_adjustments_stay_inside_the_spec(field: str, how: str, value: Any, expected: Any) -> None:
    spec, fields = adjust_spec(SPEC, [finding("f", field, how, value), finding("g", field, "set", value)])
    assert getattr(spec, field) == expected
    assert fields == [field]


def test_an_unknown_policy_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(PolicyError, match="'expert'"):
        make_policy(PolicySettings(name="expart"))


@pytest.mark.parametrize("options", [{"speed": 3}, {"tries": 0}, {"tries": 9}, {"tries": "2"}])
def test_an_option_that_the_expert_does_not_have_or_take_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(PolicyError, match=f"{next(iter(options))}.*Its options are: tries"):
        make_policy(PolicySettings(name="expert", options=options))


async def test_the_expert_lets_image_gen_try_as_often_as_it_is_told() -> None:
    talk = Conversation().prompt()
    for options, tries in (({}, None), ({"tries": 1}, None), ({"tries": 3}, 3)):
        for view in (talk.view, Conversation().prompt().image().judge(4.0, [FAINT]).knowledge().view):
            call = (await make_policy(PolicySettings(name="expert", options=options)).decide(view)).action
            assert isinstance(call, ToolCall)
            assert call.arguments.get("tries") == tries
            assert check(view, call) is None


async def test_the_script_can_be_a_file_and_names_the_task(tmp_path: Path) -> None:
    script = tmp_path / "turns.yaml"
    script.write_text(
        "- thought: start\n  action: {kind: tool_call, name: prompt_gen, arguments: {image: 1, item_name: '{item_name}', "
        "anomaly_type: '{anomaly_type}'}}\n"
    )
    policy = make_policy(PolicySettings(name="scripted", options={"file": str(script)}))
    decision = await policy.decide(Conversation().view)
    assert check(Conversation().view, decision.action) is None
    with pytest.raises(PolicyError, match="1 turns"):
        await policy.decide(Conversation().prompt().view)


@pytest.mark.parametrize("options", [{}, {"file": "missing.yaml"}, {"turns": [{"action": {"kind": "dance"}}]}, {"tuns": []}])
def test_a_script_that_cannot_be_played_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(PolicyError, match="script"):
        ScriptedPolicy(options)


async def test_the_expert_goes_on_without_knowledge_that_cannot_be_had() -> None:
    talk = Conversation().prompt().image().judge(1.0, [FAINT]).failing(call_knowledge())
    assert (await next_call(talk)).name == "image_gen"


def test_an_image_whose_mask_is_empty_is_not_accepted() -> None:
    talk = Conversation().prompt().image().judge(8.0).mask().act(answer("success", 2, True))
    assert conclude(talk.view.progress, None)[0] == "accepted"
    progress = talk.view.progress
    progress.masks[0].result.area_fraction = 0.0
    assert conclude(progress, None) == ("rejected", "its mask is empty: nothing visible changed.")


async def test_a_policy_of_another_package_is_named_by_its_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_policies.py").write_text(
        "from anomalyagent.graph.policies.expert import ExpertPolicy\n"
        "class Mine(ExpertPolicy):\n"
        "    name = 'mine'\n"
        "    def __init__(self, options):\n"
        "        if options: raise ValueError('it has none')\n"
        "        super().__init__({})\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert make_policy(PolicySettings(name="my_policies:Mine")).name == "mine"
    for name, options, told in (
        ("my_policies:Mine", {"x": 1}, "refuses its options: it has none"),
        ("my_policies:Other", {}, "module 'my_policies' has no 'Other'"),
        ("no_such:Mine", {}, "there is no module 'no_such'. Install it, or put its folder on PYTHONPATH"),
        ("mine", {}, "or module:Class of your own"),
    ):
        with pytest.raises(PolicyError, match=told):
            make_policy(PolicySettings(name=name, options=options))
