"""Ports for programs that cannot say which free one they took."""

import os
import socket
from itertools import count

_FIRST, _MANY = 20_000, 12_000
_next = count(os.getpid() * 37)


def free_port() -> int:
    """A port that nobody listens on: below those that systems give out by themselves, so that nobody gets it meanwhile."""
    for number in _next:
        port = _FIRST + number % _MANY
        with socket.socket() as tried:
            try:
                tried.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("count never ends")
