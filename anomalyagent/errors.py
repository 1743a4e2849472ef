"""Every error type of the project: one base, one type for each boundary.

A message says what was wrong, what was received and what to do next. `exit_code` is what the command line
returns when the error reaches it.
"""

from typing import Literal

__all__ = [
    "AnomalyAgentError",
    "BackendError",
    "BackendUnavailableError",
    "ConfigError",
    "ForkError",
    "ImageError",
    "KnowledgeError",
    "PolicyError",
    "RemoteOutageError",
    "RunError",
    "ToolCallError",
    "ToolCallKind",
    "ToolInputError",
    "TraceError",
    "WorkspaceError",
]


ToolCallKind = Literal["refused", "crashed", "timeout", "bad_result", "outage"]


class AnomalyAgentError(Exception):
    """Base of every error that this project raises on purpose."""

    exit_code = 1


class ConfigError(AnomalyAgentError):
    """A setting is unknown, has the wrong type or contradicts another one."""

    exit_code = 2


class ImageError(AnomalyAgentError):
    """An image cannot be read, is damaged, or is outside the supported sizes."""

    exit_code = 3


class WorkspaceError(AnomalyAgentError):
    """A reference leaves the workspace, does not exist, or the workspace cannot be written."""

    exit_code = 3


class ToolInputError(AnomalyAgentError):
    """A tool was called with arguments that cannot be used."""

    exit_code = 2


class ToolCallError(AnomalyAgentError):
    """A call to a tool server failed.

    `kind` says how: `refused` (the tool answered with an error, its text is the message), `crashed` (the server went
    away or cannot be started), `timeout`, `bad_result` (the answer or the server's tool list is outside the contract),
    `outage` (a service that the tool needs failed again and again). `cost_usd` and `tokens` were spent all the same.
    """

    exit_code = 4

    def __init__(self, message: str, *, kind: ToolCallKind = "refused", cost_usd: float = 0.0, tokens: int = 0) -> None:
        super().__init__(message)
        self.kind: ToolCallKind = kind
        self.cost_usd = cost_usd
        self.tokens = tokens


class BackendError(AnomalyAgentError):
    """A backend was reached and could not do its job. `cost_usd` and `tokens` were spent all the same."""

    exit_code = 4

    def __init__(self, message: str, *, cost_usd: float = 0.0, tokens: int = 0) -> None:
        super().__init__(message)
        self.cost_usd = cost_usd
        self.tokens = tokens


class BackendUnavailableError(BackendError):
    """A backend is unknown, or something that it needs (extra, file, key, GPU) is missing."""

    exit_code = 2


class RemoteOutageError(BackendError):
    """A remote service failed or was too slow at every attempt."""


class KnowledgeError(AnomalyAgentError):
    """A knowledge card is invalid, or the knowledge index cannot be built or read."""

    exit_code = 5


class PolicyError(AnomalyAgentError):
    """A policy is unknown or could not produce an action."""

    exit_code = 4


class TraceError(AnomalyAgentError):
    """A trajectory or run file is damaged or of an unknown version."""

    exit_code = 5


class ForkError(AnomalyAgentError):
    """A fork, a replay or a decision asks for something that the trajectory does not have or that cannot be used."""

    exit_code = 2


class RunError(AnomalyAgentError):
    """A run cannot start, continue or be stored."""

    exit_code = 6
