"""Sends malformed calls to real servers over stdio and HTTP, and says what went wrong.

None may crash or hang the server, bring a traceback or anything from outside the workspace to the client, be answered by a
fault of a tool, or touch a file outside the workspace. Every request with an id is answered, and good calls in between are
answered right.
"""

import hashlib
import http.client
import json
import os
import queue
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import zlib
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import IO, NamedTuple

import psutil
from helpers.malformed import OUTSIDE_WORD, Malformed, malformed_messages
from helpers.raw_mcp import HELLO, environment
from helpers.workspaces import make_workspace

__all__ = ["Outcome", "fuzz"]

SERVE = [sys.executable, "-m", "anomalyagent", "mcp", "serve", "all"]
BATCH = 50
PATIENCE_S = 240.0
NEVER = ("Traceback (most recent", "failed unexpectedly", "site-packages", OUTSIDE_WORD, "root:x:0")
NEVER_LOGGED = ("Traceback (most recent", ", raised at:", OUTSIDE_WORD)
"""The second is how the log of a server shows an exception that nobody foresaw."""
GOOD_CALL = {"name": "mask_gen", "arguments": {"normal_image": "part.png", "anomaly_image": "part.png"}}
MOST_ANSWER_BYTES = 2**20


class Outcome(NamedTuple):
    """How one transport fared."""

    transport: str
    sent: int
    problems: list[str]
    seconds: float
    grown_mb: float

    def line(self) -> str:
        said = "; ".join(self.problems[:5]) or "nothing wrong"
        cost = f"{self.seconds:.0f} s, memory {self.grown_mb:+.0f} MB in the second half"
        return f"{self.transport}: {self.sent} calls in {cost}: {said}"


def fuzz(seed: int, count: int) -> list[Outcome]:
    """Half of the calls over each transport."""
    with tempfile.TemporaryDirectory() as folder:
        root = make_trap(Path(folder))
        before = fingerprint(Path(folder), root)
        options = ["--workspace", str(root), "--set", f"knowledge.cache_dir={folder}/work/cache"]
        halves = (count + 1) // 2, count // 2
        outcomes = [over_stdio(options, seed, halves[0]), over_http(options, seed + 1, halves[1])]
        if fingerprint(Path(folder), root) != before:
            outcomes[0].problems.append("files outside the workspace were touched")
    return outcomes


def make_trap(folder: Path) -> Path:
    """A workspace with what leads out of it, and with files that are not what they seem."""
    make_workspace(folder, ("outside.png",))
    (folder / "outside.txt").write_text(OUTSIDE_WORD)
    root = make_workspace(folder / "work", size=64).root
    (root / "link.png").symlink_to(folder / "outside.png")
    (root / "linked").symlink_to(folder)
    (root / "loop.png").symlink_to(root / "loop.png")
    (root / "notes.txt").write_text("not an image")
    (root / "cut.png").write_bytes((root / "part.png").read_bytes()[:200])
    (root / "bomb.png").write_bytes(png_bomb(60_000))
    if hasattr(os, "mkfifo"):
        os.mkfifo(root / "pipe.png")
    return root


def png_bomb(side: int) -> bytes:
    """A small PNG file of `side` x `side` pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compressobj(9)
    packed = b"".join(rows.compress(bytes(side // 8 + 1)) for _ in range(side)) + rows.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def fingerprint(folder: Path, root: Path) -> str:
    """Names, contents and times of everything in `folder` but `root`."""
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if not path.is_relative_to(root) and path.is_file():
            found.update(f"{path} {path.stat().st_mtime_ns}".encode() + path.read_bytes())
    return found.hexdigest()


def over_stdio(options: Sequence[str], seed: int, count: int) -> Outcome:
    """Batches of lines, each followed by a good call; answers are read by a thread of their own."""
    begun, problems = time.perf_counter(), list[str]()
    command = [*SERVE, *options]
    with (
        tempfile.TemporaryFile("w+") as log,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=environment()) as server,
    ):
        assert server.stdin is not None
        assert server.stdout is not None
        lines: queue.Queue[bytes] = queue.Queue()
        stdout = server.stdout
        threading.Thread(target=lambda: [lines.put(line) for line in stdout], daemon=True).start()

        def exchange(messages: Iterable[Malformed], probe: str) -> None:
            assert server.stdin is not None
            waited: set[str | int] = {probe}
            for message in messages:
                waited |= awaited(message)
                server.stdin.write(encoded(message) + b"\n")
            good = {"jsonrpc": "2.0", "id": probe, "method": "tools/call", "params": GOOD_CALL}
            server.stdin.write(encoded(good) + b"\n")
            server.stdin.flush()
            deadline = time.monotonic() + PATIENCE_S
            while waited:
                line = lines.get(timeout=max(0.1, deadline - time.monotonic()))
                problems.extend(wrong_in(line))
                answer = json.loads(line)
                if answer.get("id") == probe and "structuredContent" not in answer.get("result", {}):
                    problems.append(f"a good call was answered {line[:200]!r}")
                if isinstance(answer.get("id"), (str, int)):
                    waited.discard(answer["id"])

        memory = psutil.Process(server.pid)
        try:
            hello = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": HELLO}
            exchange([hello, {"jsonrpc": "2.0", "method": "notifications/initialized"}], "probe-0")
            messages = malformed_messages(seed, count)
            warm = 0.0
            for number in range(1, count // BATCH + 2):
                exchange(islice(messages, BATCH), f"probe-{number}")
                if number == max(1, count // BATCH // 2):
                    warm = memory.memory_info().rss / 2**20
            grown = memory.memory_info().rss / 2**20 - warm
            server.stdin.close()
            if server.wait(timeout=PATIENCE_S) != 0:
                problems.append(f"the server ended with {server.returncode}")
        except (queue.Empty, BrokenPipeError, psutil.Error, subprocess.TimeoutExpired) as error:
            problems.append(f"no answer, or the server is gone ({type(error).__name__}, exit code {server.poll()})")
            server.kill()
            grown = 0.0
        problems.extend(f"the log has {word!r}" for word in NEVER_LOGGED if word in said_in(log))
    return Outcome("stdio", count, problems, time.perf_counter() - begun, grown)


def over_http(options: Sequence[str], seed: int, count: int) -> Outcome:
    """One request after another, some with broken headers, methods or lengths."""
    begun, problems = time.perf_counter(), list[str]()
    command = [*SERVE, *options, "--transport", "http", "--port", "0", "--set", "server.requests_per_minute=1000000"]
    with tempfile.TemporaryFile("w+") as log, subprocess.Popen(command, stderr=subprocess.PIPE, env=environment()) as server:
        assert server.stderr is not None
        url = server.stderr.readline().decode().split(" at ")[1].strip()
        stderr = server.stderr
        threading.Thread(target=lambda: [log.write(line.decode()) for line in stderr], daemon=True).start()
        memory, warm = psutil.Process(server.pid), 0.0
        try:
            for number, message in enumerate(malformed_messages(seed, count), 1):
                status, body = sent_over_http(url, message, number)
                if status >= 500:
                    problems.append(f"HTTP {status} for {str(message)[:100]!r}")
                problems.extend(wrong_in(body))
                if number % BATCH == 0:
                    good = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": GOOD_CALL}
                    status, body = sent_over_http(url, good, 0)
                    if status != 200 or b"structuredContent" not in body:
                        problems.append(f"a good call was answered {status} {body[:200]!r}")
                if number == max(1, count // 2):
                    warm = memory.memory_info().rss / 2**20
            grown = memory.memory_info().rss / 2**20 - warm
        except (OSError, http.client.HTTPException, psutil.Error) as error:
            problems.append(f"no answer, or the server is gone ({error!r}, exit code {server.poll()})")
            grown = 0.0
        server.kill()
        server.wait()
        problems.extend(f"the log has {word!r}" for word in NEVER_LOGGED if word in said_in(log))
    return Outcome("http", count, problems, time.perf_counter() - begun, grown)


def sent_over_http(url: str, message: Malformed, number: int) -> tuple[int, bytes]:
    """Status and body; every seventh request is wrong as HTTP, too."""
    parts = urllib.parse.urlsplit(url)
    body = encoded(message)
    headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    method, path = "POST", parts.path
    if number % 7 == 3:
        wrong: list[dict[str, str]] = [
            {"Content-Type": "text/plain"},
            {"Accept": "image/png"},
            {"Mcp-Protocol-Version": "1999-01-01"},
            {"Mcp-Protocol-Version": "2026-07-28", "Mcp-Method": "x"},
            {"Mcp-Session-Id": "x" * 200},
            {"Host": "evil.example"},
            {"Origin": "null"},
            {"Content-Encoding": "gzip"},
            {"Last-Event-ID": "1"},
            {"X-Long": "x" * 7000},
        ]
        headers |= wrong[number // 7 % len(wrong)]
    elif number % 7 == 5:
        method = ("PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "POST")[number // 7 % 6]
        path = ("/mcp", "/", "/mcp/../x", "/%2e%2e/", "/mcp?x=%00", "//mcp")[number // 35 % 6]
    connection = http.client.HTTPConnection(parts.netloc, timeout=PATIENCE_S)
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response.status, response.read(4 * MOST_ANSWER_BYTES)
    finally:
        connection.close()


def encoded(message: Malformed) -> bytes:
    if isinstance(message, str):
        return message.encode("utf-8", "surrogatepass").replace(b"\n", b"").replace(b"\r", b"")
    return json.dumps(message).encode()


def awaited(message: Malformed) -> set[str | int]:
    """The id of a message that is a request in form, whatever it asks for; one with half a character in it is no JSON."""
    try:
        json.dumps(message, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return set()
    if isinstance(message, dict) and isinstance(message.get("method"), str) and "id" in message:
        id, params = message["id"], message.get("params", {})
        if isinstance(id, int) and not isinstance(id, bool) and isinstance(params, dict):
            return {id}
    return set()


def said_in(log: IO[str]) -> str:
    log.seek(0)
    return log.read()


def wrong_in(said: bytes) -> list[str]:
    text = said.decode("utf-8", "replace")
    found = [f"{word!r} came back: {text[:300]!r}" for word in NEVER if word in text]
    return found + ([f"an answer of {len(said):,} bytes"] if len(said) > MOST_ANSWER_BYTES else [])
