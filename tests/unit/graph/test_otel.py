"""Trajectories as OpenTelemetry spans."""

import gzip
import io
import json
import threading
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from helpers.conversations import Conversation, answer, trajectory_of
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.trace.status import StatusCode

from anomalyagent.errors import RunError, TraceError
from anomalyagent.graph.otel import send_spans, trajectory_spans, write_otlp_json
from anomalyagent.graph.review import Review
from anomalyagent.graph.trace import Trajectory, write_trajectory

RUN = Path("runs/nuts")


def passing() -> Trajectory:
    return trajectory_of(Conversation().prompt().image().judge(8.0).mask().act(answer("success", 2, True)))


def test_a_trajectory_is_an_agent_span_with_one_span_for_each_turn() -> None:
    review = Review(trajectory="scratch-00000", verdict="keep", note="fine", at="2026-01-01")
    root, *turns = trajectory_spans(passing(), RUN, review)
    assert root.name == "invoke_agent anomalyagent"
    assert root.attributes is not None
    assert root.attributes["gen_ai.operation.name"] == "invoke_agent"
    assert root.attributes["gen_ai.conversation.id"] == "scratch-00000"
    assert root.attributes["anomalyagent.review.verdict"] == "keep"
    assert root.resource.attributes["openinference.project.name"] == "nuts"
    tools = ["prompt_gen", "image_gen", "quality_eval", "mask_gen"]
    assert [turn.name for turn in turns] == [*(f"execute_tool {name}" for name in tools), "chat expert"]
    assert all(turn.parent == root.context for turn in turns)
    call = turns[1].attributes or {}
    assert json.loads(str(call["gen_ai.tool.call.arguments"]))["prompt"] == "a scratch"
    assert json.loads(str(call["gen_ai.tool.call.result"]))["image"] == "images/2.png"
    scores = {event.attributes["gen_ai.evaluation.name"]: event.attributes for event in turns[2].events if event.attributes}
    assert scores["score"]["gen_ai.evaluation.score.value"] == 8.0
    assert scores["score"]["gen_ai.evaluation.score.label"] == "passed"
    assert all((span.end_time or 0) >= (span.start_time or 0) > 0 for span in [root, *turns])


def test_the_same_trajectory_has_the_same_ids_again_and_a_fork_links_to_its_parent() -> None:
    one, again = trajectory_spans(passing(), RUN), trajectory_spans(passing(), RUN)
    assert [span.context for span in one] == [span.context for span in again]
    assert len({span.context.span_id for span in one if span.context}) == len(one)
    fork = trajectory_spans(passing().model_copy(update={"id": "f", "parent_id": "scratch-00000"}), RUN)
    assert fork[0].links[0].context == one[0].context
    assert fork[0].context != one[0].context


def test_the_turns_that_a_fork_took_over_end_where_its_own_begin() -> None:
    fork = passing().model_copy(update={"id": "f", "parent_id": "scratch-00000", "forked_at": 2})
    for turn in fork.turns[2:]:
        turn.started_at = "2026-03-01T00:00:00.000+00:00"
    root, first, second, third, *_ = trajectory_spans(fork, RUN)
    assert second.end_time == third.start_time
    assert (root.end_time or 0) - (root.start_time or 0) < 1e9
    assert [(span.attributes or {}).get("anomalyagent.taken_over") for span in (first, second, third)] == [True, True, None]


def test_failures_are_errors_and_long_texts_are_cut() -> None:
    talk = Conversation().prompt().failing(Conversation().prompt().turns[0].action)  # type: ignore[arg-type]
    assert talk.turns[0].observation is not None
    talk.turns[0].observation.text = "x" * 1_000_000
    root, first, second = trajectory_spans(trajectory_of(talk, outcome="failed", reason="broken"), RUN)
    assert root.status.status_code is StatusCode.ERROR
    assert second.status.status_code is StatusCode.ERROR
    assert (second.attributes or {})["error.type"] == "refused"
    assert len(str((first.attributes or {})["output.value"])) < 110_000


def test_a_trajectory_without_turns_is_counted_and_a_time_that_cannot_be_read_is_an_error() -> None:
    sent = write_otlp_json([trajectory_of(Conversation(), id="empty"), passing()], RUN, io.StringIO())
    assert (sent.trajectories, sent.spans, sent.without_turns) == (1, 6, ("empty",))
    broken = passing()
    broken.turns[0].started_at = "yesterday"
    with pytest.raises(TraceError, match="'yesterday'"):
        trajectory_spans(broken, RUN)


def test_a_file_of_otlp_json_has_hex_ids_and_numbers_for_kinds() -> None:
    out = io.StringIO()
    write_otlp_json([passing()], RUN, out)
    spans = json.loads(out.getvalue())["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert all(len(bytes.fromhex(span["traceId"])) == 16 and len(bytes.fromhex(span["spanId"])) == 8 for span in spans)
    assert {span["parentSpanId"] for span in spans[1:]} == {spans[0]["spanId"]}
    assert spans[0]["kind"] == 1


class _Receiver(BaseHTTPRequestHandler):
    got: list[tuple[str, dict[str, str], ExportTraceServiceRequest]] = []
    status = 200

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        request = ExportTraceServiceRequest()
        request.ParseFromString(body)
        self.got.append((self.path, dict(self.headers), request))
        self.send_response(self.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def receiver() -> Generator[str]:
    _Receiver.got, _Receiver.status = [], 200
    server = HTTPServer(("127.0.0.1", 0), _Receiver)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_spans_are_sent_over_http_with_headers(receiver: str, tmp_path: Path) -> None:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
    write_trajectory(passing(), tmp_path / "trajectories" / "a.json")
    sent = send_spans([passing()], tmp_path, receiver, {"Authorization": "Basic x"})
    assert (sent.trajectories, sent.spans) == (1, 6)
    path, headers, request = _Receiver.got[0]
    assert path == "/v1/traces"
    assert {key.lower(): value for key, value in headers.items()}["authorization"] == "Basic x"
    assert len(request.resource_spans[0].scope_spans[0].spans) == 6


def test_a_receiver_that_refuses_or_an_address_that_is_none_is_an_error(receiver: str, tmp_path: Path) -> None:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
    _Receiver.status = 401
    with pytest.raises(RunError, match="did not take the traces"):
        send_spans([passing()], tmp_path, receiver)
    with pytest.raises(RunError, match="http"):
        send_spans([passing()], tmp_path, "file:///etc")
