"""A Postgres that is set up otherwise, or reached through a pooler: our schema, UTF-8 and ISO dates, or a refusal."""

import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import filled
import psycopg
import pytest
from pooler import pooler
from psycopg.conninfo import make_conninfo
from service import TOML, Start
from stored import desk, event

from aggregator.errors import Unusable
from aggregator.simulator import Running
from aggregator.store import engine as engines
from aggregator.store import open_store, schema
from aggregator.store.queries import open_reader

Run = Callable[..., tuple[int, str, str]]
VERBS = ("db upgrade", "db check", "check", "poll", "waiting", "db grant-reader reader_of_it")


def run_on(run: Run, folder: Path, url: str) -> Callable[[str], tuple[int, str, str]]:
    """Runs a verb with a configuration that has this database, and keys."""
    config = f"--config={filled.configuration(folder, url)}"
    key = folder / "no-such-file"
    key.touch(0o600)
    key.write_text("a-key")
    return lambda verb: run(config, *verb.split())


@pytest.mark.parametrize("does", ["drops", "refuses"])
def test_a_pooler_that_takes_no_options_is_refused_in_words_by_every_verb(
    run: Run, tmp_path: Path, empty_postgres_url: str, does: str
) -> None:
    with pooler(empty_postgres_url, does) as url:  # type: ignore[arg-type]
        through = run_on(run, tmp_path, url)
        for verb in VERBS:
            code, out, err = through(verb)
            assert (code, verb) == (78, verb)
            assert "pooler" in out + err and "search_path" in out + err, verb
    with psycopg.connect(empty_postgres_url) as direct:
        made = "select count(*) from pg_class where relnamespace in ('public'::regnamespace)"
        assert direct.execute(made).fetchone() == (0,), "nothing was made in somebody else's schema"


def test_a_pooler_that_drops_options_may_be_used_where_the_role_finds_the_schema_by_itself(
    empty_postgres_url: str,
) -> None:
    with psycopg.connect(empty_postgres_url, autocommit=True) as direct:
        (name,) = direct.execute("select current_database()").fetchone() or ("",)
        direct.execute(f'alter role postgres in database "{name}" set search_path = porting'.encode())
        direct.execute(f'alter role postgres in database "{name}" set timezone = UTC'.encode())
    with pooler(empty_postgres_url, "drops") as url:
        engine = engines.connect(url)
        schema.upgrade(engine)
        engine.dispose()
        with desk(url) as acme:
            acme.record(event(1, "submitted"))
    reader = open_reader(empty_postgres_url)
    assert len(reader.select("orders")) == 1
    reader.close()


def test_a_session_whose_schema_was_changed_under_us_writes_nothing(postgres_url: str) -> None:
    with desk(postgres_url) as acme:
        with acme.store.engine.connect() as session:  # as a pooler hands one on that another client has used
            session.exec_driver_sql("set search_path = public")
            session.commit()
        with pytest.raises(Unusable, match="the schema in use is public, not porting"):
            acme.record(event(1, "submitted"))


@pytest.mark.parametrize("does", ["drops", "refuses"])
def test_a_daemon_does_not_wait_for_a_pooler_to_become_another_one(
    simulate: Callable[..., Running], started: Start, empty_postgres_url: str, does: str
) -> None:
    with pooler(empty_postgres_url, does) as url:  # type: ignore[arg-type]
        service = started(simulate("--orders", "3"), TOML.replace("sqlite:///aggregator.db", url))
        assert service.process.wait(timeout=30) == 78
    assert "pooler" in "".join(service.lines)


# --- encodings and settings ------------------------------------------------------------------------------


@pytest.fixture
def made(postgres: str) -> Iterator[Callable[..., str]]:
    """Makes empty databases of an encoding, with settings of their own; their URLs."""
    names = []

    def make(encoding: str, *settings: str) -> str:
        name = "t" + uuid.uuid4().hex[:12]
        names.append(name)
        how = f"encoding '{encoding}' lc_collate 'C' lc_ctype 'C' template template0"
        _run(postgres, f"create database {name} {how}")
        for setting in settings:
            _run(postgres, f"alter database {name} set {setting}")
        head, _, query = postgres.partition("?")
        return f"{head.rsplit('/', 1)[0]}/{name}" + (f"?{query}" if query else "")

    yield make
    for name in names:
        _run(postgres, f"drop database {name} with (force)")


def _run(address: str, statement: str) -> None:
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(statement.encode())


ODD = (
    "datestyle = 'German, DMY'",
    "datestyle = 'SQL, MDY'",
    "timezone = 'Australia/Lord_Howe'",
    "intervalstyle = 'iso_8601'",
    "bytea_output = 'escape'",
    "client_encoding = 'LATIN1'",
    "standard_conforming_strings = off",
    "default_transaction_isolation = 'serializable'",
    "extra_float_digits = 0",
    "search_path = public",
)


@pytest.mark.parametrize("encoding", ["UTF8", "SQL_ASCII"])
def test_whatever_a_database_has_by_default_the_same_is_written_and_read(
    run: Run, tmp_path: Path, made: Callable[..., str], encoding: str
) -> None:
    there = run_on(run, tmp_path, made(encoding, *ODD))
    assert there("db upgrade")[0] == 0
    url = (tmp_path / "aggregator.toml").read_text().partition('url = "')[2].partition('"')[0]
    filled.fill(url)
    (tmp_path / "file").mkdir()
    filled.fill(f"sqlite:///{tmp_path}/file/aggregator.db")
    plain = run_on(run, tmp_path / "file", "sqlite:///aggregator.db")
    for verb in ("waiting", "orders --all", "events", "accounts", "unknown", "quarantine"):
        assert rows(there, verb) == rows(plain, verb) != [], verb
        assert there(verb)[0] == 0
    assert there("db check")[0] == there("replay --dry-run")[0] == 0


def rows(run: Callable[[str], tuple[int, str, str]], verb: str) -> list[object]:
    """What a read verb prints."""
    code, out, _ = run(f"{verb} --json")
    assert code == 0
    return [json.loads(line) for line in out.splitlines()]


@pytest.mark.parametrize("encoding", ["LATIN1", "WIN1252", "EUC_JP"])
def test_a_database_of_another_encoding_is_refused_in_words(
    run: Run, tmp_path: Path, made: Callable[..., str], encoding: str
) -> None:
    there = run_on(run, tmp_path, made(encoding))
    for verb in VERBS:
        code, out, err = there(verb)
        assert (code, verb) == (78, verb)
        assert f"its encoding is {encoding}" in out + err


def test_a_writer_sees_what_the_one_before_it_did_whatever_isolation_is_the_default(
    made: Callable[..., str],
) -> None:
    engine = engines.connect(made("UTF8", "default_transaction_isolation = 'repeatable read'"))
    schema.upgrade(engine)
    with engines.writing(engine) as tx:
        assert tx.exec_driver_sql("show transaction_isolation").scalar() == "read committed"
    engine.dispose()


def test_the_options_of_a_connection_are_ours_alone(postgres_url: str) -> None:
    """A conninfo of libpq's own with other options changes nothing."""
    assert "options" not in make_conninfo(postgres_url)
    store = open_store(f"{postgres_url}&options=-csearch_path%3Dpublic")
    schema.require(store.engine)
    store.close()
