"""A client that knows the right answer to each of its calls; starts fast, so that many can be killed and replaced.

    python -m helpers.knowing_client URL FILE FIRST CALLS      FILE: JSON list of [params, structured result]

Makes the calls from number FIRST to CALLS - 1 over HTTP; prints a line for each answer: its number, or what was wrong.
"""

import json
import sys
from pathlib import Path

from helpers.raw_mcp import post


def main(url: str, known_file: str, first: int, calls: int) -> None:
    known = json.loads(Path(known_file).read_text("utf-8"))
    for number in range(first, calls):
        params, expected = known[number % len(known)]
        reply = post(url, {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params})
        try:
            answered = reply.message.get("result", {}).get("structuredContent")
        except ValueError:
            answered = None
        right = reply.status == 200 and answered == expected
        sys.stdout.write(f"{number}\n" if right else f"wrong {number}: {reply.status} {reply.body[:300]!r}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
