"""Options of everything that talks to a remote service, and the key that it needs.

A key is read from the environment when a client is made. It is no option, so it cannot end up in run.json, in a checkpoint or
in a trajectory, and `redacted` takes it out of what services say in their errors.
"""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

from anomalyagent.errors import BackendUnavailableError

__all__ = ["KEY_NAMES", "NO_KEY", "RemoteOptions", "is_on_this_machine", "key_names", "read_key", "redacted", "refuse_secrets"]

NO_KEY = "none"
"""What clients send to a server that wants no key: the SDKs insist on some text."""
KEY_NAMES: Mapping[str, tuple[str, ...]] = {
    "openai": ("OPENAI_API_KEY",),
    "google_genai": ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
    "anthropic": ("ANTHROPIC_API_KEY",),
    "mistralai": ("MISTRAL_API_KEY",),
    "groq": ("GROQ_API_KEY",),
    "xai": ("XAI_API_KEY",),
    "deepseek": ("DEEPSEEK_API_KEY",),
    "openrouter": ("OPENROUTER_API_KEY",),
    "together": ("TOGETHER_API_KEY",),
    "fireworks": ("FIREWORKS_API_KEY",),
    "nvidia": ("NVIDIA_API_KEY",),
}
"""Providers that take a key, and the variables in which it is looked for; others find theirs in their own ways."""
_SECRET_NAME = re.compile(
    r"(api|access|auth|private|secret).?(key|token)|^(key|token|secret|password|authorization)$", re.IGNORECASE
)
_LOOKS_SECRET = re.compile(r"\b(sk-[\w-]{8,}|AIza[\w-]{20,}|Bearer\s+\S{8,})")


class RemoteOptions(BaseModel):
    """Where the service is and how patient its client is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = Field(min_length=1, description="name of the model at the service")
    base_url: str | None = Field(default=None, description="Address of another server that speaks the same protocol.")
    api_key_env: str | None = Field(
        default=None, description="Environment variable that holds the key; unset: the usual one, or none with base_url."
    )
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


def key_names() -> list[str]:
    """Every environment variable in which a key is looked for unless api_key_env names another."""
    return [name for names in KEY_NAMES.values() for name in names]


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
    """The key from the environment. To a server at another address (`base_url`) only the key of `api_key_env` is sent: the
    usual variable holds the key of the usual service.

    Raises:
        BackendUnavailableError: the service needs one and there is none.
    """
    if options.base_url and not options.api_key_env:
        return NO_KEY
    names = (options.api_key_env,) if options.api_key_env else usual
    for name in names:
        if key := os.environ.get(name, "").strip():
            return key
    also = f"  (or {', '.join(names[1:])})" if len(names) > 1 else ""
    raise BackendUnavailableError(f"{who} needs a key and the environment has none. Run: export {names[0]}=...{also}")


def redacted(text: str, *keys: str) -> str:
    """`text` without keys."""
    for key in keys:
        if len(key) >= 6 and key != NO_KEY:
            text = text.replace(key, "***")
    return _LOOKS_SECRET.sub("***", text)
