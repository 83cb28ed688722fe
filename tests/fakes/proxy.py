"""Small real proxies on loopback: HTTP (CONNECT) and SOCKS5. They know names that no resolver knows, and can refuse."""

import asyncio
import base64
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class ProxyStandIn:
    """What a proxy does, and what it was asked. `hosts`: names it knows, all on this machine.

    `status`: how an HTTP proxy answers instead of making a connection. `reply`: the same of a SOCKS proxy.
    `login`: the user and password it wants. `garbage`: it answers with this. `hang`: it answers nothing.
    """

    port: int = 0
    hosts: tuple[str, ...] = ("vendor.test",)
    status: int = 0
    reply: int = 0
    login: tuple[str, str] | None = None
    garbage: bytes = b""
    hang: bool = False
    pieces: bool = False
    asked: list[tuple[str, int]] = field(default_factory=list)
    logins: list[tuple[str, str]] = field(default_factory=list)
    methods: list[str] = field(default_factory=list)


@asynccontextmanager
async def http_proxy(
    state: ProxyStandIn | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[ProxyStandIn]:
    """Serve an HTTP proxy, with `tls` one that is itself reached over TLS."""
    proxy = state or ProxyStandIn()
    async with _serving(proxy, _http, tls):
        yield proxy


@asynccontextmanager
async def socks_proxy(state: ProxyStandIn | None = None) -> AsyncIterator[ProxyStandIn]:
    """Serve a SOCKS5 proxy."""
    proxy = state or ProxyStandIn()
    async with _serving(proxy, _socks):
        yield proxy


@asynccontextmanager
async def _serving(proxy: ProxyStandIn, talk: object, tls: ssl.SSLContext | None = None) -> AsyncIterator[None]:
    tasks: set[asyncio.Task[object]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            if proxy.hang:
                await reader.read()
            elif proxy.garbage:
                await reader.read(1)
                writer.write(proxy.garbage)
                await writer.drain()
            else:
                await talk(proxy, reader, writer)  # type: ignore[operator]
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            tasks.discard(task)
            writer.transport.abort()

    async with await asyncio.start_server(connected, "127.0.0.1", proxy.port, ssl=tls) as server:
        proxy.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


async def _http(proxy: ProxyStandIn, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, place, _ = head[0].split()
    headers: Mapping[str, str] = {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:]) if value
    }
    host, _, port = place.rpartition(":")
    proxy.methods.append(method)
    proxy.asked.append((host, int(port)))
    login = base64.b64decode(headers.get("proxy-authorization", "").removeprefix("Basic ")).decode()
    user, _, password = login.partition(":")
    proxy.logins.append((user, password))
    status = 407 if proxy.login not in (None, (user, password)) else proxy.status
    if status:
        challenge = "Proxy-Authenticate: Basic\r\n" if status == 407 else ""
        writer.write(f"HTTP/1.1 {status} No\r\n{challenge}Content-Length: 2\r\n\r\nno".encode())
        await writer.drain()
        return
    there = await asyncio.open_connection("127.0.0.1" if host in proxy.hosts else host, int(port))
    answer = b"HTTP/1.1 200 Connection established\r\nVia: stand-in\r\n\r\n"
    for part in [answer[at : at + 7] for at in range(0, len(answer), 7)] if proxy.pieces else [answer]:
        writer.write(part)
        await writer.drain()
        await asyncio.sleep(0.005 if proxy.pieces else 0)
    await _both_ways(reader, writer, *there)


async def _socks(proxy: ProxyStandIn, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    _, count = await reader.readexactly(2)
    methods = await reader.readexactly(count)
    wanted = 2 if proxy.login is not None else 0
    if wanted not in methods:
        writer.write(b"\x05\xff")
        await writer.drain()
        return
    writer.write(bytes((5, wanted)))
    if wanted == 2:
        _, length = await reader.readexactly(2)
        user = (await reader.readexactly(length)).decode()
        password = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
        proxy.logins.append((user, password))
        right = (user, password) == proxy.login
        writer.write(bytes((1, 0 if right else 1)))
        await writer.drain()
        if not right:
            return
    _, _, _, kind = await reader.readexactly(4)
    if kind == 3:
        host = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
    else:
        size = 4 if kind == 1 else 16
        host = socket.inet_ntop(socket.AF_INET if kind == 1 else socket.AF_INET6, await reader.readexactly(size))
    (port,) = struct.unpack(">H", await reader.readexactly(2))
    proxy.asked.append((host, port))
    writer.write(bytes((5, proxy.reply, 0, 1, 0, 0, 0, 0, 0, 0)))
    await writer.drain()
    if not proxy.reply:
        there = await asyncio.open_connection("127.0.0.1" if host in proxy.hosts else host, port)
        await _both_ways(reader, writer, *there)


async def _both_ways(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    there_reader: asyncio.StreamReader,
    there_writer: asyncio.StreamWriter,
) -> None:
    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await source.read(1 << 16):
                sink.write(data)
                await sink.drain()
        sink.transport.abort()

    async with asyncio.TaskGroup() as group:
        group.create_task(pump(reader, there_writer))
        group.create_task(pump(there_reader, writer))
