"""Logging: one chain for everybody, whose last step hides what must not be read."""

import io
import json
import logging
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog

from aggregator import logs
from aggregator.credentials import Secret

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Logging is the process's; what a test sets up ends with it."""
    loggers = [logging.getLogger(name) for name in (None, *logs.LOUD)]
    kept = [(logger, logger.level, logger.handlers[:]) for logger in loggers]
    raising = logging.raiseExceptions
    yield
    for logger, level, handlers in kept:
        logger.setLevel(level)
        logger.handlers[:] = handlers
    logging.raiseExceptions = raising
    structlog.contextvars.clear_contextvars()
    structlog.reset_defaults()


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def lines() -> Lines:
    """Sets logging up at debug, as JSON; what was written since, line by line."""
    stream = io.StringIO()
    logs.configure("debug", "json", {"hunter2", "hunter2-longer", "abc"}, stream)
    return lambda: [json.loads(line) for line in stream.getvalue().splitlines()]


def said(value: object, key: str = "text") -> Any:
    """A value under a key, as it is written."""
    return logs.redactor(("hunter2", "hunter2-longer", "abc"))(None, "info", {key: value})[key]


# --- one chain ------------------------------------------------------------------------------------------


def test_a_line_is_one_json_object(lines: Lines) -> None:
    structlog.get_logger().info("poll.done", account="telnyx-main", text="two\nlines", events=3, share=0.5)
    (line,) = lines()
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "poll.done",
        "level": "info",
        "account": "telnyx-main",
        "text": "two lines",
        "events": 3,
        "share": 0.5,
    }


def test_fields_over_the_standard_library_are_fields_and_masked(lines: Lines) -> None:
    logging.getLogger("elsewhere").info(
        "clock.doubted", extra={"host": "x/v2", "doubt": "hunter2", "more": 1}
    )
    (line,) = lines()
    assert (line["event"], line["host"], line["doubt"], "more" in line) == (
        "clock.doubted",
        "x/v2",
        "***",
        False,
    )


def test_the_context_is_in_every_line(lines: Lines) -> None:
    structlog.contextvars.bind_contextvars(account="fone-au", pin="4711")
    structlog.get_logger().info("poll.done")
    logging.getLogger("elsewhere").warning("hello")
    assert [(line["account"], line["pin"]) for line in lines()] == [("fone-au", "***")] * 2


def test_every_line_of_a_poll_tells_whose_it_is_and_none_after_it(lines: Lines) -> None:
    for name in ("telnyx-main", "telnyx-main", "fone-au"):
        with logs.polling("telnyx", name):
            structlog.get_logger().info("poll.done")
            logging.getLogger("elsewhere").warning("hello")
    structlog.get_logger().info("later")
    *told, after = lines()
    assert [(line["provider"], line["account"]) for line in told] == [
        *[("telnyx", "telnyx-main")] * 4,
        *[("telnyx", "fone-au")] * 2,
    ]
    runs = [line["run"] for line in told]
    assert runs[0] == runs[1] != runs[2] == runs[3] != runs[4]
    assert all(len(run) == 8 and run.isalpha() for run in runs), (
        "digits could be hidden as a telephone number"
    )
    assert not {"provider", "account", "run"} & after.keys()


def test_loggers_of_others_go_through_the_same_chain(lines: Lines) -> None:
    logging.getLogger("elsewhere").warning(
        "key %s of %s", "hunter2", "+1 303 555 0123", extra={"pin": "4711"}
    )
    (line,) = lines()
    assert (line["event"], line["level"]) == ("key *** of …123", "warning")
    assert "pin" not in line


@pytest.mark.parametrize(
    "name", ["httpx", "httpcore.connection", "sqlalchemy.engine", "apscheduler.executors"]
)
def test_who_would_log_secrets_is_silent_even_at_debug(lines: Lines, name: str) -> None:
    logging.getLogger(name).info("GET https://me:hunter3@example.com/?token=hunter3")
    logging.getLogger(name).warning("trouble")
    assert [line["event"] for line in lines()] == ["trouble"]


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
def test_nothing_below_the_level_is_written(level: str) -> None:
    stream = io.StringIO()
    logs.configure(level, "json", (), stream)
    for name in ("debug", "info", "warning", "error"):
        getattr(structlog.get_logger(), name)(name)
        getattr(logging.getLogger("elsewhere"), name)(name)
        getattr(logging.getLogger("httpx"), name)(f"httpx {name}")
    written = [json.loads(line)["event"] for line in stream.getvalue().splitlines()]
    levels = ["debug", "info", "warning", "error"]
    above = levels[levels.index(level) :]
    assert [event for event in written if "httpx" not in event] == [name for name in above for _ in "12"]
    assert [event for event in written if "httpx" in event] == [
        f"httpx {name}" for name in above if name in ("warning", "error")
    ]


def test_a_traceback_shows_no_locals(lines: Lines) -> None:
    def inner(argument: str) -> None:
        local = argument.replace("argument", "local")
        raise ValueError("wrong key hunter2 for +61255500199") from KeyError("hunter2", len(local))

    for log in (structlog.get_logger().exception, logging.getLogger("elsewhere").exception):
        try:
            inner("-".join(("argument", "canary")))
        except ValueError:
            log("internal.error")
    for line in lines():
        assert "ValueError: wrong key *** for …199" in line["exception"]
        assert "KeyError: ('***', 12)" in line["exception"]
        assert "-canary" not in line["exception"] and "hunter2" not in line["exception"]
    assert len(lines()) == 2


def test_what_cannot_be_written_is_not_printed_raw(lines: Lines, capsys: pytest.CaptureFixture[str]) -> None:
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError("hunter2")

    structlog.get_logger().info("poll.done", text=Broken(), pin="hunter2")
    logging.getLogger("elsewhere").warning("%d", "hunter2")
    assert lines() == []
    assert capsys.readouterr() == ("", "")


# --- formats --------------------------------------------------------------------------------------------


def test_auto_is_for_people_on_a_terminal_and_json_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    terminal, pipe = Terminal(), io.StringIO()
    for stream in (terminal, pipe):
        logs.configure("info", "auto", (), stream)
        structlog.get_logger().info("poll.done", account="fone-au")
    assert "\x1b[" in terminal.getvalue() and "poll.done" in terminal.getvalue()
    assert json.loads(pipe.getvalue())["event"] == "poll.done"


@pytest.mark.parametrize("stream", [Terminal(), io.StringIO()], ids=["terminal without colour", "pipe"])
def test_the_console_format_has_colours_only_where_they_are_wanted(
    stream: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    logs.configure("info", "console", (), stream)
    structlog.get_logger().info("poll.done", text="\x1b[2Jhello\rworld", more="a\nb")
    assert "\x1b" not in stream.getvalue() and "\r" not in stream.getvalue()
    assert stream.getvalue().count("\n") == 1


def test_lines_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "json")
    structlog.get_logger().info("poll.done")
    out, err = capsys.readouterr()
    assert (out, json.loads(err)["event"]) == ("", "poll.done")
    assert logging.getLogger().handlers[0].stream is sys.stderr  # type: ignore[attr-defined]


# --- what is hidden -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key",
    [
        *("pin", "attempted_pin", "pin_passcode", "password", "secret", "token", "api_token"),
        *("account_number", "tax_identifier", "email", "e-mail", "auth_person_name", "end_user_name"),
        *("service_address", "contact", "webhook_url", "loa", "lsr", "Authorization", "authorisation"),
        *("body", "payload", "headers"),
    ],
)
def test_hidden_by_key(key: str) -> None:
    assert said("anything", key) == "***"
    assert said(4711, key) == "***"
    assert said({"inner": "anything"}, key) == "***"
    assert said([{key: "anything"}]) == [{key: "***"}]


@pytest.mark.parametrize(
    ("key", "value"),
    [("account", "telnyx-main"), ("accounts", 3), ("names", 12), ("secret", None), ("token", True)],
)
def test_what_no_secret_can_be_is_shown(key: str, value: object) -> None:
    assert said(value, key) == value


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("key hunter2, and hunter2-longer", "key ***, and ***"),
        ("abc is too short a secret to look for", "abc is too short a secret to look for"),
        ("Authorization: Bearer eyJhbGciOi.J9-_~+/=", "Authorization: Bearer ***"),
        ("basic QTVFUTp0b2tlbg==", "basic ***"),
        ("postgresql://me:hun@ter3@host/db", "postgresql://***@host/db"),
        ("proxy http://me@host:3128", "proxy http://***@host:3128"),
        ("/v2/orders?token=hunter3&page=2", "/v2/orders?token=***&page=2"),
        ("host=x password=hunter3 user=me", "host=x password=*** user=me"),
        ('{"pin_passcode": "4711", "page": 2}', '{"pin_passcode": "***", "page": 2}'),
        ("{'attempted_pin': '4711'}", "{'attempted_pin': '***'}"),
        ("write to robin@mail.example.com, please", "write to ***, please"),
        ("number 13035550123", "number …123"),
        ("number +1 (303) 555-0123.", "number …123."),
        ("02-5550-0199 and 0255500199", "…199 and …199"),
        ("+61 2 5550 0199, 303 555 0123", "…199, …123"),
        ("status 401 (10009 Authentication failed)", "status 401 (10009 Authentication failed)"),
        ("3 feeds, 120 orders, 4500 events", "3 feeds, 120 orders, 4500 events"),
        (13035550123, "…123"),
        ("at 2026-06-15T12:00:00.123456+00:00", "at 2026-06-15T12:00:00.123456+00:00"),
        ("until 2026-06-15 12:00 UTC", "until 2026-06-15 12:00 UTC"),
        ("order 12345678-1234-4234-8234-123456789012", "order 12345678-1234-4234-8234-123456789012"),
        ("GET 127.0.0.1:41253/v2/orders: status 500", "GET 127.0.0.1:41253/v2/orders: status 500"),
        ("P-000002", "P-000002"),
        ("accounts.main.secret: env:KEY: is empty", "accounts.main.secret: env:KEY: is empty"),
        ("null value\nDETAIL:  Failing row contains (Robin)", "null value DETAIL: ***"),
        (1_234_567, 1_234_567),
        (float("nan"), "nan"),
        (0.25, 0.25),
        (Secret("hunter3"), "***"),
        (b"Bearer hunter3", "b'Bearer ***'"),
        (ValueError("hunter2"), "***"),
        ({"hunter2": ("hunter2", {"pin": 4711})}, {"***": ["***", {"pin": "***"}]}),
    ],
)
def test_hidden_by_value(value: object, shown: object) -> None:
    assert said(value) == shown


def test_a_secret_that_is_read_later_is_hidden_too() -> None:
    secrets = {"hunter2"}
    redact = logs.redactor(secrets)
    secrets.add("rotated")
    assert redact(None, "info", {"text": "hunter2 rotated"}) == {"text": "*** ***"}
