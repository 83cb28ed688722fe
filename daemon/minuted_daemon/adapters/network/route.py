"""The way to a vendor: which proxy, whose certificates, and what a connection that could not be made means.

HTTP requests and WebSockets share it, so that they go the same way and fail in the same words. What an answer means
that did come is each vendor's faults.py. No URL, user or password goes into an error: they may hold secrets.
"""

import asyncio
import errno
import socket
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path

from minuted_daemon.adapters.network.trust import trust_context
from minuted_daemon.adapters.network.tunnel import error_number, open_tunnel
from minuted_daemon.config.proxies import Proxies, Proxy, Target, target_of
from minuted_daemon.errors import Rejected, Unavailable, VendorError

HAPPY_EYEBALLS_S = 0.25
_UNTRUSTED = frozenset({18, 19, 20, 21, 27})  # OpenSSL's X509_V_ERR_*: self-signed, or its authority is not known
_EXPIRED, _TOO_EARLY, _WRONG_NAME = 10, 9, frozenset({62, 64})


class Network:
    """Decides the way for each URL. Shared by all vendors; certificates are read with the first connection."""

    def __init__(
        self,
        proxies: Proxies | None = None,
        ca_file: Path | None = None,
        environ: Mapping[str, str] | None = None,
        tunnel_s: float = 6.0,
    ) -> None:
        """Without arguments: no proxy, and the certificates this system trusts. `tunnel_s`: a proxy's time limit."""
        self._tunnel_s = tunnel_s
        self._proxies = proxies or Proxies()
        self._ca_file = ca_file
        self._environ = {} if environ is None else environ
        self._tls: ssl.SSLContext | None = None
        self._reading = asyncio.Lock()

    async def tls(self) -> ssl.SSLContext:
        """Return what encrypts and verifies connections. Raise Unavailable (CA_FILE_UNUSABLE)."""
        async with self._reading:
            if self._tls is None:
                self._tls = await asyncio.to_thread(trust_context, self._ca_file, self._environ)
            return self._tls

    def proxy_for(self, url: str) -> Proxy | None:
        """Return the proxy for a URL, None for a direct connection. Raise Rejected (PROXY_INVALID)."""
        try:
            return self._proxies.chosen(url)
        except ValueError as error:
            raise Rejected("PROXY_INVALID", f"{error}.") from None

    async def tunnel(self, vendor: str, url: str) -> socket.socket | None:
        """Return a socket that leads to a URL's host through its proxy, None where it is reached directly.

        Raise Rejected (PROXY_INVALID) or Unavailable (PROXY_UNREACHABLE, PROXY_TIMEOUT, PROXY_AUTH_REQUIRED,
        PROXY_REFUSED, NAME_NOT_RESOLVED, CERTIFICATE_NOT_TRUSTED, CA_FILE_UNUSABLE).
        """
        proxy = self.proxy_for(url)
        if proxy is None:
            return None
        tls = await self.tls() if proxy.scheme == "https" else None
        try:
            async with asyncio.timeout(self._tunnel_s):
                return await open_tunnel(vendor, target_of(url), proxy, tls)
        except TimeoutError:
            raise Unavailable("PROXY_TIMEOUT", f"The proxy {proxy.shown} does not answer in time.") from None
        except Unavailable as fault:
            self._look_again(fault)
            raise

    def fault(self, vendor: str, url: str, exc: BaseException) -> VendorError:
        """Return the error for a connection that could not be made, from what was raised."""
        found = failure(vendor, target_of(url), exc)
        self._look_again(found)
        return found

    def _look_again(self, fault: VendorError) -> None:
        """Have certificates read again for the next attempt where one was not trusted: the file may be mended then."""
        if fault.reason == "CERTIFICATE_NOT_TRUSTED":
            self._tls = None


def failure(vendor: str, target: Target, exc: BaseException) -> VendorError:
    """Return the error for a direct connection that failed; what exactly went wrong is looked for among its causes."""
    for cause in _causes(exc):
        if isinstance(cause, VendorError):
            return cause
        if isinstance(cause, ssl.SSLCertVerificationError):
            return _certificate_fault(vendor, target, cause)
        if isinstance(cause, ssl.SSLError):
            message = f"No encrypted connection to {vendor} at {target.shown} can be made ({_tls_reason(cause)})."
            return Unavailable("TLS_FAILED", message, host=target.host)
        if isinstance(cause, TimeoutError):
            return Unavailable("VENDOR_TIMEOUT", f"{vendor} at {target.shown} did not answer in time.")
        if isinstance(cause, socket.gaierror | UnicodeError):
            return _unresolved(vendor, target)
        if isinstance(cause, OSError) and (number := error_number(cause)) is not None:
            return _unreachable(vendor, target, number)
    error = type(exc).__name__
    return Unavailable("VENDOR_DOWN", f"{vendor} at {target.shown} cannot be reached ({error}).", error=error)


def _unresolved(vendor: str, target: Target) -> Unavailable:
    message = f"The name {target.host} ({vendor}) does not resolve; check the name, and this machine's DNS or proxy."
    return Unavailable("NAME_NOT_RESOLVED", message, host=target.host)


def _unreachable(vendor: str, target: Target, number: int) -> Unavailable:
    facts = {"error": errno.errorcode.get(number, str(number))}
    if number == errno.ECONNREFUSED:
        message = f"{target.shown} refuses connections: {vendor} is not there, or a firewall is in between."
    elif number in (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN):
        message = f"There is no way to {vendor} at {target.shown}; check this machine's network."
    else:
        message = f"{vendor} at {target.shown} cannot be reached ({facts['error']})."
    return Unavailable("VENDOR_DOWN", message, None, **facts)


def _certificate_fault(vendor: str, target: Target, exc: ssl.SSLCertVerificationError) -> Unavailable:
    code = exc.verify_code
    if code in _UNTRUSTED:
        what = "is not trusted; name the file of the authority that signed it in network.ca_file"
    elif code in _WRONG_NAME:
        what = "is for another name; check the address"
    elif code == _EXPIRED:
        what = "has expired; if it has not, this machine's clock is wrong"
    elif code == _TOO_EARLY:
        what = "is not valid yet; check this machine's clock"
    else:
        what = f"is refused ({exc.verify_message})"
    message = f"The certificate of {target.shown} ({vendor}, or a proxy that reads along) {what}."
    return Unavailable("CERTIFICATE_NOT_TRUSTED", message, host=target.host, code=str(code))


def _tls_reason(exc: ssl.SSLError) -> str:
    return str(exc.reason or type(exc).__name__).lower().replace("_", " ")


def _causes(exc: BaseException | None) -> Iterator[BaseException]:
    """Return an exception and all that led to it."""
    seen: set[int] = set()
    while exc is not None and id(exc) not in seen:
        seen.add(id(exc))
        yield exc
        exc = exc.__cause__ or exc.__context__
