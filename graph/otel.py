"""Trajectories as OpenTelemetry spans, after the semantic conventions for generative AI.

    invoke_agent anomalyagent                 the trajectory: task, outcome, scores, cost; a fork links to its parent
      execute_tool image_gen                  a turn: thought, arguments, what came back; scores as gen_ai.evaluation.result
      chat expert                             a turn without a call: the answer, or text that was no action

Ids follow from run and trajectory, so sending a trajectory again makes no second one. Beside the gen_ai attributes stand the
few of OpenInference by which Phoenix tells kinds of spans and shows what went in and out. Images are given by reference.

Source: https://opentelemetry.io/docs/specs/semconv/gen-ai/ (development), https://github.com/Arize-ai/openinference
"""

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, NamedTuple

from google.protobuf.json_format import MessageToDict
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.status import Status, StatusCode

from anomalyagent.errors import BackendUnavailableError, RunError, TraceError
from anomalyagent.graph.review import Review
from anomalyagent.graph.trace import Answer, Malformed, ToolCall, Trajectory, Turn

__all__ = ["Sent", "send_spans", "trajectory_spans", "write_otlp_json"]

AGENT = "anomalyagent"
MOST_CHARACTERS = 100_000
"""Of one attribute; receivers refuse larger messages."""
BATCH = 64
"""Trajectories sent in one request."""
SEND_TIMEOUT_S = 30.0


class Sent(NamedTuple):
    """How many trajectories and spans were handed over, and which ones hold no turn to show."""

    trajectories: int
    spans: int
    without_turns: tuple[str, ...]


def trajectory_spans(trajectory: Trajectory, run_dir: Path, review: Review | None = None) -> list[ReadableSpan]:
    """The spans of one trajectory, its own first; none when it has no turn.

    Args:
        run_dir: the run's folder; its name is the project that receivers file the spans under.
        review: what a person said about it.
    Raises:
        TraceError: a turn's time cannot be read.
    """
    if not trajectory.turns:
        return []
    times = _moved([_times(trajectory, turn) for turn in trajectory.turns], trajectory.forked_at or 0)
    resource = Resource(
        {
            "service.name": AGENT,
            "service.version": trajectory.versions.get(AGENT, ""),
            "openinference.project.name": run_dir.absolute().name,
        }
    )
    root = _context(trajectory, trajectory.id, "root")
    parent = trajectory.parent_id
    failed = trajectory.outcome == "failed"
    spans = [
        ReadableSpan(
            f"invoke_agent {AGENT}",
            context=root,
            resource=resource,
            attributes=_cut(_task_attributes(trajectory, review)),
            links=[Link(_context(trajectory, parent, "root"), {"anomalyagent.link": "parent"})] if parent else [],
            status=Status(StatusCode.ERROR, trajectory.reason) if failed else Status(StatusCode.OK),
            start_time=min(start for start, _ in times),
            end_time=max(end for _, end in times),
            instrumentation_scope=_SCOPE,
        )
    ]
    for turn, (start, end) in zip(trajectory.turns, times, strict=True):
        error = turn.observation.error if turn.observation else None
        spans.append(
            ReadableSpan(
                _name(trajectory, turn),
                context=_context(trajectory, trajectory.id, f"turn {turn.index}"),
                parent=root,
                resource=resource,
                attributes=_cut(_turn_attributes(trajectory, turn)),
                events=_evaluations(turn, end),
                kind=SpanKind.INTERNAL,
                status=Status(StatusCode.ERROR, error[:1000]) if error else Status(StatusCode.OK),
                start_time=start,
                end_time=end,
                instrumentation_scope=_SCOPE,
            )
        )
    return spans


def write_otlp_json(
    trajectories: Iterable[Trajectory], run_dir: Path, out: IO[str], reviews: Mapping[str, Review] | None = None
) -> Sent:
    """Write one OTLP/JSON request a line, as the OpenTelemetry Collector's file receiver reads them.

    Raises:
        TraceError: a turn's time cannot be read.
    """
    count = _Count()
    for spans in _batches(trajectories, run_dir, reviews or {}, count):
        message = MessageToDict(encode_spans(spans), use_integers_for_enums=True)  # as OTLP/JSON wants them
        _write_ids_as_hex(message)
        out.write(json.dumps(message) + "\n")
    return count.sent()


def send_spans(
    trajectories: Iterable[Trajectory],
    run_dir: Path,
    endpoint: str,
    headers: Mapping[str, str] | None = None,
    reviews: Mapping[str, Review] | None = None,
) -> Sent:
    """Send trajectories to a receiver over OTLP/HTTP: Phoenix, Langfuse, Jaeger, an OpenTelemetry Collector.

    Args:
        endpoint: its address, e.g. `http://127.0.0.1:6006`; `/v1/traces` is added where it is missing.
    Raises:
        RunError: the receiver cannot be reached or refuses.
        TraceError: a turn's time cannot be read.
        BackendUnavailableError: the exporter is not installed.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import SpanExportResult
    except ModuleNotFoundError as error:
        raise BackendUnavailableError(
            f"sending traces needs the Python module '{error.name}', which is not installed. "
            "Run: pip install 'anomalyagent[otel]'"
        ) from error
    url = endpoint if endpoint.rstrip("/").endswith("/v1/traces") else f"{endpoint.rstrip('/')}/v1/traces"
    if not url.startswith(("http://", "https://")):
        raise RunError(f"an endpoint is an http(s) address, e.g. http://127.0.0.1:6006; received {endpoint!r}.")
    exporter = OTLPSpanExporter(url, headers=dict(headers or {}), timeout=SEND_TIMEOUT_S)
    count = _Count()
    try:
        for spans in _batches(trajectories, run_dir, reviews or {}, count):
            if exporter.export(spans) is not SpanExportResult.SUCCESS:
                raise RunError(f"{url} did not take the traces. Is the receiver running there, and does it need --header?")
    finally:
        exporter.shutdown()
    return count.sent()


class _Count:
    def __init__(self) -> None:
        self.trajectories, self.spans, self.without = 0, 0, list[str]()

    def sent(self) -> Sent:
        return Sent(self.trajectories, self.spans, tuple(self.without))


_SCOPE = InstrumentationScope(AGENT)


def _batches(
    trajectories: Iterable[Trajectory], run_dir: Path, reviews: Mapping[str, Review], count: _Count
) -> Iterator[list[ReadableSpan]]:
    batch: list[ReadableSpan] = []
    for number, one in enumerate(trajectories, 1):
        spans = trajectory_spans(one, run_dir, reviews.get(one.id))
        count.trajectories += bool(spans)
        count.spans += len(spans)
        if not spans:
            count.without.append(one.id)
        batch += spans
        if number % BATCH == 0 and batch:
            yield batch
            batch = []
    if batch:
        yield batch


def _task_attributes(one: Trajectory, review: Review | None) -> dict[str, Any]:
    task = one.task
    return {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.provider.name": AGENT,
        "gen_ai.agent.name": AGENT,
        "gen_ai.agent.id": one.policy,
        "gen_ai.conversation.id": one.id,
        "gen_ai.request.seed": task.seed,
        "gen_ai.input.messages": _message("user", f"{task.anomaly_type} on {task.item_name}"),
        "gen_ai.output.messages": _message("assistant", one.reason),
        "openinference.span.kind": "AGENT",
        "session.id": one.run_id,
        "input.value": f"{task.anomaly_type} on {task.item_name}",
        "output.value": one.reason,
        "anomalyagent.run_id": one.run_id,
        "anomalyagent.parent_id": one.parent_id,
        "anomalyagent.edits": [f"{edit.turn}: {edit.path}" for edit in one.edits],
        "anomalyagent.item": task.item_name,
        "anomalyagent.anomaly_type": task.anomaly_type,
        "anomalyagent.outcome": one.outcome,
        "anomalyagent.rounds": one.rounds,
        "anomalyagent.score": one.score,
        "anomalyagent.location_score": one.location_score,
        "anomalyagent.quality_score": one.quality_score,
        "anomalyagent.cost_usd": one.cost_usd,
        "anomalyagent.normal_image": task.normal_image,
        "anomalyagent.final_image": one.final_image,
        "anomalyagent.mask": one.mask,
        "anomalyagent.review.verdict": review.verdict if review else None,
        "anomalyagent.review.note": review.note if review else None,
    }


def _turn_attributes(one: Trajectory, turn: Turn) -> dict[str, Any]:
    action, seen = turn.action, turn.observation
    attributes: dict[str, Any] = {
        "gen_ai.provider.name": AGENT,
        "gen_ai.agent.name": AGENT,
        "gen_ai.conversation.id": one.id,
        "anomalyagent.turn": turn.index,
        "anomalyagent.taken_over": True if turn.index < (one.forked_at or 0) else None,
        "anomalyagent.thought": turn.thought,
        "anomalyagent.legal": turn.legal,
        "anomalyagent.retries": turn.retries,
        "anomalyagent.cost_usd": turn.cost_usd,
        "output.value": seen.text if seen else "",
        "error.type": seen.error.partition(":")[0][:80] if seen and seen.error else None,
    }
    if isinstance(action, ToolCall):
        arguments = json.dumps(action.arguments, ensure_ascii=False, sort_keys=True)
        result = json.dumps(seen.structured, ensure_ascii=False, sort_keys=True) if seen and seen.structured else None
        return attributes | {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": action.name,
            "gen_ai.tool.type": "function",
            "gen_ai.tool.call.id": f"{one.id}/{turn.index}",
            "gen_ai.tool.call.arguments": arguments,
            "gen_ai.tool.call.result": result or (seen.text if seen else None),
            "openinference.span.kind": "TOOL",
            "tool.name": action.name,
            "input.value": arguments,
            "input.mime_type": "application/json",
            "anomalyagent.backend": (seen.structured or {}).get("backend") if seen else None,
            "anomalyagent.images": [image.ref for image in seen.images] if seen else [],
        }
    said = action.raw if isinstance(action, Malformed) else action.synthesis_logic
    return attributes | {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": one.policy,
        "gen_ai.output.messages": _message("assistant", f"{turn.thought}\n{said}".strip()),
        "openinference.span.kind": "LLM" if isinstance(action, Malformed) else "CHAIN",
        "input.value": turn.thought,
        "output.value": f"{action.status}: {said}" if isinstance(action, Answer) else said,
    }


def _evaluations(turn: Turn, end: int) -> list[Event]:
    """Scores of quality_eval as evaluation results."""
    result = turn.observation.structured if turn.observation else None
    if not (isinstance(turn.action, ToolCall) and turn.action.name == "quality_eval" and result):
        return []
    label = "passed" if result.get("passed") else "not passed"
    events: list[Event] = []
    for name in ("score", "location_score", "quality_score"):
        if isinstance(result.get(name), int | float):
            told = {
                "gen_ai.evaluation.name": name,
                "gen_ai.evaluation.score.value": float(result[name]),
                "gen_ai.evaluation.score.label": label,
                "gen_ai.evaluation.explanation": str(result.get("review", ""))[:MOST_CHARACTERS],
            }
            events.append(Event("gen_ai.evaluation.result", told, end))
    return events


def _name(one: Trajectory, turn: Turn) -> str:
    return f"execute_tool {turn.action.name[:80]}" if isinstance(turn.action, ToolCall) else f"chat {one.policy}"


def _times(one: Trajectory, turn: Turn) -> tuple[int, int]:
    """Start and end in nanoseconds."""
    try:
        began = datetime.fromisoformat(turn.started_at)
        began = began.replace(tzinfo=UTC) if began.tzinfo is None else began
        start = int(began.timestamp() * 1_000_000) * 1000
        return start, start + max(0, int(turn.seconds * 1e9))
    except (ValueError, OverflowError) as error:
        raise TraceError(f"turn {turn.index} of {one.id!r} has no time that can be read: {turn.started_at!r}.") from error


def _moved(times: list[tuple[int, int]], taken_over: int) -> list[tuple[int, int]]:
    """The turns that a fork took over end where its own ones begin, so that the days in between do not count."""
    before, own = times[:taken_over], times[taken_over:]
    if not before or not own:
        return times
    shift = own[0][0] - max(end for _, end in before)
    return [(start + shift, end + shift) for start, end in before] + own


def _context(one: Trajectory, name: str, part: str) -> SpanContext:
    trace = hashlib.sha256(f"{one.run_id}/{name}".encode("utf-8", "surrogatepass")).digest()
    span = hashlib.sha256(trace + part.encode()).digest()
    return SpanContext(int.from_bytes(trace[:16]), int.from_bytes(span[:8]), False, TraceFlags(TraceFlags.SAMPLED))


def _message(role: str, text: str) -> str:
    """One message in the form that the conventions give for `gen_ai.input.messages`."""
    part = {"type": "text", "content": text[:MOST_CHARACTERS]}
    return json.dumps([{"role": role, "parts": [part], **({} if role == "user" else {"finish_reason": "stop"})}])


def _cut(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """What is there, each value short enough to be sent."""
    kept: dict[str, Any] = {}
    for key, value in attributes.items():
        if isinstance(value, str) and len(value) > MOST_CHARACTERS:
            kept[key] = f"{value[:MOST_CHARACTERS]} ... ({len(value)} characters)"
        elif value is not None and value != []:
            kept[key] = value
    return kept


def _write_ids_as_hex(tree: Any) -> None:
    """OTLP/JSON writes trace and span ids as hex digits, unlike protobuf's own JSON form."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            if key in ("traceId", "spanId", "parentSpanId") and isinstance(value, str):
                tree[key] = base64.b64decode(value).hex()
            else:
                _write_ids_as_hex(value)
    elif isinstance(tree, Sequence) and not isinstance(tree, str):
        for value in tree:
            _write_ids_as_hex(value)
