"""Faults of whole replies, around everything under `/v2`; and the `Date` header from the simulated clock.

What a web framework cannot do, such as cutting a connection, is done on the transport below it.
"""

import asyncio
import random
import struct
import zlib
from collections import Counter
from datetime import timedelta
from email.utils import format_datetime
from functools import cache
from socket import SO_LINGER, SOL_SOCKET
from typing import Any, cast

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aggregator.simulator import replies
from aggregator.simulator.refusals import Refusals, provider
from aggregator.simulator.world import World

MB = 1024 * 1024
PLAYED = ("reset", "drip", "huge", "bomb", "cut", "foreign", "bad_json", "empty_list")


class Wire:
    """The server as clients meet it."""

    def __init__(self, world: World, inner: ASGIApp) -> None:
        self.world, self.inner = world, inner
        self.requests: Counter[str] = Counter()
        self.struck = 0
        self._draws = random.Random(f"{world.settings.seed}/faults")
        self._refusals = Refusals(world, self._hit, self._draws.choice)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        path: str = scope["path"]
        if path.startswith("/_sim"):
            await self.inner(scope, receive, self._dated(send, {}))
            return
        self.requests[_kind(path)] += 1
        strikes = self._strikes(path)
        if strikes and self.world.faults.slow:
            await asyncio.sleep(self.world.faults.slow)
        refusal = self._refusals.standing(scope) or (self._refusals.passing(scope) if strikes else None)
        if refusal is not None:
            await refusal(scope, receive, self._dated(send, {}))
            return
        dated = self._dated(send, self._refusals.limits(path))
        for knob in PLAYED if strikes else ():
            if self._hit(knob):
                await self._play(knob, scope, receive, send, dated)
                return
        await self.inner(scope, receive, dated)

    def _strikes(self, path: str) -> bool:
        """Whether faults of whole replies may befall this request."""
        faults = self.world.faults
        if faults.times and self.struck >= faults.times:
            return False
        return faults.strikes in ("both", provider(path)) or faults.strikes in path

    def _hit(self, knob: str) -> bool:
        share: float = getattr(self.world.faults, knob)
        if not share or self._draws.random() >= share:
            return False
        self.world.injected[knob] += 1
        self.struck += 1
        return True

    async def _play(self, knob: str, scope: Scope, receive: Receive, send: Send, dated: Send) -> None:
        """Ask for the real reply, then send what the fault makes of it."""
        reply = await _captured(self.inner, scope, receive)
        transport = cast(Any, send).__self__.transport
        if knob == "reset":
            await self._reset(reply, transport, receive)
        elif knob == "drip":
            await self._drip(reply, transport, receive)
        elif knob == "huge":
            await self._huge(reply, transport, dated)
        elif knob == "bomb":
            squeezed = bomb(self.world.faults.bomb_mb)
            headers = {"content-type": "application/json", "content-encoding": "gzip"}
            await Response(squeezed, 200, headers)(scope, receive, dated)
        else:
            faults, named = self.world.faults, provider(scope["path"])
            changed = {
                "cut": lambda: replies.cut(reply),
                "foreign": lambda: replies.foreign(faults.foreign_style, named, self._draws),
                "bad_json": lambda: replies.bad_json(faults.bad_json_style, reply, self._draws),
                "empty_list": lambda: replies.emptied(reply),
            }[knob]()
            await changed(scope, receive, dated)

    async def _reset(self, reply: Response, transport: Any, receive: Receive) -> None:
        """Cut the connection: before a byte, in the headers, or in the body."""
        style = self.world.faults.reset_style
        style = self._draws.choice(("before", "headers", "body")) if style == "any" else style
        head, body = self._raw(reply)
        if style == "headers":
            transport.write(head[: len(head) // 2])
        elif style == "body":
            transport.write(head + body[: len(body) // 2])
            transport.close()
        if style != "body":
            transport.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
            await asyncio.sleep(0.01)
            transport.abort()
        await _gone(receive)

    async def _drip(self, reply: Response, transport: Any, receive: Receive) -> None:
        """Send headers or body a few bytes at a time, for as long as the client listens."""
        faults = self.world.faults
        head, body = self._raw(reply)
        at_once, slowly = (head, body) if faults.drip_style == "body" else (b"", head + body)
        transport.write(at_once)
        step = max(1, faults.drip_bytes)
        for at in range(0, len(slowly), step):
            if transport.is_closing():
                break
            transport.write(slowly[at : at + step])
            await asyncio.sleep(faults.drip_s)
        transport.close()
        await _gone(receive)

    async def _huge(self, reply: Response, transport: Any, send: Send) -> None:
        """The reply with blanks behind it, which is still good JSON."""
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": reply.status_code, "headers": headers})
        await send({"type": "http.response.body", "body": bytes(reply.body), "more_body": True})
        for _ in range(self.world.faults.huge_mb * 16):
            if transport.is_closing():
                break
            await send({"type": "http.response.body", "body": b" " * (MB // 16), "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _raw(self, reply: Response) -> tuple[bytes, bytes]:
        """A reply as it stands on the wire; its connection is used for nothing else."""
        date = self._date()
        lines = [f"HTTP/1.1 {reply.status_code} Simulated", "connection: close"]
        lines += [f"{name}: {value}" for name, value in reply.headers.items()]
        lines += [f"date: {date}"] if date else []
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"), bytes(reply.body)

    def _date(self) -> str | None:
        faults = self.world.faults
        if faults.date_style == "clock":
            skew = timedelta(seconds=faults.date_skew_s)
            return format_datetime(self.world.clock.now() + skew, usegmt=True)
        return "yesterday, after tea" if faults.date_style == "words" else None

    def _dated(self, send: Send, more: dict[str, str]) -> Send:
        """Headers beside the reply's own: the date, and what is left of a quota."""

        async def dated(message: Message) -> None:
            if message["type"] == "http.response.start":
                added = [(name.encode(), value.encode()) for name, value in more.items()]
                date = self._date()
                added += [(b"date", date.encode())] if date else []
                message["headers"] = [*message["headers"], *added]
            await send(message)

        return dated


def _kind(path: str) -> str:
    parts = path.split("/")[2:]
    return "/".join(part for part in parts if not any(letter.isdigit() for letter in part)) or path


async def _captured(app: ASGIApp, scope: Scope, receive: Receive) -> Response:
    """What the application would have answered."""
    held = Response()
    body = bytearray()

    async def take(message: Message) -> None:
        if message["type"] == "http.response.start":
            held.status_code = message["status"]
            held.raw_headers = list(message["headers"])
        else:
            body.extend(message.get("body", b""))

    await app(scope, receive, take)
    held.body = bytes(body)
    return held


async def _gone(receive: Receive) -> None:
    """Wait until the connection is down, so that the server adds nothing of its own."""
    while (await receive())["type"] != "http.disconnect":
        pass


@cache
def bomb(size_mb: int) -> bytes:
    """A small gzip body that unpacks to so many MB of blanks; one block is compressed and repeated."""
    block = b" " * MB
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packer.compress(block)
    packer.flush(zlib.Z_FULL_FLUSH)
    packed = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    check = 0
    for _ in range(size_mb):
        check = zlib.crc32(block, check)
    end = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS).flush()
    head = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
    return head + packed * size_mb + end + struct.pack("<II", check, size_mb * MB & 0xFFFFFFFF)
