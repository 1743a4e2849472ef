"""Verdicts of a person: stored, read back, compared with the judge."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from anomalyagent.errors import RunError, TraceError
from anomalyagent.graph.review import (
    REVIEWS_FILE,
    Review,
    agreement,
    cohens_kappa,
    read_history,
    read_reviews,
    record_verdict,
)


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    (tmp_path / "trajectories").mkdir()
    for name in "abcdef":
        (tmp_path / "trajectories" / f"{name}.json").write_text("{}")
    return tmp_path


def test_the_last_verdict_on_a_trajectory_counts_and_the_earlier_ones_stay_on_record(run_dir: Path) -> None:
    record_verdict(run_dir, "a", "keep")
    record_verdict(run_dir, "b", "fix", "the edge\nis hard", "Ada")
    record_verdict(run_dir, "a", "drop", "no: a halo")
    record_verdict(run_dir, "c", "keep")
    record_verdict(run_dir, "c", None)
    found = read_reviews(run_dir)
    assert {name: review.verdict for name, review in found.items()} == {"a": "drop", "b": "fix"}
    assert (found["b"].note, found["b"].reviewer) == ("the edge\nis hard", "Ada")
    assert len(read_history(run_dir)) == 5


def test_a_line_that_was_cut_off_costs_neither_the_verdicts_before_nor_those_after_it(run_dir: Path) -> None:
    record_verdict(run_dir, "a", "keep")
    record_verdict(run_dir, "b", "keep")
    path = run_dir / REVIEWS_FILE
    os.truncate(path, path.stat().st_size - 20)
    record_verdict(run_dir, "c", "drop")
    assert {name: review.verdict for name, review in read_reviews(run_dir).items()} == {"a": "keep", "c": "drop"}


RECORD_MANY = """
import sys
from pathlib import Path
from anomalyagent.graph.review import record_verdict
for _ in range(20):
    record_verdict(Path(sys.argv[1]), sys.argv[2], "keep", "x" * 500)
"""


def test_several_reviewers_at_once_lose_no_verdict(run_dir: Path) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", RECORD_MANY, str(run_dir), name]) for name in "abc"]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    assert sorted(review.trajectory for review in read_history(run_dir)) == sorted("abc" * 20)


def test_a_verdict_on_what_is_not_there_or_with_a_note_without_end_is_refused(run_dir: Path) -> None:
    with pytest.raises(TraceError, match="no trajectory 'z'"):
        record_verdict(run_dir, "z", "keep")
    with pytest.raises(RunError, match="9000 characters"):
        record_verdict(run_dir, "a", "keep", "x" * 9000)
    (run_dir / REVIEWS_FILE).mkdir()
    with pytest.raises(RunError, match="was not stored"):
        record_verdict(run_dir, "a", "keep")


def test_agreement_counts_what_judge_and_reviewer_said_and_names_where_they_differ() -> None:
    def said(name: str, verdict: str) -> Review:
        return Review.model_validate({"trajectory": name, "verdict": verdict, "at": "2026-01-01"})

    verdicts = {"a": "keep", "b": "keep", "c": "fix", "d": "drop", "e": "keep", "f": "keep"}
    reviews = {name: said(name, verdict) for name, verdict in verdicts.items()}
    found = agreement(
        {"a": "accepted", "b": "accepted", "c": "accepted", "d": "rejected", "e": "rejected", "f": "failed"}, reviews
    )
    assert found.table[("accepted", "keep")] == 2
    assert found.reviewed == 5
    assert found.share == pytest.approx(3 / 5)
    # by hand: p_o = 3/5, p_e = 3/5 * 3/5 + 2/5 * 2/5 = 13/25, kappa = (15/25 - 13/25) / (12/25)
    assert found.kappa == pytest.approx(1 / 6)
    assert (found.overruled_accepted, found.overruled_rejected) == (("c",), ("e",))


def test_kappa_of_the_textbook_example_and_where_it_is_not_defined() -> None:
    # 50 grant proposals: both yes 20, both no 15, only A yes 5, only B yes 10; kappa 0.4
    a = [True] * 25 + [False] * 25
    b = [True] * 20 + [False] * 5 + [True] * 10 + [False] * 15
    assert cohens_kappa(a, b) == pytest.approx(0.4)
    assert cohens_kappa([], []) is None
    assert cohens_kappa([True] * 3, [True] * 3) is None
    assert cohens_kappa([True, True], [True, False]) == pytest.approx(0.0)
    with pytest.raises(ValueError, match="2 and 1"):
        cohens_kappa([True, True], [True])


def test_kappa_is_that_of_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    for size in (5, 9, 40, 200):
        truth = rng.random(size) < 0.6
        said = np.where(rng.random(size) < 0.7, truth, ~truth)
        assert cohens_kappa(truth.tolist(), said.tolist()) == pytest.approx(metrics.cohen_kappa_score(truth, said))
