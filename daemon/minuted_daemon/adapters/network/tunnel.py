"""Connections through a proxy: an HTTP proxy's CONNECT, and SOCKS. A proxy's refusal is reported as the proxy's.

No user and no password goes into an error.
"""

import asyncio
import base64
import errno
import importlib
import re
import socket
import ssl

from minuted_daemon.adapters.network.relay import open_relay
from minuted_daemon.config.proxies import Proxy, Target
from minuted_daemon.errors import Unavailable, VendorError

_HEAD_BYTES = 65_536


async def open_tunnel(vendor: str, target: Target, proxy: Proxy, tls: ssl.SSLContext | None = None) -> socket.socket:
    """Return a socket that leads through the proxy to the target. The caller limits the time.

    `tls`: what a proxy that is itself reached over TLS is verified with. Raise Unavailable (PROXY_UNREACHABLE,
    PROXY_AUTH_REQUIRED, PROXY_REFUSED, NAME_NOT_RESOLVED, CERTIFICATE_NOT_TRUSTED).
    """
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(proxy.host, proxy.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise _proxy_unreachable(proxy, "its name does not resolve") from None
    last = "no address"
    for family, _, _, _, address in found:
        if proxy.scheme.startswith("socks"):
            try:
                return await _through_socks(vendor, target, proxy, str(address[0]))
            except ConnectionError as error:
                last = _why(error)
                continue
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            await loop.sock_connect(sock, address)
        except OSError as error:
            sock.close()
            last = _why(error)
            continue
        except BaseException:
            sock.close()
            raise
        if proxy.scheme == "https":
            return await _through_tls(target, proxy, sock, tls)
        return await _through_http(target, proxy, sock)
    raise _proxy_unreachable(proxy, last)


async def _through_http(target: Target, proxy: Proxy, sock: socket.socket) -> socket.socket:
    """Ask an HTTP proxy for a tunnel. Owns the socket until it returns it."""
    loop = asyncio.get_running_loop()
    head = b""
    try:
        await loop.sock_sendall(sock, _connect_request(target, proxy))
        while not is_complete(head):
            part = await loop.sock_recv(sock, 4096)
            head += part
            if not part:
                break
        _check_answer(head, target, proxy)
    except OSError as error:
        sock.close()
        raise _proxy_unreachable(proxy, _why(error)) from None
    except BaseException:
        sock.close()
        raise
    return sock


async def _through_tls(target: Target, proxy: Proxy, sock: socket.socket, tls: ssl.SSLContext | None) -> socket.socket:
    """Ask an HTTP proxy for a tunnel over TLS; what is returned is the near end of a relay that encrypts."""
    try:
        relay = await open_relay(sock, tls or ssl.create_default_context(), proxy.host)
    except ssl.SSLCertVerificationError:
        message = f"The certificate of the proxy {proxy.shown} is not trusted; name its authority in network.ca_file."
        raise Unavailable("CERTIFICATE_NOT_TRUSTED", message) from None
    except ssl.SSLError:
        raise _proxy_unreachable(proxy, "it does not encrypt; write http:// for it") from None
    except OSError as error:
        raise _proxy_unreachable(proxy, _why(error)) from None
    try:
        _check_answer(await relay.asked(_connect_request(target, proxy), is_complete), target, proxy)
        return await relay.near_end()
    except BaseException:
        relay.abort()
        raise


def _connect_request(target: Target, proxy: Proxy) -> bytes:
    place = target.shown.encode("idna" if not target.host.isascii() else "ascii").decode()
    lines = [f"CONNECT {place} HTTP/1.1", f"Host: {place}", "User-Agent: minuted"]
    if proxy.user is not None:
        login = base64.b64encode(f"{proxy.user}:{proxy.password or ''}".encode()).decode()
        lines.append(f"Proxy-Authorization: Basic {login}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def is_complete(head: bytes) -> bool:
    """Return whether a proxy has answered all it will before the tunnel, or too much."""
    return b"\r\n\r\n" in head or b"\n\n" in head or len(head) > _HEAD_BYTES


def _check_answer(head: bytes, target: Target, proxy: Proxy) -> None:
    match = re.match(rb"HTTP/1\.[01] (\d{3})\b", head)
    if match is None:
        raise _proxy_refused(proxy, target, "it does not answer as an HTTP proxy")
    status = int(match.group(1))
    if not 200 <= status < 300:
        raise _http_refusal(proxy, target, status)


async def _through_socks(vendor: str, target: Target, proxy: Proxy, address: str) -> socket.socket:
    """Ask a SOCKS proxy at one of its addresses for a connection. Raise ConnectionError where it is not there."""
    await asyncio.to_thread(importlib.import_module, "python_socks.async_.asyncio")
    from python_socks import ProxyConnectionError, ProxyError, ProxyType  # only where there is such a proxy
    from python_socks.async_.asyncio import Proxy as SocksProxy

    kind = ProxyType.SOCKS5 if proxy.scheme.startswith("socks5") else ProxyType.SOCKS4
    there = proxy.scheme in ("socks5h", "socks4a")
    fault: VendorError
    try:
        client = SocksProxy(kind, address, proxy.port, proxy.user, proxy.password, rdns=there)
        return await client.connect(target.host, target.port, timeout=3600.0)
    except ProxyConnectionError as error:
        raise ConnectionError(error.errno or 0, _why(error)) from None
    except socket.gaierror:
        other = "socks5h" if kind is ProxyType.SOCKS5 else "socks4a"
        remedy = f"{proxy.scheme}:// resolves names on this machine, {other}:// at the proxy"
        fault = Unavailable("NAME_NOT_RESOLVED", f"The name {target.host} ({vendor}) does not resolve; {remedy}.")
    except ProxyError as error:
        auth = error.error_code is None and "auth" in str(error).lower()
        fault = _auth_required(proxy) if auth else _proxy_refused(proxy, target, _socks_reason(error.error_code))
    except OSError as error:
        fault = _proxy_unreachable(proxy, _why(error))
    except Exception as error:  # noqa: BLE001  # python-socks asserts what a proxy sent
        fault = _proxy_refused(proxy, target, f"it does not answer as a SOCKS proxy, {type(error).__name__}")
    raise fault


_SOCKS_REPLIES = {
    1: "it failed",
    2: "its rules forbid it",
    3: "it has no network",
    4: "it cannot reach the host",
    5: "the host refuses connections",
    6: "it found no way in time",
}


def _socks_reason(code: int | None) -> str:
    return _SOCKS_REPLIES.get(code or 0, "it gave no reason" if code is None else f"SOCKS reply {code}")


def _http_refusal(proxy: Proxy, target: Target, status: int) -> Unavailable:
    if status == 407:
        return _auth_required(proxy, "407")
    return _proxy_refused(proxy, target, f"HTTP {status}", status=str(status))


def _auth_required(proxy: Proxy, status: str = "") -> Unavailable:
    had = "refuses the user and password it was given" if proxy.user is not None else "wants a user and a password"
    remedy = f"write them as {proxy.scheme}://USER:PASSWORD@HOST:PORT"
    facts = {"status": status} if status else {}
    return Unavailable("PROXY_AUTH_REQUIRED", f"The proxy {proxy.shown} {had}; {remedy}.", None, **facts)


def _proxy_refused(proxy: Proxy, target: Target, why: str, **facts: str) -> Unavailable:
    message = f"The proxy {proxy.shown} made no connection to {target.shown} ({why}); NO_PROXY names what needs none."
    return Unavailable("PROXY_REFUSED", message, None, **facts)


def _proxy_unreachable(proxy: Proxy, why: str) -> Unavailable:
    return Unavailable("PROXY_UNREACHABLE", f"The proxy {proxy.shown} cannot be reached ({why}).")


def _why(error: OSError) -> str:
    number = error_number(error)
    known = {errno.ECONNREFUSED: "it refuses connections", errno.ECONNRESET: "it broke the connection off"}
    return known.get(number or 0, errno.errorcode.get(number or 0, type(error).__name__))


def error_number(exc: OSError) -> int | None:
    """Return the number of an error; where several addresses failed in the same way, theirs."""
    if exc.errno is not None:
        return exc.errno
    numbers = set(re.findall(r"\[Errno (\d+)\]", str(exc)))
    return int(numbers.pop()) if len(numbers) == 1 else None
