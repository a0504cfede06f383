"""Every pattern takes time in proportion to its text: a provider must not hold the process with a long one."""

import re
import time
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pkgutil import walk_packages

import pytest

import aggregator
from aggregator import logs
from aggregator.core.documents import masked

SIZE = 100_000
BOUND_S = 2.0
"""A hundred times what a linear pattern takes here, a fiftieth of what a quadratic one would."""
SHAPES = (
    *(
        "7",
        "a",
        "A",
        " ",
        "-",
        ".",
        "_",
        "@",
        "/",
        "=",
        ":",
        "+",
        "*",
        "(",
        "\n",
        "\t",
        "\u0663",
        "\u00e4",
        "\x9f",
    ),
    *(
        "a@",
        "a.",
        "a@a.",
        "a-",
        "1 ",
        "12 ",
        "(1",
        "+1 ",
        "1-2-",
        "2026-06-15 ",
        "2026-06-15T12:00:00.",
        "0a-",
    ),
    *(
        "pin ",
        "pin=",
        "pin *** ",
        "account ",
        "Bearer ",
        "basic",
        "a://",
        "a://b@",
        "://",
        "token=",
        "DETAIL: ",
    ),
    *(
        "/a",
        "/.",
        "/..",
        "%41",
        "01234567-",
        "0123abcd-0123-",
        "?password=",
        "Z+00:00",
        "a b ",
        "12:",
        "\\u0000",
    ),
)
PATTERNS_OF_THE_OPERATOR = ("aggregator.config", "aggregator.simulator", "aggregator.store.migrations")


@cache
def patterns() -> dict[str, re.Pattern[str]]:
    """Every pattern of the program that may see foreign text, by its name."""
    return {f"{module}.{name}": pattern for module, name, pattern in _found()}


def _found() -> Iterator[tuple[str, str, re.Pattern[str]]]:
    for one in walk_packages(aggregator.__path__, "aggregator."):
        if one.name.startswith(PATTERNS_OF_THE_OPERATOR) or one.name.endswith("__main__"):
            continue
        for name, value in vars(import_module(one.name)).items():
            if isinstance(value, re.Pattern) and isinstance(value.pattern, str):
                yield one.name, name, value


def test_there_are_patterns_to_try() -> None:
    assert {"aggregator.logs._MAIL", "aggregator.core.documents.SECRET_DIGITS"} <= set(patterns())
    assert len(patterns()) > 12


@pytest.mark.parametrize("name", sorted(patterns()))
def test_a_pattern_is_linear(name: str) -> None:
    pattern = patterns()[name]
    for shape in SHAPES:
        text = (shape * (SIZE // len(shape) + 1))[:SIZE]
        for said in (text, text + "!", "x" + text):
            began = time.process_time()
            pattern.sub("", said)
            pattern.fullmatch(said)
            assert time.process_time() - began < BOUND_S, shape


@pytest.mark.parametrize("shape", SHAPES)
def test_no_pattern_of_the_log_sees_more_than_its_first_two_thousand_characters(
    shape: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    class Counted:
        def __init__(self, pattern: re.Pattern[str]) -> None:
            self.pattern = pattern

        def sub(self, new: object, text: str) -> str:
            seen.append(len(text))
            return self.pattern.sub(new, text)  # type: ignore[call-overload, no-any-return]

        def search(self, text: str) -> object:
            seen.append(len(text))
            return self.pattern.search(text)

    for name, value in list(vars(logs).items()):
        if isinstance(value, re.Pattern):
            monkeypatch.setattr(logs, name, Counted(value))
    text = (shape * (1_000_000 // len(shape) + 1))[:1_000_000]
    entry = {"error": text, "where": [text], "exception": text, text: {"stack": text}}
    said = logs.redactor(["a-secret-key"])(None, "info", entry)
    assert seen and max(seen) <= 20_000
    assert len(str(said["error"])) <= 20_000 and not re.search(r"\d{7}", str(said["error"]))


def test_what_is_cut_off_leaves_no_piece_of_a_secret_or_a_number() -> None:
    redact = logs.redactor(["KEY-0123456789"])
    for before in range(1_980, 2_001):
        said = str(redact(None, "info", {"error": "x" * before + "KEY-0123456789 13035550123"})["error"])
        assert "KEY" not in said and not re.search(r"\d{2}", said.replace("…123", ""))


def test_masking_a_megabyte_is_linear() -> None:
    for shape in ("pin ", "pin *** ", "account a", "pin 1 "):
        began = time.process_time()
        masked((shape * 250_000)[:1_000_000])
        assert time.process_time() - began < 10 * BOUND_S, shape
