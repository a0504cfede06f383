"""Several writers at once, and who reads beside them."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from made import NOW, account, hour
from sqlalchemy import event as hooks
from sqlalchemy import text
from stored import desk, event

from aggregator.core.findings import Findings
from aggregator.errors import StoreError
from aggregator.store import engine as engines
from aggregator.store import open_store
from aggregator.store.queries import open_reader

WRITERS, COMMITS = 4, 12


def test_a_tailing_reader_misses_nothing_of_concurrent_writers(database_url: str) -> None:
    names = [f"account-{number}" for number in range(WRITERS)]
    accounts = [account(name=name) for name in names]
    with desk(database_url) as first:
        first.store.sync(accounts, timedelta(days=14), NOW)

        def write(number: int) -> None:
            store = open_store(database_url)
            lease = store.take(names[number], NOW)
            assert lease is not None
            for commit in range(COMMITS):
                facts = (
                    event(commit, "submitted", order=f"order-{commit}"),
                    event(commit, "in-process", order="one"),
                )
                store.record(accounts[number], lease, Findings("porting_events", NOW, facts))
            store.release(lease)
            store.close()

        seen: list[int] = []
        orders: list[int] = []
        with ThreadPoolExecutor(WRITERS) as pool:
            writers = [pool.submit(write, number) for number in range(WRITERS)]
            reader = open_reader(database_url)
            while True:
                over = all(writer.done() for writer in writers)
                known = reader.identity()["newest_seq"]
                rows = reader.select("changes", after=seen[-1] if seen else 0)
                seen += [row["seq"] for row in rows]
                orders.append(len(reader.select("orders")))
                assert known <= (seen[-1] if seen else 0)
                if over:
                    break
            for writer in writers:
                writer.result()
            reader.close()
        stored = [row["seq"] for row in first.rows("select seq from v1_changes order by seq")]
        assert seen == stored == list(range(1, len(stored) + 1))
        assert orders == sorted(orders)
        assert first.one("select count(*) from v1_events") == WRITERS * COMMITS * 2
        assert first.one("select count(distinct event_id) from v1_events") == WRITERS * COMMITS * 2


def test_what_one_writer_read_stands_until_it_commits(database_url: str) -> None:
    """A transaction that read before it could write would lose the other one's update, or fail at once."""
    with desk(database_url) as acme:

        def add() -> None:
            for _ in range(10):
                with engines.writing(acme.store.engine) as tx:
                    (floor,) = tx.execute(text("select floor from feed_identity")).one()
                    tx.execute(text("update feed_identity set floor = :next"), {"next": floor + 1})

        with ThreadPoolExecutor(4) as pool:
            for done in [pool.submit(add) for _ in range(4)]:
                done.result()
        assert acme.one("select floor from v1_feed_identity") == 40


def test_nobody_who_reads_waits_for_a_writer(database_url: str) -> None:
    with desk(database_url) as acme:
        acme.record(event(1, "submitted"))
        reader = acme.reader()
        asked: dict[str, Callable[[], object]] = {
            "marks": lambda: acme.store.marks("acme"),
            "agenda": acme.store.agenda,
            "wants": lambda: acme.store.wants(acme.lease, NOW),
            "memory": lambda: acme.store.memory("acme"),
            "orders": lambda: reader.select("orders"),
        }
        answers: dict[str, object] = {}

        def ask() -> None:
            for name, question in asked.items():
                answers[name] = question()

        with engines.writing(acme.store.engine) as tx:
            tx.execute(text("update feed_identity set floor = 7"))
            asking = threading.Thread(target=ask)
            asking.start()
            asking.join()  # who waits for the writer fails in there, when its patience ends
            assert set(answers) == set(asked)
            assert reader.identity()["floor"] == 0
        asking.join()
        assert reader.identity()["floor"] == 7
        reader.close()


def test_a_database_that_stays_locked_is_an_error_of_ours(database_url: str) -> None:
    with desk(database_url) as acme:
        busy = "pragma busy_timeout = 20" if database_url.startswith("sqlite") else "set lock_timeout = 20"
        with acme.store.engine.connect() as connection:
            connection.exec_driver_sql(busy)  # the pool hands this connection out again
            connection.commit()
        other = open_store(database_url)
        try:
            before = acme.everything()
            with engines.writing(other.engine), pytest.raises(StoreError, match="database: "):
                acme.record(event(1, "submitted"))
            assert acme.everything() == before
            assert acme.record(event(1, "submitted")).events == 1
        finally:
            other.close()


def test_a_full_disk_rolls_back_and_heals_by_itself(tmp_path: Path) -> None:
    with desk(f"sqlite:///{tmp_path / 'a.db'}") as acme:
        facts = [event(number, "submitted", order=f"order-{number}") for number in range(300)]
        before = acme.everything()

        def limit(pages: int) -> None:
            with acme.store.engine.connect() as connection:  # the pool hands this connection out again
                connection.exec_driver_sql(f"pragma max_page_count = {pages}")

        limit(acme.one("pragma page_count") + 5)
        with pytest.raises(StoreError, match="database or disk is full"):
            acme.record(*facts, cursor=hour(1))
        assert acme.everything() == before
        limit(10**6)
        assert acme.record(*facts, cursor=hour(1)).events == 300


def test_a_connection_that_is_lost_costs_one_try(postgres_url: str) -> None:
    with desk(postgres_url) as acme:
        before = acme.everything()
        other = open_store(postgres_url)

        def cut(*_: object) -> None:
            with other.engine.begin() as tx:
                tx.exec_driver_sql(
                    "select pg_terminate_backend(pid) from pg_stat_activity "
                    "where pid <> pg_backend_pid() and datname = current_database()"
                )

        hooks.listen(acme.store.engine, "commit", cut)
        with pytest.raises(StoreError):
            acme.record(event(1, "submitted"), cursor=hour(1))
        hooks.remove(acme.store.engine, "commit", cut)
        assert acme.everything() == before
        cut()  # those that idle in the pool are gone too
        assert acme.record(event(1, "submitted"), cursor=hour(1)).events == 1
        other.close()


def test_a_postgres_that_went_without_a_word_is_not_waited_for_as_long_as_tcp_would(
    postgres_url: str,
) -> None:
    engine = engines.connect(postgres_url)
    with engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        given = driver.info.get_parameters()
    engine.dispose()
    idle, interval, count = (int(given[f"keepalives_{name}"]) for name in ("idle", "interval", "count"))
    assert idle + interval * count <= 20
    assert int(given["tcp_user_timeout"]) <= 20_000
