"""The verbs around the program: configuration, database, providers, help; and what `--help` promises."""

import json
import logging
import os
import re
import sqlite3
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import filled
import psycopg
import pytest
import structlog
import typer

from aggregator import __version__, providers
from aggregator.cli import main
from aggregator.cli.app import app
from aggregator.config import load
from aggregator.core.account import Adapter
from aggregator.store import schema

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def _logs() -> Iterator[None]:
    """Verbs set logging up for a process that ends with them; here it goes on."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = before
    structlog.reset_defaults()


def configured(folder: Path, url: str, **more: str) -> str:
    """The options that name a configuration with this database."""
    path = filled.configuration(folder, url)
    keys = "".join(f'{key} = "{value}"\n' for key, value in more.items())
    path.write_text(path.read_text("utf-8").replace("[database]\n", f"[database]\n{keys}"), encoding="utf-8")
    return f"--config={path}"


# --- help -----------------------------------------------------------------------------------------------


def verbs() -> dict[str, typer.models.CommandInfo]:
    """Every verb that the program has, by what a person types."""
    main(["--version"])
    found = {str(one.name or getattr(one.callback, "__name__", "")): one for one in app.registered_commands}
    for group in app.registered_groups:
        assert group.typer_instance is not None
        found |= {f"{group.name} {one.name}": one for one in group.typer_instance.registered_commands}
    return found


def test_the_read_and_set_up_verbs_of_the_contract_are_there() -> None:
    promised = (
        "waiting orders changes events feeds accounts unknown quarantine show number config-example config-show "
        "db-upgrade db-check db-grant-reader providers simulate demo poll check event"
    )
    assert {name.replace("-", " ", 1) for name in promised.split(" ")} <= verbs().keys()


def test_the_help_of_every_verb_shows_an_example_that_names_the_verb() -> None:
    for name, verb in verbs().items():
        text = verb.help or getattr(verb.callback, "__doc__", None) or ""
        examples = re.findall(r"\[bold\](.+?)\[/\]", text)
        assert any(f" {name}" in example for example in examples), f"{name}: no example"


@pytest.mark.parametrize("arguments", [("--help",), ("-h",), ("waiting", "--help"), ("db", "check", "-h")])
def test_help_is_no_error(run: Run, arguments: tuple[str, ...]) -> None:
    code, out, err = run(*arguments)
    assert (code, err) == (0, "")
    assert "Usage: porting-aggregator" in out


def test_help_shows_no_types_of_flags_and_arguments_in_the_usual_notation(run: Run) -> None:
    for name in ("", *verbs()):
        if name == "simulate":  # a parser of its own
            continue
        code, out, _ = run(*name.split(), "--help")
        assert code == 0
        assert not re.search(r"<\w|\{|\[\[", out), f"{name}: {out}"
    assert "poll [OPTIONS] [ACCOUNT]...\n" in re.sub(" +\n", "\n", run("poll", "--help")[1])
    assert "event [OPTIONS] ACCOUNT EVENT_ID\n" in re.sub(" +\n", "\n", run("event", "--help")[1])
    assert "providers [OPTIONS] [NAME]\n" in re.sub(" +\n", "\n", run("providers", "--help")[1])


@pytest.mark.parametrize("arguments", [("--help",), ("waiting", "--state", "nope")])
def test_no_color_leaves_plain_text_in_help_and_errors(arguments: tuple[str, ...]) -> None:
    env = {**os.environ, "NO_COLOR": "1", "FORCE_COLOR": "1"}
    ended = subprocess.run(
        [sys.executable, "-m", "aggregator", *arguments], capture_output=True, text=True, env=env, check=False
    )
    assert "porting-aggregator" in ended.stdout + ended.stderr
    assert "\x1b" not in ended.stdout + ended.stderr


def test_the_version_is_told(run: Run) -> None:
    assert run("--version") == (0, f"porting-aggregator {__version__}\n", "")


@pytest.mark.parametrize(
    "arguments", [("--log-level", "loud"), ("--log-format", "xml"), ("db", "chekc"), ("cnofig",)]
)
def test_wrong_global_options_and_verbs_end_with_2(run: Run, arguments: tuple[str, ...]) -> None:
    code, out, err = run(*arguments, *(("feeds",) if arguments[0].startswith("--") else ()))
    assert (code, out) == (2, "")
    assert err


# --- config ---------------------------------------------------------------------------------------------


def test_the_example_is_a_configuration(run: Run, tmp_path: Path) -> None:
    code, out, _ = run("config", "example")
    assert code == 0
    (tmp_path / "aggregator.toml").write_text(out, encoding="utf-8")
    assert load(tmp_path / "aggregator.toml", providers.load, {}).accounts


def test_the_configuration_in_force_is_shown_without_secrets(run: Run, tmp_path: Path) -> None:
    code, out, err = run(
        configured(tmp_path, "postgresql://porter:opensesame@db.example.com/porting"), "config", "show"
    )
    assert (code, err) == (0, "")
    assert "opensesame" not in out
    assert set(tomllib.loads(out)["accounts"]) == {"telnyx-main", "fone-au"}


def test_every_mistake_of_a_configuration_is_told_at_once(run: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text(
        '[database]\nurl = 5\n[accounts.x]\nprovider = "telnix"\n', encoding="utf-8"
    )
    code, out, err = run("--config", "bad.toml", "config", "show")
    assert (code, out) == (78, "")
    assert "database.url" in err
    assert "accounts.x.provider" in err
    assert "accounts.x.secret" in err


# --- db -------------------------------------------------------------------------------------------------


def test_upgrade_makes_the_schema_and_says_when_there_is_nothing_to_do(run: Run, tmp_path: Path) -> None:
    config = configured(tmp_path, "sqlite:///aggregator.db")
    assert run(config, "db", "upgrade") == (0, f"schema none → {schema.head()}\n", "")
    assert run(config, "db", "upgrade") == (0, f"schema {schema.head()}\n", "")
    code, out, err = run(config, "db", "check")
    assert (code, out.splitlines()[0], err) == (0, f"schema {schema.head()}, ok", "")


def test_upgrade_makes_the_schema_on_postgres_which_check_asks_for_before(
    run: Run, tmp_path: Path, empty_postgres_url: str
) -> None:
    config = configured(tmp_path, empty_postgres_url)
    code, out, err = run(config, "db", "check")
    assert (code, out) == (78, "")
    assert "type: porting-aggregator db upgrade" in err
    assert run(config, "db", "upgrade")[0] == 0
    assert run(config, "db", "check")[0] == 0


def test_a_schema_of_another_version_is_refused_with_what_to_do(run: Run, tmp_path: Path) -> None:
    config = configured(tmp_path, "sqlite:///aggregator.db")
    run(config, "db", "upgrade")
    with sqlite3.connect(tmp_path / "aggregator.db") as database:
        database.execute("update schema_version set version_num = 'from-the-future'")
    database.close()
    for arguments in (("db", "check"), ("db", "upgrade")):
        code, out, err = run(config, *arguments)
        assert (code, out) == (78, "")
        assert "from-the-future" in err


def test_a_backup_put_back_makes_readers_start_again(run: Run, tmp_path: Path) -> None:
    config = configured(tmp_path, "sqlite:///aggregator.db")
    filled.fill(f"sqlite:///{tmp_path}/aggregator.db")
    kept = tmp_path / "kept.db"
    assert run(config, "db", "backup", str(kept)) == (0, f"copied to {kept}\n", "")
    with sqlite3.connect(kept) as copy:
        ((feed_id, newest),) = copy.execute("select feed_id, newest_seq from v1_feed_identity")
        assert copy.execute("select count(*) from v1_changes").fetchone() == (newest,)
    copy.close()
    kept.replace(tmp_path / "aggregator.db")
    tail = ("changes", "--after", str(newest), "--feed-id", feed_id)
    assert run(config, *tail)[0] == 0
    code, out, _ = run(config, "db", "restored")
    assert code == 0
    assert feed_id not in out
    assert run(config, *tail)[0] == 65


def test_a_postgres_is_backed_up_with_its_own_tools(run: Run, tmp_path: Path, postgres_url: str) -> None:
    code, _, err = run(configured(tmp_path, postgres_url), "db", "backup", str(tmp_path / "kept.db"))
    assert code == 78
    assert "pg_dump" in err


def test_a_damaged_file_is_bad_news(run: Run, tmp_path: Path) -> None:
    config = configured(tmp_path, "sqlite:///aggregator.db")
    filled.fill(f"sqlite:///{tmp_path}/aggregator.db")
    path = tmp_path / "aggregator.db"
    with sqlite3.connect(path) as database:
        (page,) = database.execute("select rootpage from sqlite_master where name = 'change'").fetchone()
        (size,) = database.execute("pragma page_size").fetchone()
    database.close()
    content = bytearray(path.read_bytes())
    content[(page - 1) * size : page * size] = b"\x05" * size
    path.write_bytes(content)
    code, out, _ = run(config, "db", "check")
    assert code == 1
    assert out.startswith("BAD ")


@pytest.mark.parametrize("arguments", [("check",), ("upgrade",), ("grant-reader", "someone")])
def test_a_database_that_cannot_be_reached_is_worth_another_try(
    run: Run, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    config = configured(tmp_path, f"postgresql://nobody@/nothing?host={tmp_path}")
    code, out, err = run(config, "db", *arguments)
    assert (code, out) == (75, "")
    assert "Traceback" not in err


def test_a_granted_reader_reads_with_every_read_verb_and_can_do_nothing_else(
    run: Run, tmp_path: Path, postgres_url: str
) -> None:
    filled.fill(postgres_url)
    owner = configured(tmp_path, postgres_url)
    code, out, err = run(owner, "db", "grant-reader", "dash_boards")
    assert (code, err) == (0, "")
    assert out.startswith("dash_boards can read the views")
    assert run(owner, "db", "grant-reader", "dash_boards")[0] == 0
    (tmp_path / "reader").mkdir()
    theirs = re.sub(r"//[^@]*@", "//dash_boards@", postgres_url)
    reader = configured(tmp_path / "reader", theirs)
    for verb in ("waiting", "orders", "changes", "events", "accounts", "unknown", "quarantine"):
        assert run(reader, verb, "--json") == run(owner, verb, "--json"), verb
        assert run(reader, verb)[0] == 0
    assert run(reader, "feeds")[0] == 1
    assert run(reader, "show", filled.ACME)[:2] == run(owner, "show", filled.ACME)[:2]
    assert run(reader, "changes", "--after", "5", "--json") == run(owner, "changes", "--after", "5", "--json")
    with psycopg.connect(theirs) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("select * from porting.change")
    with psycopg.connect(theirs) as connection:
        assert connection.execute("select count(*) from v1_orders").fetchone() == (8,)
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("revoke select on porting.v1_orders from dash_boards")
    code, out, err = run(reader, "orders")
    assert (code, out) == (78, "")
    assert "permission denied for view v1_orders" in err and "db grant-reader" in err


def test_a_reader_of_a_file_needs_no_grant(run: Run, tmp_path: Path) -> None:
    code, out, err = run(configured(tmp_path, "sqlite:///aggregator.db"), "db", "grant-reader", "someone")
    assert (code, out) == (78, "")
    assert "Postgres" in err


# --- providers ------------------------------------------------------------------------------------------


def test_providers_lists_every_adapter(run: Run) -> None:
    code, out, _ = run("providers", "--json")
    assert code == 0
    found = {row["provider"]: row for row in map(json.loads, out.splitlines())}
    assert set(found) == {"telnyx", "fonedynamics"}
    assert found["telnyx"]["feeds"] == ["porting_events", "portout_events", "porting_orders", "portouts"]
    assert "Telnyx" in run("providers")[1]


@pytest.mark.parametrize("name", ["telnyx", "fonedynamics"])
def test_a_provider_shows_all_its_feeds_options_and_words(run: Run, name: str) -> None:
    adapter: Adapter = providers.load(name)
    code, out, _ = run("providers", name, "--json")
    assert code == 0
    tables: dict[str, list[dict[str, Any]]] = {}
    for row in map(json.loads, out.splitlines()):
        tables.setdefault(row.pop("table"), []).append(row)
    assert [row["feed"] for row in tables["feeds"]] == list(adapter.feeds)
    assert len(tables["words"]) == sum(map(len, adapter.words.values())) + len(adapter.reasons)
    text = run("providers", name)[1]
    assert all(re.search(rf"^{re.escape(feed)} ", text, re.MULTILINE) for feed in adapter.feeds)
    assert "region" in text


def test_what_is_said_of_feeds_and_options_can_be_written_into_the_configuration(run: Run) -> None:
    text = run("providers", "fonedynamics")[1]
    assert re.search(r"^porting_status +events +2m +15m +30d$", text, re.MULTILINE)
    assert re.search(r"^paging +auto \| token \| offset +auto$", text, re.MULTILINE)
    assert re.search(r"^page_token_param +str +NextPageToken$", text, re.MULTILINE)
    assert re.search(r"^account_sid +str +\(must be given\)$", text, re.MULTILINE)


def test_a_provider_nobody_has_is_named_beside_those_there_are(run: Run) -> None:
    code, out, err = run("providers", "telnix")
    assert (code, out) == (2, "")
    assert "no such provider: telnix (did you mean telnyx?)" in " ".join(err.split())
    assert "there is fonedynamics, telnyx" in " ".join(run("providers", "moon")[2].split())


def test_simulate_explains_itself(run: Run) -> None:
    code, out, _ = run("simulate", "--help")
    assert code == 0
    assert "--fault" in out


# --- check ----------------------------------------------------------------------------------------------


def with_keys(folder: Path) -> str:
    """A configuration whose accounts have keys."""
    said = configured(folder, "sqlite:///aggregator.db")
    (folder / "no-such-file").write_text("a-key", encoding="utf-8")
    (folder / "no-such-file").chmod(0o600)
    return said


def test_check_says_of_each_thing_how_it_is(run: Run, tmp_path: Path) -> None:
    config = with_keys(tmp_path)
    code, out, _ = run(config, "check")
    assert (code, [line.split()[:2] for line in out.splitlines()]) == (
        0,
        [["configuration", "ok"], ["database", "ok"], ["telnyx-main", "ok"], ["fone-au", "ok"]],
    )
    (tmp_path / "no-such-file").unlink()
    code, out, _ = run(config, "check")
    assert (code, [line.split()[1] for line in out.splitlines()]) == (78, ["ok", "ok", "BAD", "BAD"])


def test_check_as_json_lines_says_the_same(run: Run, tmp_path: Path) -> None:
    config = with_keys(tmp_path)
    (tmp_path / "aggregator.db").write_bytes(b"")
    code, out, _ = run(config, "check", "--json")
    assert code == 78
    found = [json.loads(line) for line in out.splitlines()]
    assert [list(row) for row in found] == [["what", "name", "ok", "exit_code", "text"]] * 4
    assert [tuple(row.values())[:4] for row in found] == [
        ("configuration", "configuration", True, 0),
        ("database", "database", False, 78),
        ("account", "telnyx-main", True, 0),
        ("account", "fone-au", True, 0),
    ]
    assert found[1]["text"] == "the database has no schema yet; type: porting-aggregator db upgrade"


@pytest.mark.parametrize("verb", [("check",), ("check", "--json"), ("poll",)])
@pytest.mark.parametrize("disabled", [False, True])
def test_a_configuration_without_any_account_in_use_is_refused_with_advice(
    run: Run, tmp_path: Path, verb: tuple[str, ...], disabled: bool
) -> None:
    path = tmp_path / "empty.toml"
    account = '[accounts.a]\nprovider = "telnyx"\nsecret = "file:a"\nenabled = false\n'
    path.write_text(account if disabled else "", encoding="utf-8")
    code, out, err = run("--config", str(path), *verb)
    said = f"{path}: no account to poll; write an [accounts.NAME] section"
    assert code == 78
    if "--json" in verb:
        assert (json.loads(out)["text"], err) == (said, "")
    else:
        assert (out, err) == ("", f"{said}\n")


@pytest.mark.parametrize(
    ("text", "mistakes"),
    [
        ("[log\n", 1),
        ("[accounts.a]\nprovider = 1\nsecret = 2\nregion = 3\n", 3),
        (None, 1),
        ("x = 1" + "0" * 5_000, 1),
    ],
)
def test_check_as_json_is_json_on_a_broken_configuration_too(
    run: Run, tmp_path: Path, text: str | None, mistakes: int
) -> None:
    path = tmp_path / "broken.toml"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    code, out, err = run("--config", str(path), "check", "--json")
    found = [*map(json.loads, out.splitlines())]
    assert (code, err, len(found)) == (78, "", mistakes)
    assert {(row["what"], row["ok"], row["exit_code"]) for row in found} == {("configuration", False, 78)}
    _, out, err = run("--config", str(path), "check")
    assert (out, err.splitlines()) == ("", [row["text"] for row in found])


@pytest.mark.parametrize("content", [b"no database at all" * 500, b"SQLite format 3\0" + b"\xff" * 5_000])
def test_check_as_json_is_json_on_a_broken_database_too(run: Run, tmp_path: Path, content: bytes) -> None:
    config = with_keys(tmp_path)
    (tmp_path / "aggregator.db").write_bytes(content)
    code, out, _ = run(config, "check", "--json")
    found = {row["name"]: row["exit_code"] for row in map(json.loads, out.splitlines())}
    assert found.keys() == {"configuration", "database", "telnyx-main", "fone-au"}
    assert code == found["database"] != 0
