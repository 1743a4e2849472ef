"""The viewer as a server: who may ask, what is served, and what it says about traces that are damaged or hostile."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.photos import make_photos
from helpers.trajectories import make_trajectory, store
from helpers.viewer import ask, serving
from starlette.responses import Response
from typer.testing import CliRunner

from anomalyagent.cli import app
from anomalyagent.configs.paths import write_whole
from anomalyagent.configs.schema import Settings
from anomalyagent.errors import ConfigError, TraceError
from anomalyagent.graph import run_index
from anomalyagent.graph.fork_records import ForkRecords
from anomalyagent.graph.review import read_reviews, record_verdict
from anomalyagent.graph.run import Request, synthesize
from anomalyagent.graph.trace import Trajectory, read_trajectory
from anomalyagent.graph.viewer.app import Options
from anomalyagent.graph.viewer.export import export_run
from anomalyagent.graph.viewer.jobs import Job, Jobs
from anomalyagent.graph.viewer.runs import OpenRun
from anomalyagent.graph.viewer.serving import serve
from anomalyagent.graph.viewer.story import RewardTerm
from anomalyagent.graph.viewer.web import page as make_page
from anomalyagent.mcp_tools.imaging.photo import photo_from_array, read_photo, write_photo
from anomalyagent.training.judging import JudgeSettings, make_judge
from anomalyagent.training.rewards import RewardWeights, reward

SCRIPT = "<script>document.title='hacked'</script>"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run with an accepted and a rejected trajectory, and their images."""
    folder = tmp_path / "run"
    for outcome in ("accepted", "rejected"):
        store(folder, make_trajectory(f"{outcome}-00000", outcome, score=4.0 if outcome == "rejected" else 8.0))
    rng = np.random.default_rng(0)
    normal = rng.integers(60, 90, (64, 64, 3)).astype(np.uint8)
    (folder / "images").mkdir()
    write_photo(photo_from_array(normal), folder / "normal.png")
    for number in (2, 3, 4):
        changed = normal.copy()
        changed[10 : 10 + 4 * number, 20:30] = 220
        write_photo(photo_from_array(changed), folder / "images" / f"{number}.png")
    return folder


@pytest.fixture
def address(run: Path, tmp_path: Path) -> Generator[str]:
    with serving([run], tmp_path / "cache") as found:
        yield found


def changed(name: str, **changes: object) -> Trajectory:
    return make_trajectory(name, **changes)  # pyright: ignore[reportArgumentType]


def test_only_names_of_this_machine_are_answered(address: str) -> None:
    port = address.rsplit(":", 1)[1]
    assert ask(address, "/r/run").status == 200
    assert ask(address, "/r/run", headers={"Host": f"localhost:{port}"}).status == 200
    for host in (
        f"evil.example:{port}",
        "127.0.0.1",
        "127.0.0.1:1",
        f"127.0.0.1.evil.example:{port}",
        "",
        f"x@127.0.0.1:{port}",
    ):
        answer = ask(address, "/r/run", headers={"Host": host})
        assert answer.status in (400, 421), host
        assert "accepted-00000" not in answer.text


def test_reading_is_all_that_is_allowed_unless_told_otherwise(run: Path, address: str) -> None:
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    own = {"Origin": address}
    assert ask(address, "/r/run/t/accepted-00000/review", method="POST", headers=own, body="verdict=keep").status == 403
    assert ask(address, "/r/run/t/accepted-00000/fork", method="POST", headers=own, body="at=1&mode=anew").status == 403
    assert ask(address, "/r/run/forks/x", method="POST", headers=own, body="ruling=approve").status == 403
    for path in ("fork", "replay"):
        assert ask(address, f"/r/run/t/accepted-00000/{path}").status == 403
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
        assert ask(address, "/r/run", method=method, headers=own).status == 405
    for page in ("/r/run", "/r/run/t/accepted-00000", "/r/run/t/accepted-00000/export"):
        assert ask(address, page).status == 200
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before


def test_what_is_replaced_within_a_tick_of_the_clock_of_files_is_shown_at_once(run: Path, tmp_path: Path) -> None:
    opened, stands, problems = OpenRun(run, "run", tmp_path / "cache", patience_s=0.0), set[str](), set[str | None]()
    for policy, state in (("first", b'{"schema_version": 9}'), ("later", b'{"schema_version": 9,')):
        write_whole(run / "run.json", state)
        store(run, make_trajectory("a", policy=policy))
        for file in ("run.json", "trajectories/a.json"):
            os.utime(run / file, ns=(1, 1))
        stands.add(opened.stand().version)
        problems.add(opened.state.problem)
        assert opened.open("a").whole.policy == policy
    assert (len(stands), len(problems)) == (2, 2)


def test_a_page_of_a_call_that_was_answered_since_rules_on_no_other(run: Path, tmp_path: Path) -> None:
    waiting = read_trajectory(run / "trajectories" / "accepted-00000.json").turns[1]
    records = ForkRecords(run)
    record = records.claim("accepted-00000", 0, Settings(), ["image_gen"])
    records.store(record.model_copy(update={"waiting": waiting}))
    with serving([run], tmp_path / "cache", Options(allow_fork=True)) as address:
        where = f"/r/run/forks/{record.id}"
        assert f'name="turn" value="{waiting.index}"' in ask(address, where).text
        body = f"ruling=approve&turn={waiting.index - 1}"
        answer = ask(address, where, method="POST", headers={"Origin": address}, body=body)
    assert answer.status == 422
    assert "went on meanwhile" in answer.text
    assert records.get(record.id).waiting == waiting


@pytest.mark.parametrize(("state", "leads_to"), [("done", "/r/run/t/made-fork1"), ("waiting", "/r/run/forks/made-fork1")])
def test_a_fork_that_is_over_before_its_page_is_asked_for_leads_on_all_the_same(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: Any, leads_to: str
) -> None:
    over = Job(1, "run", "made", "Fork of made at turn 1", state, made="made-fork1")

    def get(jobs: Jobs, number: int) -> Job:
        return over

    monkeypatch.setattr(Jobs, "get", get)
    with serving([run], tmp_path / "cache", Options(allow_fork=True)) as address:
        answer = ask(address, "/r/run/jobs/1")
        assert (answer.status, answer.headers["location"].split("?")[0]) == (303, leads_to)
        later = ask(address, "/r/run/jobs/1", headers={"HX-Request": "true"})
        assert (later.status, later.headers["hx-redirect"].split("?")[0]) == (200, leads_to)


def test_nothing_is_called_reviewed_while_trajectories_are_still_being_read(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = threading.Event()

    def read_later(path: Path) -> Trajectory:
        go.wait(240)
        return read_trajectory(path)

    monkeypatch.setattr(run_index, "read_trajectory", read_later)
    options = Options(allow_review=True)
    with serving([run], tmp_path / "cache", options, patience_s=0) as address, ThreadPoolExecutor(1) as thread:
        asked = thread.submit(ask, address, "/r/run/review")
        assert "Reading the trajectories: 0 of" in ask(address, "/r/run").text
        go.set()
        answer = asked.result()
    assert (answer.status, "/t/accepted-00000" in answer.headers.get("location", "")) == (303, True)


def test_what_changes_while_a_page_is_made_is_shown_by_its_next_look(
    run: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def page_late(*given: Any, **values: Any) -> Response:
        record_verdict(run, "accepted-00000", "keep", "")  # after the verdicts were read
        return make_page(*given, **values)

    monkeypatch.setattr("anomalyagent.graph.viewer.app.page", page_late)
    first = ask(address, "/r/run").text
    monkeypatch.undo()
    assert 'class="badge verdict-keep"' not in first
    since = re.search(r'name="since" value="([^"]+)"', first)
    assert since is not None
    second = ask(address, f"/r/run?since={since[1]}")
    assert (second.status, 'class="badge verdict-keep"' in second.text) == (200, True)
    since = re.search(r'name="since" value="([^"]+)"', second.text)
    assert since is not None
    assert ask(address, f"/r/run?since={since[1]}").status == 204


def test_a_verdict_is_taken_from_the_viewers_own_pages_only(run: Path, tmp_path: Path) -> None:
    with serving([run], tmp_path / "cache", Options(allow_review=True)) as address:
        where = "/r/run/t/accepted-00000/review"
        for origin in (
            None,
            "null",
            "http://evil.example",
            address.replace("127.0.0.1", "localhost"),
            f"{address}0",
            "https" + address[4:],
        ):
            headers = {} if origin is None else {"Origin": origin}
            assert ask(address, where, method="POST", headers=headers, body="verdict=drop").status == 403, origin
        assert read_reviews(run) == {}
        own = {"Origin": address}
        assert ask(address, where, method="POST", headers=own, body="verdict=drop&note=blurred").status == 303
        assert (read_reviews(run)["accepted-00000"].verdict, read_reviews(run)["accepted-00000"].note) == ("drop", "blurred")
        assert ask(address, where, method="POST", headers=own, body="verdict=burn").status == 400
        assert ask(address, "/r/run/t/nobody/review", method="POST", headers=own, body="verdict=keep").status == 404
        assert ask(address, where, method="POST", headers=own, body="note=" + "x" * 300_000).status == 413
        assert ask(address, where, method="POST", headers={**own, "Transfer-Encoding": "chunked"}).status == 413


def test_every_answer_carries_the_headers_that_keep_scripts_and_frames_out(address: str) -> None:
    for path in ("/r/run", "/r/run/t/accepted-00000", "/r/run/t/accepted-00000/image/2", "/nothing", "/static/viewer.js"):
        headers = ask(address, path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize(
    "path",
    [
        "/r/run/t/../../../secret",
        "/r/run/t/..%2f..%2fsecret",
        "/r/run/t/%2e%2e%2f%2e%2e%2fsecret/image/1",
        "/r/run/t/..%252f..%252fsecret",
        "/r/run/t/..\\..\\secret",
        "/r/run/t/%00/image/1",
        "/r/run/t/.hidden",
        "/r/..%2f/t/secret",
        "/static/../app.py",
        "/static/..%2fapp.py",
        "/static/%2e%2e/app.py",
        "//etc/passwd",
        "/r/run/t/linked",
    ],
)
def test_no_address_leads_out_of_the_run(run: Path, tmp_path: Path, path: str) -> None:
    secret = store(tmp_path / "elsewhere", changed("secret", reason="TOP SECRET"))
    (tmp_path / "secret.json").write_bytes(secret.read_bytes())
    (run / "trajectories" / "linked.json").symlink_to(secret)
    (run / "trajectories" / ".hidden.json").write_bytes(secret.read_bytes())
    with serving([run], tmp_path / "cache") as address:
        answer = ask(address, path)
        assert answer.status in (400, 404)
        assert "TOP SECRET" not in answer.text
        assert "def make_app" not in answer.text


@pytest.mark.parametrize(
    "ref",
    [
        "../outside.png",
        "{tmp}/outside.png",
        "images/link.png",
        "folder/outside.png",
        "..%2foutside.png",
        "images/page.html",
        "images",
    ],
)
def test_an_image_outside_the_run_or_no_image_is_never_served(run: Path, tmp_path: Path, ref: str) -> None:
    write_photo(photo_from_array(np.full((64, 64, 3), 77, np.uint8)), tmp_path / "outside.png")
    (run / "images" / "link.png").symlink_to(tmp_path / "outside.png")
    (run / "folder").symlink_to(tmp_path)
    (run / "images" / "page.html").write_text(SCRIPT)
    trajectory = make_trajectory("hostile")
    images = [image.model_copy(update={"ref": ref.format(tmp=tmp_path)}) for image in trajectory.images]
    store(run, trajectory.model_copy(update={"images": images, "final_image": ref.format(tmp=tmp_path)}))
    with serving([run], tmp_path / "cache") as address:
        assert ask(address, "/r/run").status == 200
        for what in ("image/1", "image/2", "changed/2", "thumb/whole", "thumb/close"):
            answer = ask(address, f"/r/run/t/hostile/{what}")
            assert (answer.status, answer.headers["content-type"].split(";")[0]) == (404, "image/svg+xml")
        page = ask(address, "/r/run/t/hostile")
        assert page.status == 200
        assert "cannot be shown" in page.text


def test_scripts_in_prompts_names_and_findings_are_shown_as_text(run: Path, tmp_path: Path) -> None:
    nasty = f"\"'>{SCRIPT}<img src=x onerror=alert(1)>"
    raw = json.loads((run / "trajectories" / "rejected-00000.json").read_text())
    text = json.dumps(raw)
    for told in ("too_faint", "hardly visible.", "a scratch", "metal nut", "rejected for a test.", '"t"'):
        text = text.replace(
            json.dumps(told)[1:-1] if told != '"t"' else told, json.dumps(nasty)[1:-1] if told != '"t"' else json.dumps(nasty)
        )
    name = "x<script>alert(1)<|script>&'\""
    (run / "trajectories" / f"{name}.json").write_text(text)
    with serving([run], tmp_path / "cache", Options(allow_review=True)) as address:
        listed = ask(address, "/r/run").text
        assert "&lt;script&gt;" in listed
        story = ask(address, "/r/run/t/x%3Cscript%3Ealert(1)%3C%7Cscript%3E%26'%22")
        pages = [listed, story.text, ask(address, "/r/run/t/" + "x%3Cscript%3Ealert(1)%3C%7Cscript%3E%26'%22/export").text]
        pages.append(ask(address, "/r/run/compare?a=accepted-00000&b=x%3Cscript%3Ealert(1)%3C%7Cscript%3E%26'%22").text)
        assert story.status == 200
    export_run(run, tmp_path / "page.html")
    pages.append((tmp_path / "page.html").read_text())
    for page in pages:
        assert "<script>alert" not in page
        assert "<script>document.title" not in page
        assert "<img src=x" not in page


def test_damaged_files_are_rows_and_pages_that_say_why(run: Path, tmp_path: Path) -> None:
    folder = run / "trajectories"
    whole = (folder / "accepted-00000.json").read_text()
    (folder / "cut.json").write_text(whole[:-50])
    (folder / "future.json").write_text(whole.replace('"schema_version": 1', '"schema_version": 7'))
    (folder / "deep.json").write_text(
        whole.replace('"structured": {', '"structured": {"x": ' + "[" * 400 + "]" * 400 + ", ", 1)
    )
    (run / "run.json").write_text('{"run_version": 99}')
    with serving([run], tmp_path / "cache") as address:
        listed = ask(address, "/r/run?outcome=unreadable").text
        assert "cut off" in listed
        assert "schema_version 7" in listed
        assert "no run of version" in listed
        for name, why in (("cut", "cut off"), ("future", "schema_version 7")):
            page = ask(address, f"/r/run/t/{name}")
            assert (page.status, why in page.text) == (422, True)
        assert ask(address, "/r/run/t/deep").status in (200, 422)
        assert str(tmp_path) not in listed


def test_an_observation_of_50_mb_is_cut_on_its_page_and_can_be_had_whole(run: Path, tmp_path: Path) -> None:
    trajectory = make_trajectory("huge")
    huge = "A" * (50 * 2**20)
    turn = trajectory.turns[1]
    assert turn.observation is not None
    turns = [*trajectory.turns]
    turns[1] = turn.model_copy(update={"observation": turn.observation.model_copy(update={"text": huge})})
    store(run, trajectory.model_copy(update={"turns": turns}))
    with serving([run], tmp_path / "cache") as address:
        page = ask(address, "/r/run/t/huge")
        assert page.status == 200
        assert len(page.body) < 300_000
        assert "more characters" in page.text
        whole = ask(address, "/r/run/t/huge/text/1/observation")
        assert (whole.headers["content-type"], len(whole.body)) == ("text/plain; charset=utf-8", len(huge))


def test_photos_of_16_bits_are_shown_as_a_person_would_see_them(run: Path, tmp_path: Path) -> None:
    dark = np.random.default_rng(0).integers(1000, 1400, (64, 64)).astype(np.uint16)
    write_photo(photo_from_array(dark), run / "normal.png")
    write_photo(photo_from_array(dark), run / "images" / "2.png")
    with serving([run], tmp_path / "cache") as address:
        data = ask(address, "/r/run/t/accepted-00000/image/2").body
    (tmp_path / "shown.png").write_bytes(data)
    shown = read_photo(tmp_path / "shown.png").native
    assert shown.dtype == np.uint8
    assert np.abs(shown.astype(float) - 255 * read_photo(run / "normal.png").rgb).max() <= 0.5 + 1e-3


def test_what_is_no_run_and_a_port_in_use_are_told(tmp_path: Path, run: Path) -> None:
    with pytest.raises(TraceError, match="holds no run"):
        serve([tmp_path], Options(), open_browser=False)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigError, match="port"):
            serve([run], Options(), port=int(taken.getsockname()[1]), open_browser=False)


def test_the_exported_page_is_alone_and_lets_nothing_in(run: Path, tmp_path: Path) -> None:
    before = sorted(run.iterdir())
    assert export_run(run, tmp_path / "page.html") == ["accepted-00000", "rejected-00000"]
    text = (tmp_path / "page.html").read_text()
    assert 'http-equiv="Content-Security-Policy"' in text
    assert "unsafe" not in text.split("Content-Security-Policy")[1][:300]
    assert not [piece for piece in text.split('src="')[1:] if not piece.startswith(("data:", "'"))]
    assert sorted(run.iterdir()) == before


def test_the_command_says_its_address_serves_and_ends_on_interrupt(run: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "anomalyagent", "trace", "view", str(run), "--no-browser"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "XDG_CACHE_HOME": str(tmp_path)})
    assert process.stdout is not None
    try:
        address = process.stdout.readline().strip().rstrip("/")
        assert ask(address, "/r/run").status == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(240) == 0
    finally:
        process.kill()
        process.stdout.close()


def test_terms_of_the_training_reward_stand_beside_their_turns(run: Path, tmp_path: Path) -> None:
    def rewards(trajectory: Trajectory) -> list[RewardTerm]:
        return [RewardTerm(None, "total", 0.625), RewardTerm(len(trajectory.turns) - 1, "task", 0.8)]

    with serving([run], tmp_path / "cache", Options(rewards=rewards)) as address:
        page = ask(address, "/r/run/t/accepted-00000").text
    assert "0.625" in page
    assert "task +0.800" in page


def test_the_export_command_tells_what_was_asked_for_with_the_terms_of_the_reward(tmp_path: Path) -> None:
    out, page = tmp_path / "rings", tmp_path / "page.html"
    photos = make_photos(tmp_path / "photos", "part", count=2, size=96)
    synthesize(Request([photos], "metal ring", ["scratch", "dent"], 1, out), Settings())
    first = next(iter(sorted((out / "trajectories").glob("*.json")))).stem
    done = CliRunner().invoke(app, ["trace", "export", f"{out}/{first}", "--out", str(page), "--rewards"])
    assert (done.exit_code, "1 trajectory told" in done.stdout) == (0, True)
    trajectory = read_trajectory(out / "trajectories" / f"{first}.json")
    judged = make_judge(JudgeSettings(), Settings()).scores(trajectory, out)
    text = page.read_text()
    assert f"{reward(trajectory, judged, RewardWeights()).total:.3f}" in text
    assert text.count('<article class="story"') == 1
    assert '<table class="rows"' not in text
    with pytest.raises(TraceError, match="no trajectory 'nobody'"):
        export_run(out, page, [first, "nobody"])
    missing = CliRunner().invoke(app, ["trace", "export", f"{out}/nobody", "--out", str(page)])
    assert "there is no trajectory 'nobody'" in str(missing.exception)
