"""Members put into JSON texts of every layout: nothing of the old text is lost."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomalyagent.errors import ConfigError
from anomalyagent.mcp_tools.jsonc import parse, set_member

PATH = ["mcpServers", "ours"]
VALUE = {"command": "python", "args": ["-m", "x"]}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('{"a":1}', '{"a":1, "s": {"x": "1"}}'),
        ('{ "a": 1 /* one */ }', '{ "a": 1, /* one */ "s": {"x": "1"} }'),
        ("{}", '{\n  "s": {\n    "x": "1"\n  }\n}'),
        ("{\r\n}\r\n", '{\r\n  "s": {\r\n    "x": "1"\r\n  }\r\n}\r\n'),
        ('{\n\t"a": 1 // one\n}', '{\n\t"a": 1, // one\n\t"s": {\n\t\t"x": "1"\n\t}\n}'),
        ('{\n    "a": 1,\n    // end\n}', '{\n    "a": 1,\n    "s": {\n        "x": "1"\n    }\n    // end\n}'),
        ("{ // nothing yet\n}", '{ // nothing yet\n  "s": {\n    "x": "1"\n  }\n}'),
        ("// nothing yet", '// nothing yet\n{\n  "s": {\n    "x": "1"\n  }\n}\n'),
        ('{"s": {"x": "0", /* keep */ "y": 2}}', '{"s": {"x": "1", /* keep */ "y": 2}}'),
        ('{"s": {"x": "0"}, "s": {"x": "2"}}', '{"s": {"x": "0"}, "s": {"x": "1"}}'),
        ('{"s": {"x": "1",},}', '{"s": {"x": "1",},}'),
    ],
)
def test_a_member_is_laid_out_as_its_neighbours_are(before: str, after: str) -> None:
    assert set_member(before, ["s", "x"], "1") == after


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("{", "line 1, column 2: the object is not closed"),
        ('{\n  "a" 1\n}', 'line 2, column 7: a colon is needed after "a"'),
        ('{\n  "a": 1\n  "b": 2\n}', "line 3, column 3: a comma or }"),
        ('{"a": tru}', "line 1, column 7: a value"),
        ("[1", "line 1, column 3: the list is not closed"),
        ("[1 2]", "line 1, column 4: a comma or ]"),
        ('{"a": 1}}', "line 1, column 9: the value ends here"),
        ('{"a": "x\n"}', "line 1, column 7: the text in quotes is not closed"),
        (r'{"a": "\q"}', "line 1, column 7: the text in quotes has an unknown escape"),
        ("{/* never closed }", "line 1, column 2"),
        ("{,}", "line 1, column 2"),
        ("{'a': 1}", "line 1, column 2: a name in double quotes"),
        ("[" * 5000, "nested more than"),
        ('{"mcpServers": null}', "mcpServers is null, not an object (line 1, column 16)"),
        ("[]", "the whole is a list"),
    ],
)
def test_what_is_broken_is_refused_with_its_place(text: str, where: str) -> None:
    with pytest.raises(ConfigError) as caught:
        set_member(text, PATH, VALUE)
    assert where in str(caught.value)


json_values = st.recursive(
    st.none() | st.booleans() | st.text(max_size=8),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=5), inside, max_size=3),
    max_leaves=12,
)


@given(
    st.dictionaries(st.text(max_size=6), json_values, max_size=4).filter(lambda each: "mcpServers" not in each),
    st.none() | st.dictionaries(st.text(max_size=6), json_values, max_size=3),
    st.sampled_from([None, 1, 4, "\t"]),
    st.booleans(),
)
def test_any_file_keeps_every_character_and_gains_the_member(
    others: dict[str, object], servers: dict[str, object] | None, indent: int | str | None, ascii_only: bool
) -> None:
    given_value = others if servers is None else {**others, "mcpServers": servers}
    before = json.dumps(given_value, indent=indent, ensure_ascii=ascii_only)
    after = set_member(before, PATH, VALUE)
    assert json.loads(after) == {**given_value, "mcpServers": {**(servers or {}), "ours": VALUE}}
    assert set_member(after, PATH, VALUE) == after
    if "ours" not in (servers or {}):
        rest = iter(after)
        assert all(char in rest for char in before)
    assert parse(after) is not None
