"""Money and faults of a run with a hosted editor behind its real SDK: a failed call is a turn, every cent is in run.json."""

import json
import math
from pathlib import Path
from typing import Any

import cv2
import pytest
from helpers.photos import make_photos
from helpers.run_backends import run_settings
from helpers.runs import request
from helpers.services import Asked, Reply, Service, gemini_error, gemini_picture, gemini_words, picture_sent, png

from anomalyagent.configs.schema import Settings
from anomalyagent.errors import RunError
from anomalyagent.graph.run import synthesize

PRICE = {"input": 0.5, "output": 3.0, "image_output": 60.0}
PICTURE = (342 * 0.5 + 1120 * 60.0) / 1e6
REFUSAL = 342 * 0.5 / 1e6
WORDS = (342 * 0.5 + 21 * 3.0) / 1e6
JUDGE = 0.01  # of helpers.run_backends.PickyJudge


def paint(asked: Asked) -> Reply:
    rgb = picture_sent(asked)
    height, width = rgb.shape[:2]
    seed = asked.fields["generationConfig"]["seed"]
    middle = round((0.2 + 0.6 * (seed % 97) / 97) * width), round((0.2 + 0.6 * (seed % 89) / 89) * height)
    cv2.circle(rgb, middle, round(0.1 * min(height, width)), (0.05, 0.04, 0.04), -1)
    return gemini_picture(png(rgb))


def settings_of(url: str, share: float = 1.0, **limits: Any) -> Settings:
    tree = run_settings(share=share).model_dump()
    options = {"model": "editor", "base_url": url, "image_size": "512", "pause_s": 0, "attempts": 2}
    tree["tools"]["image_gen"] = {"backend": "gemini", "options": options}
    tree["prices"] = {"editor": PRICE}
    tree["limits"] |= limits
    return Settings.model_validate(tree)


def turns_of(out: Path) -> list[dict[str, Any]]:
    files = sorted((out / "trajectories").glob("*.json"))
    return [turn for file in files for turn in json.loads(file.read_text())["turns"]]


def summary_of(out: Path) -> dict[str, Any]:
    return json.loads((out / "run.json").read_text())["summary"]


def test_faults_of_the_service_are_turns_and_the_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "AIza-secret-4711-secret-4711-secret")
    script = [
        gemini_words(None, "IMAGE_SAFETY"),  # a refusal: paid, told
        gemini_error(503, "UNAVAILABLE", "The model is overloaded."),
        gemini_words("Here is a description instead.", "STOP"),  # both attempts fail: an outage, half of it paid
        gemini_error(429, "RESOURCE_EXHAUSTED", "Quota exceeded.", "0s"),
        paint,
    ]
    with Service(script) as service:
        normals = make_photos(tmp_path / "normals", count=2)
        summary = synthesize(request(normals, tmp_path / "run", types=["scratch"], count=3), settings_of(service.url))
        made = len(service.asked) - 4
    assert summary.status == "complete"
    told = [turn["observation"] for turn in turns_of(tmp_path / "run") if turn["observation"]]
    errors = [each["error"] for each in told if each["error"]]
    assert [error.partition(":")[0] for error in errors] == ["refused", "outage"]
    assert "without a picture, STOP: Here is a description" in errors[1]
    spent = REFUSAL + WORDS + made * PICTURE + 3 * JUDGE
    assert summary.cost_usd == pytest.approx(spent, abs=1e-12)
    assert summary_of(tmp_path / "run")["cost_usd"] == math.fsum(turn["cost_usd"] for turn in turns_of(tmp_path / "run"))
    assert summary.tokens == 342 + 363 + made * 1462
    assert summary.cost_per_good == pytest.approx(spent / 3)
    everything = b"".join(path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file())
    assert b"secret-4711" not in everything


def test_what_a_failed_task_cost_is_not_forgotten_when_it_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "k")
    normals = make_photos(tmp_path / "normals", count=2)
    wanted = request(normals, tmp_path / "run", types=["scratch"], count=2)
    with Service([gemini_words("No.", "STOP")]) as service:
        with pytest.raises(RunError, match="8 tasks in a row failed"):
            synthesize(wanted, settings_of(service.url))
        failed = len(service.asked) * WORDS
        assert summary_of(tmp_path / "run")["cost_usd"] == pytest.approx(failed, abs=1e-12)
        service.script = [paint]  # mended
        summary = synthesize(wanted, settings_of(service.url))
    assert summary.accepted == 2
    assert summary.cost_usd == pytest.approx(failed + 2 * (PICTURE + JUDGE), abs=1e-12)
    stored = [json.loads(path.read_text()) for path in sorted((tmp_path / "run" / "trajectories").glob("*.json"))]
    assert math.fsum(one["cost_usd"] for one in stored) == pytest.approx(summary.cost_usd, abs=1e-12)


def test_a_run_stops_at_its_budget_and_goes_on_when_that_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "k")
    normals = make_photos(tmp_path / "normals", count=2)
    wanted = request(normals, tmp_path / "run", types=["scratch"], count=4)
    with Service([paint]) as service:
        one = PICTURE + JUDGE
        with pytest.raises(RunError, match=r"budget of this run is spent: 0\.\d+ of 0\.1 USD. Raise limits.run_cost_usd"):
            synthesize(wanted, settings_of(service.url, run_cost_usd=0.1))
        assert summary_of(tmp_path / "run")["cost_usd"] == pytest.approx(2 * one, abs=1e-12)
        again = synthesize(wanted, settings_of(service.url, run_cost_usd=1.0))
    assert again.status == "complete"
    assert again.cost_usd == pytest.approx(4 * one, abs=1e-12)


@pytest.mark.parametrize(
    ("limits", "said"),
    [({"trajectory_cost_usd": 0.1}, "cost limit of 0.1 USD"), ({"trajectory_tokens": 2000}, "limit of 2000 tokens")],
)
def test_a_trajectory_stops_at_its_budget(
    limits: dict[str, Any], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "k")
    normals = make_photos(tmp_path / "normals", count=1)
    with Service([paint]) as service, pytest.raises(RunError, match=said):
        synthesize(
            request(normals, tmp_path / "run", types=["scratch"], count=1), settings_of(service.url, share=0.0, **limits)
        )
