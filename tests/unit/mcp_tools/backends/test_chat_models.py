"""Judge and prompt writer on chat models, through LangChain's real classes, against local servers that answer as hosted do."""

import base64
import json
import re
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from helpers.photos import make_photo
from helpers.services import Reply, Script, Service, chat_reply, gemini_error, openai_error, passing_openai_faults

from anomalyagent.configs.loading import load_settings
from anomalyagent.configs.schema import ModelPrice, PolicySettings, Settings
from anomalyagent.errors import BackendError, BackendUnavailableError, ConfigError, PolicyError, RemoteOutageError
from anomalyagent.graph.policies import make_policy
from anomalyagent.mcp_tools.backends.base import PromptGenBackend, QualityEvalBackend
from anomalyagent.mcp_tools.contracts import TOOL_NAMES, QualityResult
from anomalyagent.mcp_tools.imaging.photo import Photo, photo_from_array
from anomalyagent.mcp_tools.registry import create_backend

KEY = "sk-test-51f0c9e2d8a74b63"
PRICES = {"some-model": {"input": 2.0, "output": 8.0}}
ONE_CALL = (900 * 2.0 + 60 * 8.0) / 1e6
FAULT = {"name": "too_faint", "weight": 0.7, "message": "It can hardly be seen."}
GOOD = json.dumps({"location_score": 4.0, "quality_score": 3.5, "findings": [FAULT], "review": "A plausible stain."})
WRITTEN = json.dumps(
    {"prompt": "Add a dark brown stain in the upper left of the ring, about 2 % of its area, with soft edges. Keep the rest."}
)


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def settings(tool: str, backend: str, options: dict[str, Any]) -> Settings:
    return Settings.model_validate({"tools": {tool: {"backend": backend, "options": options}}, "prices": PRICES})


def judge_at(url: str, **options: Any) -> QualityEvalBackend:
    given = {"model": "openai:some-model", "base_url": f"{url}/v1", "api_key_env": "OPENAI_API_KEY", "pause_s": 0, **options}
    return create_backend("quality_eval", settings("quality_eval", "vlm", given))


def writer_at(url: str, **options: Any) -> PromptGenBackend:
    given = {"model": "openai:some-model", "base_url": f"{url}/v1", "api_key_env": "OPENAI_API_KEY", "pause_s": 0, **options}
    return create_backend("prompt_gen", settings("prompt_gen", "chat", given))


def pair(size: int = 128) -> tuple[Photo, Photo]:
    normal = photo_from_array(make_photo("part", 3, size))
    disc = np.zeros(normal.shape, np.uint8)
    cv2.circle(disc, (round(0.25 * size), size // 2), round(0.05 * size), 1, -1)
    return normal, normal.edited((normal.rgb * 0.3).astype(np.float32), disc > 0)


def judge(script: list[Script], threshold: float = 5.0, **options: Any) -> tuple[QualityResult, Service]:
    with Service(script) as service:
        return judge_at(service.url, **options).judge(*pair(), "metal ring", "oil stain", threshold), service


def test_a_verdict_becomes_scores_findings_with_remedies_and_a_review() -> None:
    result, service = judge([chat_reply(GOOD)])
    assert (result.location_score, result.quality_score, result.score, result.passed) == (4.0, 3.5, 7.5, True)
    assert result.review == "A plausible stain."
    assert [(one.name, one.weight) for one in result.findings] == [("too_faint", 0.7)]
    adjust = result.findings[0].adjust
    assert adjust is not None
    assert (adjust.field, adjust.how) == ("severity", "multiply")
    assert result.cost_usd == pytest.approx(ONE_CALL, abs=1e-12)
    assert result.tokens == 960
    assert len(service.asked) == 1


def test_the_judge_is_shown_both_photos_and_the_place_enlarged() -> None:
    _, service = judge([chat_reply(GOOD)])
    asked = service.asked[0]
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    system, user = asked.fields["messages"]
    assert "location_score" in system["content"]
    pictures = [block["image_url"]["url"] for block in user["content"] if block["type"] == "image_url"]
    assert len(pictures) == 4
    shown = [cv2.imdecode(np.frombuffer(base64.b64decode(url.partition(",")[2]), np.uint8), 1) for url in pictures]
    normal, anomaly = pair()
    assert shown[0] is not None
    assert np.array_equal(shown[0][..., ::-1], normal.native)
    assert shown[1] is not None
    assert np.array_equal(shown[1][..., ::-1], anomaly.native)
    assert shown[2] is not None
    assert shown[3] is not None
    assert np.abs(shown[2].astype(float) - shown[3]).mean() > 10  # the change fills a good part of the close-up
    words = " ".join(block["text"] for block in user["content"] if block["type"] == "text")
    assert "metal ring" in words
    assert "oil stain" in words


@pytest.mark.parametrize("review", ["This image does not pass.", "It fails to pass inspection", "PASS PASS PASS"])
def test_no_word_of_the_review_decides_only_the_sum_of_the_scores(review: str) -> None:
    low = json.dumps({"location_score": 2.5, "quality_score": 2.5, "findings": [], "review": review})
    result, _ = judge([chat_reply(low)])
    assert (result.score, result.passed) == (5.0, False)
    high, _ = judge([chat_reply(low)], threshold=4.9)
    assert high.passed


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ("The defect passes.", "not one JSON object"),
        (GOOD[:-20], "not one JSON object"),
        (f"{GOOD} {GOOD}", "not one JSON object"),
        ('{"passed": true, "review": "pass"}', "location_score: Field required"),
        (GOOD.replace("4.0", "7"), "location_score: Input should be less than or equal to 5"),
        (GOOD.replace("4.0", "true"), "a score is a number"),
        (GOOD.replace("4.0", "NaN"), "location_score"),
        (GOOD.replace("too_faint", "ugly"), r"findings\.0\.name"),
        (GOOD.replace("A plausible stain.", " "), "the review is empty"),
        (GOOD.replace('"review"', '"passed": true, "review"'), "passed: Extra inputs"),
        ("", "not one JSON object"),
    ],
)
def test_what_does_not_fit_goes_back_with_the_reason_and_is_asked_again(bad: str, said: str) -> None:
    result, service = judge([chat_reply(bad), chat_reply(GOOD)])
    assert result.score == 7.5
    assert result.cost_usd == pytest.approx(2 * ONE_CALL, abs=1e-12)
    first, again = (asked.fields["messages"] for asked in service.asked)
    assert again[: len(first)] == first
    import re

    assert again[-1]["role"] == "user"
    assert re.search(said, again[-1]["content"])


def test_an_answer_that_never_fits_is_an_error_with_its_whole_cost() -> None:
    with (
        Service([chat_reply("Looks fine, pass.")]) as service,
        pytest.raises(BackendError, match="no usable answer in 3") as caught,
    ):
        judge_at(service.url).judge(*pair(), "metal ring", "oil stain", 5.0)
    assert len(service.asked) == 3
    assert caught.value.cost_usd == pytest.approx(3 * ONE_CALL, abs=1e-12)
    assert caught.value.tokens == 3 * 960


@pytest.mark.parametrize("wrapped", ["```json\n{}\n```", "<think>Let me look. {{1}}</think>\n{}", "\n  {}  \n"])
def test_fences_and_thoughts_around_the_answer_are_taken_off(wrapped: str) -> None:
    result, _ = judge([chat_reply(wrapped.replace("{}", GOOD))])
    assert result.score == 7.5


def test_structured_output_of_the_provider_is_asked_for_when_it_is_wanted() -> None:
    result, service = judge([chat_reply(GOOD)], structured="schema")
    form = service.asked[0].fields["response_format"]
    assert form["type"] == "json_schema"
    assert form["json_schema"]["strict"] is True
    assert result.score == 7.5


def test_googles_models_answer_in_the_schema_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "AIza-test-test-test-test-test")
    answer = {"content": {"parts": [{"text": GOOD}], "role": "model"}, "finishReason": "STOP", "index": 0}
    usage = {"promptTokenCount": 900, "candidatesTokenCount": 40, "thoughtsTokenCount": 20, "totalTokenCount": 960}
    body = {"candidates": [answer], "usageMetadata": usage}
    script: list[Script] = [gemini_error(429, "RESOURCE_EXHAUSTED", "Quota.", "0s"), Reply(json.dumps(body).encode())]
    with Service(script) as service:
        options = {"model": "google_genai:some-model", "base_url": service.url, "api_key_env": "GEMINI_API_KEY", "pause_s": 0}
        judge = create_backend("quality_eval", settings("quality_eval", "vlm", {**options, "structured": "schema"}))
        result = judge.judge(*pair(), "metal ring", "oil stain", 5.0)
    assert (result.score, result.tokens) == (7.5, 960)
    assert result.cost_usd == pytest.approx(ONE_CALL, abs=1e-12)
    asked = service.asked[-1]
    assert len(service.asked) == 2
    assert asked.headers["x-goog-api-key"] == "AIza-test-test-test-test-test"
    assert asked.fields["generationConfig"]["responseMimeType"] == "application/json"
    assert sum("inlineData" in one for one in asked.fields["contents"][0]["parts"]) == 4


def test_schema_answers_that_do_not_fit_are_asked_again_too() -> None:
    result, service = judge([chat_reply(GOOD.replace("4.0", "9")), chat_reply(GOOD)], structured="schema")
    assert result.score == 7.5
    assert len(service.asked) == 2


def test_a_refusal_is_told_with_its_cost() -> None:
    reply = chat_reply(None, refusal="I'm sorry, I can't assist with that request.")
    with Service([reply]) as service, pytest.raises(BackendError, match=r"refused: I'm sorry.*Try other words") as caught:
        judge_at(service.url).judge(*pair(), "metal ring", "oil stain", 5.0)
    assert len(service.asked) == 1
    assert caught.value.cost_usd == pytest.approx(ONE_CALL, abs=1e-12)


def test_faults_of_the_server_are_tried_again() -> None:
    good = chat_reply(GOOD)
    script: list[Script] = [
        openai_error(429, "rate_limit_exceeded", "Rate limit reached.", retry_after="0"),
        openai_error(500, None, "The server had an error.", "server_error"),
        good._replace(body=good.body[:60]),
        good,
    ]
    result, service = judge(script)
    assert result.score == 7.5
    assert len(service.asked) == 4


def test_a_server_that_keeps_failing_is_an_outage_and_a_refused_key_is_said() -> None:
    with Service([openai_error(503, None, "Overloaded.", "server_error")]) as service:
        with pytest.raises(RemoteOutageError, match=r"failed in 2 attempts.*HTTP 503"):
            judge_at(service.url, attempts=2).judge(*pair(), "ring", "stain", 5.0)
        assert len(service.asked) == 2
    with (
        Service([openai_error(401, "invalid_api_key", f"Incorrect API key provided: {KEY}.")]) as service,
        pytest.raises(BackendUnavailableError, match="OPENAI_API_KEY") as caught,
    ):
        judge_at(service.url).judge(*pair(), "ring", "stain", 5.0)
    assert KEY not in str(caught.value)


def test_a_server_that_does_not_tell_its_usage_needs_a_price_by_the_request() -> None:
    body = json.loads(chat_reply(GOOD).body)
    del body["usage"]
    with Service([Reply(json.dumps(body).encode())]) as service:
        with pytest.raises(BackendUnavailableError, match=r"does not tell how many tokens.*per_request"):
            judge_at(service.url).judge(*pair(), "ring", "stain", 5.0)
        options = {"model": "openai:flat", "base_url": f"{service.url}/v1"}
        tools = {"quality_eval": {"backend": "vlm", "options": options}}
        flat = Settings.model_validate({"tools": tools, "prices": {"flat": {"per_request": 0.02}}})
        assert create_backend("quality_eval", flat).judge(*pair(), "ring", "stain", 5.0).cost_usd == 0.02


def test_an_image_in_which_nothing_changed_is_not_sent() -> None:
    normal, _ = pair()
    with Service([chat_reply(GOOD)]) as service:
        result = judge_at(service.url).judge(normal, normal, "ring", "stain", 5.0)
        assert not service.asked
    assert (result.score, result.cost_usd) == (0.0, 0.0)


def test_an_ensemble_weighs_its_judges_and_shows_where_they_disagree() -> None:
    harsh = json.dumps({"location_score": 0.5, "quality_score": 0.5, "findings": [FAULT], "review": "Pasted on."})
    with Service([chat_reply(harsh)]) as service:
        vlm = {"backend": "vlm", "weight": 3.0, "options": {"model": "openai:some-model", "base_url": f"{service.url}/v1"}}
        options = {"judges": [{"backend": "features"}, vlm]}
        both = create_backend("quality_eval", settings("quality_eval", "ensemble", options))
        result = both.judge(*pair(), "metal ring", "oil stain", 5.0)
        alone = create_backend("quality_eval", Settings()).judge(*pair(), "metal ring", "oil stain", 5.0)
        lowest = create_backend("quality_eval", settings("quality_eval", "ensemble", {**options, "combine": "lowest"}))
        least = lowest.judge(*pair(), "metal ring", "oil stain", 5.0)
    assert result.location_score == pytest.approx((alone.location_score + 3 * 0.5) / 4, abs=0.01)
    assert result.quality_score == pytest.approx((alone.quality_score + 3 * 0.5) / 4, abs=0.01)
    assert least.score == pytest.approx(min(alone.location_score, 0.5) + min(alone.quality_score, 0.5), abs=0.01)
    assert result.cost_usd == pytest.approx(ONE_CALL, abs=1e-12)
    assert "vlm 1.00" in result.review
    assert f"features {alone.score:.2f}" in result.review
    told = [one for one in result.findings if one.name == "judges_disagree"]
    assert bool(told) == (alone.score - 1.0 >= 2.0)
    assert told
    assert "apart" in told[0].message


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"judges": [{"backend": "features"}]}, "at least 2 items"),
        ({"judges": [{"backend": "features"}, {"backend": "ensemble"}]}, "cannot be one of its own judges"),
        ({"judges": [{"backend": "features"}, {"backend": "vlm", "options": {}}]}, "option 'model' is not set"),
    ],
)
def test_an_ensemble_that_cannot_be_made_says_why(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        create_backend("quality_eval", settings("quality_eval", "ensemble", options))


def test_the_writer_sees_the_photo_and_its_words_become_a_spec() -> None:
    normal, _ = pair()
    with Service([chat_reply(WRITTEN)]) as service:
        result = writer_at(service.url).write_prompt(normal, "metal ring", "oil stain", 12)
    user = service.asked[0].fields["messages"][-1]["content"]
    assert [block["type"] for block in user] == ["image_url", "text"]
    assert result.prompt.startswith("Add a dark brown stain")
    assert (result.spec.mechanism, result.spec.seed) == ("stain", 12)
    assert result.spec.area_fraction == pytest.approx(0.02)
    assert result.cost_usd == pytest.approx(ONE_CALL, abs=1e-12)


@pytest.mark.parametrize("bad", ['{"prompt": "stain"}', '{"text": "x"}', "Add a stain, please.", '{"prompt": ["a", "b"]}'])
def test_the_writer_is_asked_again_for_what_is_no_prompt(bad: str) -> None:
    normal, _ = pair()
    with Service([chat_reply(bad), chat_reply(WRITTEN)]) as service:
        assert writer_at(service.url).write_prompt(normal, "metal ring", "oil stain", 1).spec.mechanism == "stain"
        assert len(service.asked) == 2


def test_faults_of_the_server_are_tried_again_for_the_writer_too() -> None:
    normal, _ = pair()
    good = chat_reply(WRITTEN)
    script = passing_openai_faults(good)
    with Service(script) as service:
        result = writer_at(service.url, attempts=5).write_prompt(normal, "metal ring", "oil stain", 1)
        assert len(service.asked) == 5
    assert result.cost_usd == pytest.approx(ONE_CALL, abs=1e-12)


def test_a_refusal_of_the_writer_and_an_outage_are_told_with_what_was_spent() -> None:
    normal, _ = pair()
    reply = chat_reply(None, refusal="I can't help with that.")
    with Service([reply]) as service, pytest.raises(BackendError, match=r"refused: I can't help with that") as caught:
        writer_at(service.url).write_prompt(normal, "metal ring", "oil stain", 1)
    assert len(service.asked) == 1
    assert caught.value.cost_usd == pytest.approx(ONE_CALL, abs=1e-12)
    script: list[Script] = [chat_reply("no prompt"), openai_error(503, None, "Overloaded.", "server_error")]
    with Service(script) as service, pytest.raises(RemoteOutageError, match="HTTP 503") as out:
        writer_at(service.url, attempts=2).write_prompt(normal, "metal ring", "oil stain", 1)
    assert len(service.asked) == 3
    assert out.value.cost_usd == pytest.approx(ONE_CALL, abs=1e-12)  # the useless answer before it was paid


def test_without_a_key_a_price_or_a_module_one_line_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def make(**options: Any) -> QualityEvalBackend:
        return create_backend("quality_eval", settings("quality_eval", "vlm", options))

    with pytest.raises(BackendUnavailableError, match="price of 'dear-model' is not known"):
        make(model="openai:dear-model")
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(BackendUnavailableError, match=r"needs a key.*export OPENAI_API_KEY=\.\.\."):
        make(model="openai:some-model")
    monkeypatch.setenv("MISTRAL_API_KEY", "k" * 8)
    with pytest.raises(BackendUnavailableError, match=r"not installed. Run: pip install langchain-mistralai"):
        make(model="mistralai:some-model").judge(*pair(), "ring", "stain", 5.0)
    with pytest.raises(BackendUnavailableError, match=r"cannot be made: .*Name it provider:model"):
        make(model="some-model").judge(*pair(), "ring", "stain", 5.0)


@pytest.mark.parametrize(
    ("model", "absent", "fix"),
    [
        ("ollama:some-model", "langchain_ollama", "pip install langchain-ollama"),
        ("azure_openai:some-model", "langchain_openai", "pip install 'anomalyagent[chat]'"),
        ("google_genai:some-model", "langchain", "pip install 'anomalyagent[chat]'"),
    ],
)
def test_a_provider_whose_module_is_missing_is_refused_before_anything_is_asked(
    model: str, absent: str, fix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, absent, None)
    monkeypatch.setenv("GEMINI_API_KEY", "k" * 8)
    options, free = {"model": model}, {"some-model": ModelPrice()}
    with pytest.raises(BackendUnavailableError, match=f"{absent}.* Run: {re.escape(fix)}$"):
        create_backend("quality_eval", settings("quality_eval", "vlm", options))
    with pytest.raises(PolicyError, match=f"^policy 'chat' cannot be used: .*{absent}.* Run: {re.escape(fix)}$"):
        make_policy(PolicySettings(name="chat", options=options), free)


@pytest.mark.parametrize("name", ["api", "paper"])
def test_the_shipped_configurations_need_nothing_but_a_key(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("GEMINI_API_KEY", "GOOGLE_API_KEY"):
        monkeypatch.delenv(variable, raising=False)
    loaded = load_settings(Path(name), env={})
    for tool in ("prompt_gen", "image_gen", "quality_eval"):
        with pytest.raises(BackendUnavailableError, match="Run: export GEMINI_API_KEY="):
            create_backend(tool, loaded)
    monkeypatch.setenv("GEMINI_API_KEY", "k" * 12)
    for tool in TOOL_NAMES:
        assert create_backend(tool, loaded).name == getattr(loaded.tools, tool).backend
    assert make_policy(loaded.policy, loaded.prices).name == loaded.policy.name


def test_a_missing_extra_is_named_with_the_command_that_installs_it() -> None:
    import subprocess
    import sys

    script = """
import sys
sys.modules["langchain"] = sys.modules["openai"] = sys.modules["google.genai"] = None
from anomalyagent.configs.loading import load_settings
from anomalyagent.configs.schema import Settings
from anomalyagent.mcp_tools.registry import describe_backends
for status in describe_backends():
    if status.name in ("openai", "gemini", "chat", "vlm"):
        print(status.tool, status.name, status.usable, status.missing)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=240)
    lines = done.stdout.strip().splitlines()
    assert len(lines) == 4
    for line in lines:
        extra = "api" if line.split()[1] in ("openai", "gemini") else "chat"
        assert "False" in line
        assert f"Run: pip install 'anomalyagent[{extra}]'" in line


def test_listing_the_backends_loads_no_client() -> None:
    import subprocess
    import sys

    script = """
import sys
from anomalyagent.mcp_tools.registry import describe_backends
describe_backends()
print(sorted({"openai", "langchain", "langchain_openai", "google.genai", "torch"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=240)
    assert done.stdout.strip() == "[]"


def test_the_key_is_nowhere_in_what_settings_store(tmp_path: Path) -> None:
    stored = settings("quality_eval", "vlm", {"model": "openai:some-model"}).model_dump_json()
    assert KEY not in stored
