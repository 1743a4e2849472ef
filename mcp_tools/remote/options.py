"""Options of everything that talks to a remote service, and the key that it needs.

A key is read from the environment when a client is made. It is no option, so it cannot end up in run.json, in a checkpoint or
in a trajectory, and `redacted` takes it out of what services say in their errors.
"""

import os
import re
from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

from anomalyagent.errors import BackendUnavailableError

__all__ = ["NO_KEY", "RemoteOptions", "is_on_this_machine", "read_key", "redacted", "refuse_secrets"]

NO_KEY = "none"
"""What clients send to a server that wants no key: the SDKs insist on some text."""
_SECRET_NAME = re.compile(
    r"(api|access|auth|private|secret).?(key|token)|^(key|token|secret|password|authorization)$", re.IGNORECASE
)
_LOOKS_SECRET = re.compile(r"\b(sk-[\w-]{8,}|AIza[\w-]{20,}|Bearer\s+\S{8,})")


class RemoteOptions(BaseModel):
    """Where the service is and how patient its client is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = Field(min_length=1, description="name of the model at the service")
    base_url: str | None = Field(default=None, description="Address of another server that speaks the same protocol.")
    api_key_env: str | None = Field(default=None, description="Environment variable that holds the key; unset: the usual one.")
    timeout_s: float = Field(default=90.0, gt=0, le=3600, description="One attempt.")
    attempts: int = Field(default=4, ge=1, le=20, description="Attempts at one request, with growing pauses between them.")
    pause_s: float = Field(
        default=1.0, ge=0, le=600, description="First pause; each one is twice the one before, at most 60 s."
    )
    requests_per_minute: float | None = Field(default=None, gt=0, description="Most requests; unset: as they come.")

    @field_validator("base_url")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        if value is not None:
            parts = urlsplit(value)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ValueError("an address begins with http:// or https:// and names a host")
            if parts.username or parts.password:
                raise ValueError("no name or password in an address: options are stored with the run")
        return value

    @field_validator("api_key_env")
    @classmethod
    def _variable(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value):
            raise ValueError("this is the NAME of an environment variable, not the key itself")
        return value


def refuse_secrets(names: Iterable[str]) -> None:
    """Raise ValueError when free options hold something that looks like a key: they are stored with the run."""
    if found := [name for name in names if _SECRET_NAME.search(name)]:
        raise ValueError(f"{', '.join(found)} cannot be given here: options are stored with the run. Use api_key_env")


def is_on_this_machine(base_url: str | None) -> bool:
    """True for an address of the loopback interface: nothing leaves the machine, and nobody sends a bill."""
    host = urlsplit(base_url).hostname if base_url else None
    if host is None:
        return False
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def read_key(options: RemoteOptions, usual: Sequence[str], who: str) -> str:
    """The key from the environment; `NO_KEY` for a server at another address where none is set.

    Raises:
        BackendUnavailableError: the service needs one and there is none.
    """
    names = (options.api_key_env,) if options.api_key_env else usual
    for name in names:
        if key := os.environ.get(name, "").strip():
            return key
    if options.base_url and not options.api_key_env:
        return NO_KEY
    also = f"  (or {', '.join(names[1:])})" if len(names) > 1 else ""
    raise BackendUnavailableError(f"{who} needs a key and the environment has none. Run: export {names[0]}=...{also}")


def redacted(text: str, *keys: str) -> str:
    """`text` without keys."""
    for key in keys:
        if len(key) >= 6 and key != NO_KEY:
            text = text.replace(key, "***")
    return _LOOKS_SECRET.sub("***", text)
