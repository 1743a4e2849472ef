"""Taking local paths out of what leaves the machine: folders of the run, home folders, any other absolute path."""

import re
from pathlib import Path
from typing import Any, cast

from anomalyagent.configs.paths import expand_home

__all__ = ["Redactor"]

_POSIX = re.compile(r"(?<![\w./<>:-])/(?:[^\s/\"'<>:;,()\[\]{}|\\]+/)+([^\s/\"'<>:;,()\[\]{}|\\]*)")
_WINDOWS = re.compile(r"(?<!\w)[A-Za-z]:\\+(?:[^\s\\\"'<>:;,|]+\\+)*([^\s\\\"'<>:;,|]*)")


class Redactor:
    """Replaces paths in texts; of a path only the last name is kept. Counts what it replaced."""

    def __init__(self, run_dir: Path) -> None:
        here = expand_home(run_dir).absolute()
        self._known = [(str(here), "<run>"), (str(here.resolve()), "<run>"), (str(expand_home("~")), "<home>")]
        self.replaced = 0

    def text(self, text: str) -> str:
        """The text without local paths."""
        for path, name in self._known:
            if len(path) > 1 and path in text:
                self.replaced += text.count(path)
                text = text.replace(path, name)
        for pattern in (_POSIX, _WINDOWS):
            text, count = pattern.subn(lambda found: f"<path>/{found[1]}", text)
            self.replaced += count
        return text

    def value(self, value: Any) -> Any:
        """Plain data with all of its texts redacted; keys stay."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.value(one) for one in cast("list[Any]", value)]
        if isinstance(value, dict):
            return {key: self.value(one) for key, one in cast("dict[str, Any]", value).items()}
        return value
