"""Where two trajectories part, and what differs."""

import pytest
from helpers.conversations import SPEC, Conversation, answer, trajectory_of

from anomalyagent.errors import TraceError
from anomalyagent.graph.changes import Change, changes_between, words_changed
from anomalyagent.graph.compare import compare_trajectories, find_parting, read_rounds, round_history
from anomalyagent.graph.compare_runs import compare_runs
from anomalyagent.graph.locate import Damaged
from anomalyagent.mcp_tools.contracts import Finding

HALO = Finding(name="halo", weight=0.5, message="A halo.", hint="Lower the severity.")


def passing() -> Conversation:
    return Conversation().prompt().image().judge(8.0).mask().act(answer("success", 2, True))


def test_the_same_trajectory_parts_nowhere_whatever_its_clock_said() -> None:
    slow = passing()
    for turn in slow.turns:
        turn.seconds, turn.started_at, turn.cost_usd, turn.retries = 9.0, "2027-01-01", 1.0, 1
    assert find_parting(passing().turns, slow.turns) is None
    compared = compare_trajectories(trajectory_of(passing()), trajectory_of(slow, seconds=99.0))
    assert compared.parting is None
    assert all(pair.same for pair in compared.turns)
    assert not compared.result


def test_two_trajectories_part_at_the_first_turn_that_differs_and_at_what_differs_first_there() -> None:
    judged = Conversation().prompt().image().judge(3.0, [HALO]).knowledge()
    parting = find_parting(passing().turns, judged.turns)
    assert parting is not None
    assert (parting.turn, parting.where) == (2, "observation")
    stronger = SPEC.model_copy(update={"severity": 9.0})
    other = Conversation().prompt()
    other.image(stronger).turns[1].action.arguments["spec"] = stronger.model_dump(mode="json")  # type: ignore[union-attr]
    parting = find_parting(passing().turns, other.turns)
    assert parting is not None
    assert (parting.turn, parting.where) == (1, "action")
    assert Change("action.arguments.spec.severity", 6.0, 9.0) in parting.changes


def test_a_trajectory_that_just_ends_parts_at_its_end() -> None:
    parting = find_parting(passing().turns, passing().turns[:3])
    assert parting is not None
    assert (parting.turn, parting.where) == (3, "end")


def test_rounds_are_compared_by_prompt_spec_scores_and_findings() -> None:
    weaker = SPEC.model_copy(update={"severity": 2.0, "center": (0.5, 0.5)})
    one = trajectory_of(Conversation().prompt().image().judge(3.0, [HALO]))
    other = trajectory_of(Conversation().prompt().image(weaker).judge(6.0))
    pair = compare_trajectories(one, other).rounds[0]
    assert [change.path for change in pair.spec] == ["spec.center", "spec.severity"]
    assert Change("passed", False, True) in pair.scores
    assert pair.findings == (Change("halo", 0.5, None),)
    assert [span.kind for span in pair.prompt] == ["same"]


def test_the_history_of_a_trajectory_sets_each_round_beside_the_one_before() -> None:
    weaker = SPEC.model_copy(update={"severity": 2.0})
    history = round_history(trajectory_of(Conversation().prompt().image().judge(3.0).image(weaker).judge(6.0)))
    assert history[0].a is None
    assert history[1].spec == (Change("spec.severity", 6.0, 2.0),)
    facts = read_rounds(trajectory_of(Conversation().prompt().image().judge(3.0).knowledge().image()))
    assert [(one.turn, one.image, one.score) for one in facts] == [(1, 2, 3.0), (4, 3, None)]


def test_texts_are_compared_word_by_word_and_put_together_again() -> None:
    before, after = "Add a faint scratch, 12.5 % long.", "Add a deep scratch, 14 % long and thin."
    spans = words_changed(before, after)
    assert "".join(span.text for span in spans if span.kind != "new") == before
    assert "".join(span.text for span in spans if span.kind != "gone") == after
    assert [(span.kind, span.text) for span in spans if span.kind != "same"][:2] == [("gone", "faint "), ("new", "deep ")]


def test_lists_of_records_are_compared_one_by_one_and_plain_lists_as_one_value() -> None:
    assert changes_between({"a": [{"x": 1}], "b": [1, 2]}, {"a": [{"x": 2}, {"x": 3}], "b": [1, 3]}) == (
        Change("a.0.x", 1, 2),
        Change("a.1", None, {"x": 3}),
        Change("b", [1, 2], [1, 3]),
    )


def test_two_runs_are_set_side_by_side_task_by_task() -> None:
    failing = Conversation().prompt().image().judge(3.0)
    a = [trajectory_of(passing()), trajectory_of(passing(), id="only-a"), Damaged("broken", "cut off")]
    b = [
        trajectory_of(failing, outcome="rejected", score=3.0),
        trajectory_of(passing(), id="only-b"),
        trajectory_of(passing(), id="fork", parent_id="only-b"),
    ]
    compared = compare_runs(a, b)
    assert [(pair.id, pair.a, pair.b, pair.score_b) for pair in compared.pairs] == [
        ("scratch-00000", "accepted", "rejected", 3.0)
    ]
    assert compared.pairs[0].parting is not None
    assert (compared.pairs[0].parting.turn, compared.pairs[0].parting.where) == (2, "observation")
    assert (compared.only_a, compared.only_b) == (("only-a",), ("only-b",))
    assert (compared.a.accepted, compared.b.accepted, compared.b.rejected, compared.b.score_mean) == (2, 1, 1, 5.5)
    assert compared.outcomes == {("accepted", "rejected"): 1}
    assert [one.id for one in compared.damaged] == ["broken"]


def test_turns_that_contradict_each_other_are_an_error_that_says_so() -> None:
    talk = passing()
    assert talk.turns[1].observation is not None
    talk.turns[1].observation.images = []
    with pytest.raises(TraceError, match="do not fit together"):
        read_rounds(trajectory_of(talk))
