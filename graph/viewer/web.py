"""What every route needs: a page from a template, a page that says something, the fields of a small form."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from anomalyagent.graph.viewer.guard import MAX_BODY_BYTES
from anomalyagent.graph.viewer.pages import environment, static_version

__all__ = ["page", "read_form", "say"]


def page(template: str, status: int = 200, **values: Any) -> Response:
    """A page made of a template."""
    text = environment().get_template(template).render(static_version=static_version(), **values)
    return HTMLResponse(text.encode("utf-8", "replace"), status)


def say(status: int, heading: str, lines: Sequence[str], back: str = "/", back_words: str = "Start") -> Response:
    """A page with a message."""
    return page("message.html.j2", status, title=heading, heading=heading, lines=lines, back=back, back_words=back_words)


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a small form, the last one of equal names."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BODY_BYTES:
            raise HTTPException(413, f"A form has at most {MAX_BODY_BYTES} bytes.")
    if request.headers.get("content-type", "").partition(";")[0] != "application/x-www-form-urlencoded":
        raise HTTPException(415, "A form is sent as application/x-www-form-urlencoded.")
    return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=400))
