"""What a server writes to stderr: that something went wrong, and where in the code; not what the client said.

Prompts, names, pixels and keys can stand in the message of any exception and in what libraries log of a request. So a
record shows its fixed text without the values in it, and of an exception its kinds and places only, unless the person who
starts the server asks for all (`--log-details`).
"""

import logging
import sys
import traceback
from types import TracebackType

__all__ = ["DiscreetFormatter", "log_to_stderr"]

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_HINT = "(start the server with --log-details to see all)"
_MOST_CAUSES = 8


class DiscreetFormatter(logging.Formatter):
    """Writes records without any value that could come from a client."""

    def format(self, record: logging.LogRecord) -> str:
        """The record's own text with `%s` and the like left standing; a text made with an f-string is left out."""
        plain = logging.makeLogRecord(record.__dict__)
        if record.exc_info is None and not record.args and not record.name.startswith("anomalyagent"):
            plain.msg = f"from {record.filename}, line {record.lineno} {_HINT}"
        plain.args = None
        return super().format(plain)

    def formatException(self, ei: ExcInfo) -> str:  # noqa: N802  logging's own name
        """Kinds and places, the innermost cause last."""
        lines: list[str] = []
        error = ei[1]
        for _ in range(_MOST_CAUSES):
            if error is None:
                break
            lines.append(f"{type(error).__name__}, raised at:")
            lines += [
                f"  {frame.filename}:{frame.lineno} in {frame.name}" for frame in traceback.extract_tb(error.__traceback__)
            ]
            error = error.__cause__ or error.__context__
        return "\n".join([*lines, _HINT])


def log_to_stderr(*, details: bool = False) -> None:
    """Send the log to stderr, warnings and worse; everything that was said only with `details`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(_FORMAT) if details else DiscreetFormatter(_FORMAT))
    logging.basicConfig(level=logging.INFO if details else logging.WARNING, handlers=[handler])
