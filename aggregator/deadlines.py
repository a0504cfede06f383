"""Deadlines: one thread ends whatever takes too long in this process, for all of its accounts."""

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Deadlines:
    """What is going on, and until when. Nothing wakes the thread as long as all goes well: it looks when the first
    deadline that it knew of comes, and asks what there is by then."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._going_on: dict[object, tuple[float, Callable[[], None]]] = {}
        self._looks_at = math.inf
        self._thread: threading.Thread | None = None

    @contextmanager
    def within(self, seconds: float, end: Callable[[], None]) -> Iterator[None]:
        """Have `end` called, from another thread, where the block takes longer than so many seconds; never once it
        is left."""
        me, due = object(), time.monotonic() + seconds
        with self._changed:
            self._going_on[me] = (due, end)
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="deadlines", daemon=True)
                self._thread.start()
            elif due < self._looks_at:
                self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                self._going_on.pop(me, None)

    def _watch(self) -> None:
        with self._changed:
            while True:
                now = time.monotonic()
                for one, (due, end) in list(self._going_on.items()):
                    if due <= now:
                        del self._going_on[one]
                        end()
                self._looks_at = min((due for due, _ in self._going_on.values()), default=math.inf)
                self._changed.wait(None if self._looks_at == math.inf else self._looks_at - now)
