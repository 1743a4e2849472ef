from collections.abc import Callable
from pathlib import Path

REPORT_FILE = "report.html"


def write_report(run_dir: Path, file: object, accepted: object, read: Callable[..., object]) -> None:
    pass
