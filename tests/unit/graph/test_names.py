"""Folder names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomalyagent.errors import RunError
from anomalyagent.graph.names import MOST_BYTES, choose_folders, safe_name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("scratch", "scratch"),
        ("bent lead", "bent_lead"),
        ("Größe/übel", "Größe_übel"),
        ("../../etc", "_.._etc"),
        ("a:b*c?", "a_b_c"),
        ("nul", "nul_"),
        ("COM1.txt", "COM1_txt_"),
        ("trailing. ", "trailing"),
        ("错位", "错位"),
        ("tab\tnew\nline", "tab_new_line"),
        ("right\u202eleft", "right_left"),
    ],
)
def test_names_keep_their_letters_and_lose_what_file_systems_refuse(text: str, name: str) -> None:
    assert safe_name(text) == name


@given(st.text(min_size=1, max_size=200))
def test_any_text_gives_a_safe_name_or_a_clear_error(text: str) -> None:
    try:
        name = safe_name(text)
    except RunError:
        assert not any(char.isalnum() for char in text)
        return
    assert 0 < len(name.encode()) <= MOST_BYTES
    assert not set(name) & set('/\\:*?"<>|\0\n')
    assert name not in (".", "..")
    assert not name.endswith((".", " "))


@given(st.lists(st.sampled_from(["a b", "a_b", "A_B", "a/b", "c", "C", "x" * 90, "x" * 91]), unique=True))
def test_folders_are_distinct_whatever_the_case(types: list[str]) -> None:
    folders = choose_folders(types)
    assert len({folder.casefold() for folder in folders}) == len(types)


def test_good_is_taken() -> None:
    with pytest.raises(RunError, match="Good"):
        choose_folders(["Good"])
