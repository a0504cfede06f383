"""A body as it came over the wire → the body that was meant, within a limit of bytes, whatever it swells to.

Identity is asked for; some servers compress all the same. What Python's own library can undo is undone, piece by
piece, and never further than the limit.
"""

import zlib
from collections.abc import Callable
from typing import Protocol

GZIP, ZLIB, RAW = 31, 15, -15  # as zlib numbers its forms
MEMBERS = 100  # of one gzip body; an honest one has one
STAGES = 2  # of compression, one over the other


class CannotDecode(ValueError):
    """The body is not in the form that its header names, or that form is none we know."""


class TooLong(ValueError):
    """The body is longer than the limit."""


class _Stage(Protocol):
    def feed(self, piece: bytes, room: int) -> bytes: ...
    def end(self) -> None: ...


class Decoder:
    """Takes a body in pieces and gives what they mean. Raises TooLong as soon as that is more than `limit` bytes."""

    def __init__(self, encoding: str, limit: int) -> None:
        names = [name.strip().lower() for name in encoding.split(",")]
        wanted = [name for name in names if name not in ("", "identity")]
        unknown = [name for name in wanted if name not in FORMS]
        if unknown or len(wanted) > STAGES:
            raise CannotDecode(
                f"content encoding {encoding[:40]!r}, which was not asked for and cannot be read"
            )
        self._stages = [FORMS[name]() for name in reversed(wanted)]
        self._limit = limit
        self.body = bytearray()

    def feed(self, piece: bytes) -> None:
        """Take the next piece of the body."""
        for stage in self._stages:
            piece = stage.feed(piece, self._limit - len(self.body))
        self.body += piece
        if len(self.body) > self._limit:
            raise TooLong

    def end(self) -> bytes:
        """The whole body. Raises CannotDecode where its end has not come."""
        for stage in self._stages:
            stage.end()
        return bytes(self.body)


class _Gzip:
    """One gzip member after the other."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(GZIP)
        self._members = 1
        self._begun = False

    def feed(self, piece: bytes, room: int) -> bytes:
        out = b""
        while piece:
            if self._inner.eof:
                self._members += 1
                if self._members > MEMBERS:
                    raise CannotDecode("a gzip body of too many members")
                self._inner = zlib.decompressobj(GZIP)
            self._begun = True
            out += _inflated(self._inner, piece, room - len(out))
            if len(out) > room:
                raise TooLong
            piece = self._inner.unused_data
        return out

    def end(self) -> None:
        if self._begun and not self._inner.eof:
            raise CannotDecode("a gzip body without its end")


class _Deflate:
    """`deflate` is zlib's form by the standard, and without its header by habit."""

    def __init__(self) -> None:
        self._start = b""
        self._inner: zlib._Decompress | None = None

    def feed(self, piece: bytes, room: int) -> bytes:
        if self._inner is None:
            self._start += piece
            if len(self._start) < 2:
                return b""
            first, second = self._start[:2]
            has_header = first & 15 == 8 and (first << 8 | second) % 31 == 0
            self._inner = zlib.decompressobj(ZLIB if has_header else RAW)
            piece = self._start
        if self._inner.eof and piece:
            raise CannotDecode("something follows the end of a deflate body")
        out = _inflated(self._inner, piece, room)
        if self._inner.unused_data:
            raise CannotDecode("something follows the end of a deflate body")
        return out

    def end(self) -> None:
        if self._start and (self._inner is None or not self._inner.eof):
            raise CannotDecode("a deflate body without its end")


FORMS: dict[str, Callable[[], _Stage]] = {"gzip": _Gzip, "x-gzip": _Gzip, "deflate": _Deflate}


def _inflated(inner: "zlib._Decompress", piece: bytes, room: int) -> bytes:
    """What a piece swells to. Raises TooLong rather than make more than one byte beyond the room."""
    try:
        out = inner.decompress(piece, max(room, 0) + 1)
    except zlib.error:
        raise CannotDecode("a compressed body that is broken") from None
    if len(out) > room or inner.unconsumed_tail:
        raise TooLong
    return out
