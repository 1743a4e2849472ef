"""Fixtures of more than one folder."""

from collections.abc import Iterator

import pytest
from helpers.tiny_backends import Gate, WaitingMask
from hypothesis import HealthCheck, settings

# Property tests try the same cases every time, and no clock decides: a busy machine is slow, not wrong. Others are tried with
# --hypothesis-profile=default.
settings.register_profile("same", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("same")


def _no_module(_path: str) -> bool:
    return False


# Nor what the tests before have imported: Hypothesis tries the constants of each module that is loaded by then.
pytest.MonkeyPatch().setattr("hypothesis.internal.conjecture.providers.is_local_module_file", _no_module, raising=False)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    """A shut gate for the `WaitingMask`s of this test; it is open afterwards, so that no thread stays."""
    made = Gate()
    monkeypatch.setattr(WaitingMask, "gate", made)
    yield made
    made.go.set()
