"""The OpenAI and Gemini editors through their real SDKs, against local servers that answer as the services do."""

import base64
import json
import threading
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from helpers.photos import make_photo
from helpers.services import (
    Asked,
    Reply,
    Service,
    gemini_error,
    gemini_picture,
    gemini_words,
    openai_error,
    openai_picture,
    picture_sent,
    png,
)

from anomalyagent.configs.schema import Settings
from anomalyagent.errors import BackendError, BackendUnavailableError, ConfigError, RemoteOutageError
from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.backends.base import Edited, ImageGenBackend
from anomalyagent.mcp_tools.imaging.photo import Photo, photo_from_array
from anomalyagent.mcp_tools.registry import create_backend

SPEC = DefectSpec(mechanism="stain", center=(0.2, 0.5), area_fraction=0.02, severity=9.0)
KEY = "sk-test-51f0c9e2d8a74b63"
PRICES = {
    "gpt-image-test": {"input": 5.0, "image_input": 8.0, "output": 10.0, "image_output": 32.0},
    "gemini-image-test": {"input": 0.5, "output": 3.0, "image_output": 60.0},
}
PAID = {  # by hand: what one answered request with a picture costs
    "openai": (89 * 5.0 + 323 * 8.0 + 1056 * 32.0) / 1e6,
    "gemini": (342 * 0.5 + 1120 * 60.0) / 1e6,
}
PICTURE: dict[str, Callable[[bytes], Reply]] = {"openai": openai_picture, "gemini": gemini_picture}
EDITORS = ["openai", "gemini"]
KEYS = {"openai": "OPENAI_API_KEY", "gemini": "GEMINI_API_KEY"}
both = pytest.mark.parametrize("name", EDITORS)


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("GEMINI_API_KEY", KEY)
    monkeypatch.delenv("GOOGLE_API_KEY", raising=False)


def editor(name: str, url: str | None, **options: Any) -> ImageGenBackend:
    model = "gpt-image-test" if name == "openai" else "gemini-image-test"
    address = {} if url is None else {"base_url": f"{url}/v1" if name == "openai" else url, "api_key_env": KEYS[name]}
    small: dict[str, Any] = {"sizes": ["192x192", "288x192", "192x288"]} if name == "openai" else {"image_size": "512"}
    given = {"model": model, "pause_s": 0, **address, **small, **options}
    tools = {"image_gen": {"backend": name, "options": given}}
    return create_backend("image_gen", Settings.model_validate({"tools": tools, "prices": PRICES}))


def part(size: int = 192) -> Photo:
    return photo_from_array(make_photo("part", 3, size))


def stained(rgb: Any) -> Any:
    """A dark disc left of the middle."""
    height, width = rgb.shape[:2]
    disc = np.zeros((height, width), np.uint8)
    cv2.circle(disc, (round(0.25 * width), height // 2), round(0.05 * min(height, width)), 1, -1)
    return np.where(disc[..., None] > 0, rgb * 0.3, rgb)


def paints(name: str, change: Callable[[Any], Any] = stained) -> Callable[[Asked], Reply]:
    return lambda asked: PICTURE[name](png(change(picture_sent(asked))))


def edit(name: str, script: Any, photo: Photo | None = None, **options: Any) -> tuple[Edited, Service]:
    with Service([script] if not isinstance(script, list) else script) as service:
        return editor(name, service.url, **options).edit(photo or part(), "A dark oil stain.", SPEC, 7), service


def where_stained(photo: Photo) -> Any:
    disc = stained(np.ones((*photo.shape, 3), np.float32))[..., 0] < 1
    return disc, cv2.dilate(disc.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0


def assert_only_the_stain(edited: Edited, photo: Photo, least: float = 0.9) -> None:
    disc, near = where_stained(photo)
    assert edited.photo.native.shape == photo.native.shape
    assert np.array_equal(edited.photo.native[~edited.changed], photo.native[~edited.changed])
    assert (edited.changed & disc).sum() > least * disc.sum()
    assert (edited.changed & ~near).sum() < 0.1 * disc.sum()


@both
def test_an_edit_comes_back_at_the_photos_size_and_costs_what_the_table_says(name: str) -> None:
    photo = part(176)
    edited, service = edit(name, paints(name), photo)
    assert_only_the_stain(edited, photo)
    assert edited.cost_usd == pytest.approx(PAID[name], abs=1e-12)
    assert edited.tokens == (1468 if name == "openai" else 1462)
    assert len(service.asked) == 1
    assert edited.spec == SPEC.model_copy(update={"seed": 7})


def tilted(rgb: Any, degrees: float = 1.5) -> Any:
    height, width = rgb.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    return cv2.warpAffine(np.asarray(rgb, np.float32), turn, (width, height), borderMode=cv2.BORDER_REPLICATE)


def resized(rgb: Any, down: float, across: float) -> Any:
    return cv2.resize(np.asarray(rgb, np.float32), None, fx=across, fy=down, interpolation=cv2.INTER_AREA)


def padded(rgb: Any) -> Any:
    return np.pad(rgb, ((0, 0), (80, 80), (0, 0)), mode="reflect")


def cropped(rgb: Any) -> Any:
    return rgb[len(rgb) // 8 : -(len(rgb) // 8)]


def recoloured(rgb: Any) -> Any:
    return np.clip(rgb * (0.85, 0.95, 1.1) + (0.05, 0.02, -0.02), 0, 1)


SPOILT: dict[str, Callable[[Any], Any]] = {
    "smaller": lambda rgb: resized(rgb, 0.75, 0.75),
    "squeezed": lambda rgb: resized(rgb, 1.0, 1.5),
    "padded": padded,
    "cropped": cropped,
    "turned": lambda rgb: np.ascontiguousarray(np.rot90(rgb)),
    "upside down": lambda rgb: np.ascontiguousarray(np.rot90(rgb, 2)),
    "tilted": tilted,
    "recoloured": recoloured,
}


@both
@pytest.mark.parametrize("how", SPOILT)
def test_a_picture_that_is_turned_resized_or_recoloured_gives_only_its_defect(name: str, how: str) -> None:
    photo = part()
    edited, _ = edit(name, paints(name, lambda rgb: SPOILT[how](stained(rgb))), photo)
    assert_only_the_stain(edited, photo, least=0.8)


@both
@pytest.mark.parametrize("shape", [(100, 230), (230, 100), (150, 200)])
def test_a_photo_of_any_shape_is_shown_unsqueezed(name: str, shape: tuple[int, int]) -> None:
    tall, broad = shape
    photo = photo_from_array(np.ascontiguousarray(cv2.resize(make_photo("surface", 2, 256), (broad, tall))))
    shown: list[Any] = []

    def answer(asked: Asked) -> Reply:
        rgb = picture_sent(asked)
        shown.append(rgb)
        height, width = rgb.shape[:2]
        cv2.circle(rgb, (width // 2, height // 2), round(0.08 * min(height, width)), (0.1, 0.05, 0.05), -1)
        return PICTURE[name](png(rgb))

    edited, _ = edit(name, answer, photo)
    height, width = shown[0].shape[:2]
    rows, columns = np.nonzero(edited.changed)
    assert abs(rows.mean() - tall / 2) < 3
    assert abs(columns.mean() - broad / 2) < 3
    across, down = np.ptp(columns) + 1, np.ptp(rows) + 1
    assert 0.8 < across / down < 1.25  # a disc stays round
    assert (height, width) != (tall, broad)


@both
def test_what_the_service_is_asked(name: str) -> None:
    _, service = edit(name, paints(name))
    asked = service.asked[0]
    if name == "openai":
        assert asked.path == "/v1/images/edits"
        assert asked.headers["authorization"] == f"Bearer {KEY}"
        for field in (b"A dark oil stain.", b"gpt-image-test", b"192x192", b"Change nothing else"):
            assert field in asked.body
    else:
        assert asked.path.endswith("/models/gemini-image-test:generateContent")
        assert asked.headers["x-goog-api-key"] == KEY
        config = asked.fields["generationConfig"]
        assert config["responseModalities"] == ["IMAGE"]
        assert config["imageConfig"] == {"aspectRatio": "1:1", "imageSize": "512"}
        assert config["seed"] == 7
        assert "A dark oil stain." in json.dumps(asked.fields["contents"])


def test_the_mask_of_the_spec_is_sent_when_it_is_asked_for() -> None:
    _, service = edit("openai", paints("openai"), mask=True)
    body = service.asked[0].body
    start = body.index(b"\x89PNG", body.index(b"mask.png"))
    mask = cv2.imdecode(np.frombuffer(body[start:], np.uint8), cv2.IMREAD_UNCHANGED)
    assert mask is not None
    rows, columns = np.nonzero(mask[..., 3] == 0)
    assert 0 < len(rows) < 0.2 * mask[..., 3].size
    assert abs(columns.mean() / 192 - 0.26) < 0.08
    assert abs(rows.mean() / 192 - 0.5) < 0.08


RATE_LIMIT = {
    "openai": openai_error(
        429, "rate_limit_exceeded", "Rate limit reached for gpt-image-test.", "input-images", retry_after="0"
    ),
    "gemini": gemini_error(429, "RESOURCE_EXHAUSTED", "You exceeded your current quota.", "0s"),
}
SERVER_ERROR = {
    "openai": openai_error(500, None, "The server had an error while processing your request.", "server_error"),
    "gemini": gemini_error(503, "UNAVAILABLE", "The model is overloaded. Please try again later."),
}


@both
def test_a_rate_limit_an_error_of_the_server_and_a_cut_off_answer_are_tried_again(name: str) -> None:
    whole = PICTURE[name](png(part().rgb))
    script = [
        RATE_LIMIT[name],
        SERVER_ERROR[name],
        whole._replace(body=whole.body[:400]),  # JSON that ends in the middle
        paints(name),
    ]
    edited, service = edit(name, script)
    assert len(service.asked) == 4
    assert edited.cost_usd == pytest.approx(PAID[name], abs=1e-12)


@both
def test_a_dropped_connection_and_a_damaged_picture_are_tried_again(name: str) -> None:
    whole = PICTURE[name](png(part().rgb))
    damaged = PICTURE[name](png(part().rgb)[:2000])
    edited, service = edit(name, [whole._replace(cut=50), damaged, paints(name)])
    assert len(service.asked) == 3
    # the damaged picture was paid for as well
    assert edited.cost_usd == pytest.approx(2 * PAID[name], abs=1e-12)


@both
def test_a_service_that_keeps_failing_is_an_outage_that_says_how_often(name: str) -> None:
    with Service([SERVER_ERROR[name]]) as service:
        with pytest.raises(RemoteOutageError, match=r"failed in 3 attempts.*HTTP 50.*options attempts, pause_s or timeout_s"):
            editor(name, service.url, attempts=3).edit(part(), "A stain.", SPEC, 1)
        assert len(service.asked) == 3


@both
def test_a_service_that_does_not_answer_in_time_is_an_outage(name: str) -> None:
    go = threading.Event()
    with Service([Reply(b"{}", wait=go)]) as service:
        with pytest.raises(RemoteOutageError, match="no answer in time"):
            editor(name, service.url, attempts=2, timeout_s=0.2).edit(part(), "A stain.", SPEC, 1)
        go.set()


@both
def test_a_service_that_cannot_be_reached_is_an_outage(name: str) -> None:
    with pytest.raises(RemoteOutageError, match=r"no connection|no answer"):
        editor(name, "http://127.0.0.1:9", attempts=2).edit(part(), "A stain.", SPEC, 1)


REFUSALS = {
    "openai": [
        openai_error(
            400,
            "moderation_blocked",
            "Your request was rejected by the safety system. safety_violations=[violence].",
            "image_generation_user_error",
        )
    ],
    "gemini": [
        gemini_words(None, "IMAGE_SAFETY"),
        gemini_words(None, "PROHIBITED_CONTENT"),
        Reply(json.dumps({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 342}}).encode()),
    ],
}


@pytest.mark.parametrize(("name", "reply"), [(name, reply) for name in EDITORS for reply in REFUSALS[name]])
def test_a_refusal_is_told_and_not_repeated(name: str, reply: Reply) -> None:
    with Service([reply]) as service:
        with pytest.raises(BackendError, match=r"refused: .*Try other words"):
            editor(name, service.url).edit(part(), "A stain.", SPEC, 1)
        assert len(service.asked) == 1


def test_words_in_place_of_a_picture_are_tried_again_and_then_told_with_their_cost() -> None:
    with (
        Service([gemini_words("I can only help with text.", "STOP")]) as service,
        pytest.raises(RemoteOutageError, match="without a picture, STOP: I can only help with text") as caught,
    ):
        editor("gemini", service.url, attempts=2).edit(part(), "A stain.", SPEC, 1)
    assert caught.value.cost_usd == pytest.approx(2 * (342 * 0.5 + 21 * 3.0) / 1e6, abs=1e-12)


@pytest.mark.parametrize(
    ("name", "reply", "kind", "said"),
    [
        (
            "openai",
            openai_error(401, "invalid_api_key", f"Incorrect API key provided: {KEY}. You can find your key."),
            BackendUnavailableError,
            "key was refused.*OPENAI_API_KEY",
        ),
        (
            "gemini",
            gemini_error(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key."),
            BackendUnavailableError,
            "key was refused.*GEMINI_API_KEY",
        ),
        (
            "openai",
            openai_error(
                429, "insufficient_quota", "You exceeded your current quota, please check your plan.", "insufficient_quota"
            ),
            BackendUnavailableError,
            "out of credit",
        ),
        ("openai", openai_error(404, "model_not_found", "The model does not exist."), BackendError, "did not take the request"),
        ("gemini", gemini_error(404, "NOT_FOUND", "models/x is not found."), BackendError, "did not take the request"),
    ],
)
def test_what_no_repeating_mends_is_said_at_once_and_without_the_key(
    name: str, reply: Reply, kind: type[Exception], said: str
) -> None:
    with Service([reply]) as service:
        with pytest.raises(kind, match=said) as caught:
            editor(name, service.url).edit(part(), "A stain.", SPEC, 1)
        assert len(service.asked) == 1
    assert KEY not in str(caught.value)


@both
def test_another_picture_is_no_edit_and_is_paid_for(name: str) -> None:
    other = make_photo("surface", 9, 192)[::-1]
    with (
        Service([PICTURE[name](png(np.ascontiguousarray(255 - other)))]) as service,
        pytest.raises(BackendError, match=r"returned another picture: .* % of the photo differ") as caught,
    ):
        editor(name, service.url).edit(part(), "A stain.", SPEC, 1)
    assert caught.value.cost_usd == pytest.approx(PAID[name], abs=1e-12)


@both
def test_the_photo_itself_is_no_edit(name: str) -> None:
    with (
        Service([paints(name, lambda rgb: rgb)]) as service,
        pytest.raises(BackendError, match="changed nothing that can be seen"),
    ):
        editor(name, service.url).edit(part(), "A stain.", SPEC, 1)


@both
def test_without_a_key_one_line_says_which_variable(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    monkeypatch.delenv("GEMINI_API_KEY")
    with pytest.raises(BackendUnavailableError, match=r"needs a key.*Run: export (OPENAI|GEMINI)_API_KEY=\.\.\."):
        editor(name, None)
    with pytest.raises(BackendUnavailableError, match=r"export MY_KEY="):
        editor(name, "http://127.0.0.1:1", api_key_env="MY_KEY")
    assert editor(name, "http://127.0.0.1:1", api_key_env=None).name == name  # a server of one's own may want none


@both
def test_the_usual_key_is_not_sent_to_another_server(name: str) -> None:
    _, service = edit(name, paints(name), api_key_env=None)
    assert KEY not in json.dumps(service.asked[0].headers)


@both
def test_without_a_price_one_line_says_what_to_add(name: str) -> None:
    with pytest.raises(BackendUnavailableError, match=r"price of 'new-model' is not known.*prices: {\"new-model\""):
        editor(name, None, model="new-model")
    assert editor(name, "http://127.0.0.1:1", model="new-model").name == name


@both
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"api_key": KEY}, "unknown option 'api_key'"),
        ({"arguments": {"api_key": KEY}}, "stored with the run"),
        ({"api_key_env": KEY}, "NAME of an environment variable"),
        ({"base_url": "http://me:secret@host/v1"}, "no name or password"),
        ({"prompt_template": "{words}"}, "only {prompt} and {mechanism}"),
    ],
)
def test_a_key_or_a_wrong_option_is_refused(name: str, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        editor(name, None, **options)


def test_a_server_that_sends_links_is_told_how_to_be_asked() -> None:
    body = {"created": 1, "data": [{"url": "https://files.example/picture.png"}]}
    with (
        Service([Reply(json.dumps(body).encode())]) as service,
        pytest.raises(BackendError, match="response_format: b64_json"),
    ):
        editor("openai", service.url, attempts=1).edit(part(), "A stain.", SPEC, 1)


def test_a_jpeg_with_an_orientation_tag_is_turned_as_it_says() -> None:
    from io import BytesIO

    from PIL import Image

    def answer(asked: Asked) -> Reply:
        turned = np.rint(np.rot90(stained(picture_sent(asked)), -1) * 255).astype(np.uint8)
        image, exif, file = Image.fromarray(np.ascontiguousarray(turned)), Image.Exif(), BytesIO()
        exif[274] = 8  # shown turned by 90 degrees counter-clockwise
        image.save(file, "JPEG", quality=97, exif=exif)
        return openai_picture(file.getvalue())

    photo = part()
    edited, _ = edit("openai", answer, photo)
    assert_only_the_stain(edited, photo, least=0.8)


def test_a_compatible_server_without_usage_is_paid_by_the_picture() -> None:
    with Service([lambda asked: openai_picture(png(stained(picture_sent(asked))), usage=False)]) as service:
        prices = {"flat-model": {"per_image": 0.04}}
        options = {"model": "flat-model", "base_url": f"{service.url}/v1", "sizes": ["192x192"]}
        tools = {"image_gen": {"backend": "openai", "options": options}}
        backend = create_backend("image_gen", Settings.model_validate({"tools": tools, "prices": prices}))
        assert backend.edit(part(), "A stain.", SPEC, 1).cost_usd == 0.04


def test_the_helper_finds_the_picture_in_a_request() -> None:
    rgb = part(64).rgb
    data = base64.b64encode(png(rgb)).decode()
    body = json.dumps({"contents": [{"parts": [{"text": "x"}, {"inlineData": {"data": data}}]}]}).encode()
    assert np.abs(picture_sent(Asked("/", {"content-type": "application/json"}, body)) - rgb).max() < 0.01
