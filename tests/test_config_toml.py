"""Every mistake of a configuration file is a sentence with file and key or line, whatever stands in it."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator import providers
from aggregator.config import load
from aggregator.errors import ConfigError

ACCOUNT = '[accounts.main]\nprovider = "telnyx"\nsecret = "file:key"\n'


def mistakes(path: Path, text: str) -> tuple[str, ...]:
    path.write_text(text, encoding="utf-8")
    try:
        load(path, providers.load, {})
    except ConfigError as error:
        return error.mistakes
    return ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            f'{ACCOUNT}[accounts.main.statuses]\n"a" = "ported"\n[accounts.main.statuses]\n"b" = "ported"\n',
            "line 6: the table [accounts.main.statuses] stands twice (it is there from line 4 on); "
            "write its lines below the first one",
        ),
        (
            f'{ACCOUNT}statuses = {{a = "ported"}}\n[accounts.main.statuses]\nb = "ported"\n',
            "line 5: the table [accounts.main.statuses] stands twice; write its lines below the first one",
        ),
        (
            f"{ACCOUNT}[[accounts.main]]\n",
            "line 4: a key stands twice in its table, or is a value and a table; leave one of them",
        ),
        (
            f'{ACCOUNT}label = "a"\nlabel = "b"',
            "line 5: a key stands twice in its table, or is a value and a table; leave one of them",
        ),
        (
            f"{ACCOUNT}feeds = {{a = 1, a = 2}}",
            "line 4: a key stands twice in its table, or is a value and a table; leave one of them",
        ),
        (
            f'{ACCOUNT}[accounts]\nmain.label = "x"',
            "line 5: the table [accounts.main] stands twice (it is there from line 1 on); "
            "write its lines below the first one",
        ),
        (
            f'{ACCOUNT}statuses = {{a = "ported"}}\nstatuses.b = "ported"\n',
            "line 5: accounts.main.statuses is written in braces, so all of it must stand in them",
        ),
        (
            '[accounts.main.statuses]\n["accounts"."main".\'statuses\']\n',
            "line 2: the table [accounts.main.statuses] stands twice (it is there from line 1 on); "
            "write its lines below the first one",
        ),
        ("[log\n", "line 1: not TOML: Expected ']' at the end of a table declaration (column 5)"),
    ],
)
def test_what_is_no_toml_is_told_with_file_and_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "a.toml"
    assert mistakes(path, text) == (f"{path}, {said}",)


def test_a_number_of_thousands_of_digits_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    assert mistakes(path, f"x = 1{'0' * 5_000}") == (f"{path}: not TOML: a number with too many digits",)


VALUES = st.recursive(
    st.booleans()
    | st.integers()
    | st.text(max_size=8)
    | st.sampled_from(["telnyx", "15m", "ported", "file:k"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(
                ["statuses", "feeds", "porting_events", "every", "reason", "url", "provider", "x y"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)
SECTIONS = st.sampled_from(
    [
        "database",
        "log",
        "network",
        "retention",
        "waiting",
        "http",
        "accounts",
        "providers",
        "stuck",
        "display",
    ]
)


def written(value: Any) -> str:
    if isinstance(value, dict):
        inside = ", ".join(f"{json.dumps(key)} = {written(one)}" for key, one in value.items())
        return f"{{{inside}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(written, value))}]"
    return json.dumps(value)


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(
        SECTIONS, VALUES | st.dictionaries(st.sampled_from(["main", "telnyx", "a b"]), VALUES, max_size=2)
    )
)
def test_whatever_the_keys_hold_a_mistake_is_a_sentence_and_never_a_tuple(
    tmp_path_factory: pytest.TempPathFactory, said: dict[str, Any]
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.toml"
    text = "\n".join(f"{json.dumps(key)} = {written(value)}" for key, value in said.items())
    for mistake in mistakes(path, text.replace("\\ud", "\\u00").replace("\x7f", "")):
        assert "('" not in mistake and "Traceback" not in mistake and "<class" not in mistake
