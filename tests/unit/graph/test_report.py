"""The contact sheet."""

import re
from pathlib import Path

from helpers.photos import make_photos
from helpers.run_backends import run_settings
from helpers.runs import request

from anomalyagent.graph.report import choose_shown
from anomalyagent.graph.run import synthesize


def test_all_samples_are_shown_when_they_fit() -> None:
    assert choose_shown([2, 0, 3], 10) == [[0, 1], [], [0, 1, 2]]


def test_of_many_samples_each_type_shows_an_equal_share_evenly_picked() -> None:
    shown = choose_shown([1000, 3, 500], 13)
    assert [len(numbers) for numbers in shown] == [5, 3, 5]
    assert shown[0] == [0, 250, 500, 749, 999]
    assert all(len(set(numbers)) == len(numbers) for numbers in shown)


def test_the_sheet_needs_nothing_from_outside_and_escapes_what_users_wrote(tmp_path: Path) -> None:
    normals = make_photos(tmp_path / "photos", count=1, size=64)
    nasty = '<script>alert("x")</script>'
    synthesize(request(normals, tmp_path / "run", types=[nasty, "dent"], count=1), run_settings(share=1.0))
    html = (tmp_path / "run" / "report.html").read_text("utf-8")
    assert nasty not in html
    assert "&lt;script&gt;" in html
    links = re.findall(r'(?:src|href)="([^"]{1,200})', html)
    assert len(links) == 10
    assert all(link.startswith(("data:image/", "dataset/")) for link in links)
    assert not re.search(r"https?://|@import|url\(", html)
    assert "prefers-color-scheme: dark" in html
