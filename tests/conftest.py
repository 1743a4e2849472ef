"""Fixtures of more than one folder."""

from collections.abc import Iterator

import pytest
from helpers.tiny_backends import Gate, WaitingMask


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    """A shut gate for the `WaitingMask`s of this test; it is open afterwards, so that no thread stays."""
    made = Gate()
    monkeypatch.setattr(WaitingMask, "gate", made)
    yield made
    made.go.set()
