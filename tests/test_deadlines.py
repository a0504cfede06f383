"""Deadlines: what takes too long is ended, what does not is left alone."""

import threading
import time
from functools import partial

from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.deadlines import Deadlines

PATIENCE_S = 30.0


def test_what_takes_too_long_is_ended_the_shortest_first() -> None:
    deadlines, ended, over = Deadlines(), list[str](), threading.Event()

    def last() -> None:
        ended.append("longer")
        over.set()

    never, shorter = partial(ended.append, "never"), partial(ended.append, "shorter")
    with deadlines.within(60, never), deadlines.within(0.1, last), deadlines.within(0.02, shorter):
        assert over.wait(PATIENCE_S)
    assert ended == ["shorter", "longer"]


def test_what_is_over_in_time_is_left_alone_and_costs_no_thread_of_its_own() -> None:
    deadlines, ended = Deadlines(), list[int]()
    before = threading.active_count()
    for turn in range(200):
        with deadlines.within(0.05, partial(ended.append, turn)):
            pass
    assert threading.active_count() <= before + 1
    over = threading.Event()
    with deadlines.within(0.1, over.set):
        assert over.wait(PATIENCE_S), "it goes on after the ones before it came to their time"
    assert ended == []


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 30), min_size=1, max_size=8))
def test_each_is_ended_once_and_none_too_early(spans: list[int]) -> None:
    deadlines, ended = Deadlines(), list[tuple[int, float]]()
    over = threading.Semaphore(0)

    def wait(span: int) -> None:
        began = time.monotonic()

        def end() -> None:
            ended.append((span, time.monotonic() - began))
            over.release()

        with deadlines.within(span / 1_000, end):
            done.wait(PATIENCE_S)

    done = threading.Event()
    threads = [threading.Thread(target=wait, args=(span,)) for span in spans]
    for thread in threads:
        thread.start()
    for _ in spans:
        assert over.acquire(timeout=PATIENCE_S)
    done.set()
    for thread in threads:
        thread.join()
    assert sorted(span for span, _ in ended) == sorted(spans)
    assert all(took >= span / 1_000 for span, took in ended)
