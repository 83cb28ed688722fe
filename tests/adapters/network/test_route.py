"""The way to both vendors, request and sockets alike: through proxies, past them, and with whose certificates."""

import asyncio
import socket
import ssl
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trustme
from websockets.asyncio.server import ServerConnection

from minuted_daemon.adapters.network.route import Network
from minuted_daemon.adapters.network.trust import trust_context
from minuted_daemon.adapters.openai.engine import OpenAITranscriber
from minuted_daemon.adapters.pyannote.engine import PyannoteDiarizer
from minuted_daemon.config.proxies import Proxies
from minuted_daemon.errors import Rejected, Unavailable, VendorError
from tests.adapters.openai import scripted as openai
from tests.adapters.pyannote import scripted as pyannote
from tests.fakes.proxy import ProxyStandIn, http_proxy, socks_proxy

PASSWORD = "geheim-4711"


@dataclass
class Both:
    """Both vendors, encrypted, as vendor.test, and how to open a connection to each."""

    ca_file: Path
    pyannote: pyannote.Vendor
    openai: openai.Vendor

    def engines(self, network: Network) -> list[Callable[[], Any]]:
        return [
            PyannoteDiarizer(self.pyannote.base_url, pyannote.KEY, 18_000, network=network).open,
            OpenAITranscriber(self.openai.base_url, openai.KEY, "gpt-live-transcribe", network=network).open,
        ]

    @property
    def ports(self) -> list[int]:
        """The ports in the order in which they are connected to."""
        urls = (self.pyannote.base_url, self.pyannote.socket_url, self.openai.base_url.removesuffix("/v1"))
        return [int(url.rpartition(":")[2].partition("/")[0]) for url in urls]

    def at(self, host: str) -> "Both":
        """Have the vendors reached by another name, without a proxy."""
        for vendor in (self.pyannote, self.openai):
            vendor.base_url = vendor.base_url.replace("vendor.test", host)
        self.pyannote.socket_url = self.pyannote.socket_url.replace("vendor.test", host)
        return self


@pytest.fixture(autouse=True)
def _no_name_is_asked_for_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.getaddrinfo

    def resolved(host: Any, *args: Any, **options: Any) -> Any:
        if str(host).endswith((".test", ".invalid")):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real(host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolved)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[trustme.CA, Path]:
    made = trustme.CA()
    file = tmp_path_factory.mktemp("ca") / "ca.pem"
    made.cert_pem.write_to_path(str(file))
    return made, file


@asynccontextmanager
async def both(authority: tuple[trustme.CA, Path], name: str = "vendor.test") -> AsyncIterator[Both]:
    ca, file = authority
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(name, "localhost").configure_cert(tls)

    async def greet(peer: openai.Peer) -> None:
        await peer.greet()
        await openai.idle(peer)

    async def wait(peer: ServerConnection) -> None:
        await peer.wait_closed()

    async with pyannote.vendor(wait, tls) as diarizing, openai.vendor(greet, tls) as transcribing:
        yield Both(file, diarizing, transcribing)


async def fault_of(connect: Callable[[], Any]) -> VendorError:
    with pytest.raises(VendorError) as caught:
        await connect()
    shown = "".join(traceback.format_exception(caught.value)) + repr(vars(caught.value))
    for secret in (PASSWORD, openai.KEY, pyannote.KEY, pyannote.TOKEN):
        assert secret not in shown
    return caught.value


async def opens(connect: Callable[[], Any]) -> None:
    stream = await connect()
    await stream.close()


def network(environ: dict[str, str], ca_file: Path | None = None, setting: str = "", **options: float) -> Network:
    return Network(Proxies(setting, environ), ca_file, environ, **options)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("HTTPS_PROXY", "http://127.0.0.1:{port}"),
        ("https_proxy", "127.0.0.1:{port}"),
        ("HTTPS_PROXY", "http://localhost:{port}/"),
        ("ALL_PROXY", "http://127.0.0.1:{port}"),
        ("HTTPS_PROXY", "http://user:{password}@127.0.0.1:{port}"),
        ("network.proxy", "http://user:{password}@127.0.0.1:{port}"),
    ],
)
async def test_request_and_sockets_go_through_an_http_proxy(
    authority: tuple[trustme.CA, Path], variable: str, value: str
) -> None:
    state = ProxyStandIn(login=("user", PASSWORD) if "password" in value else None, pieces=True)
    async with both(authority) as vendors, http_proxy(state) as proxy:
        address = value.format(port=proxy.port, password=PASSWORD)
        environ, setting = ({}, address) if variable == "network.proxy" else ({variable: address}, "")
        for connect in vendors.engines(network(environ, vendors.ca_file, setting)):
            await opens(connect)
        assert proxy.asked == [("vendor.test", port) for port in vendors.ports]
        assert set(proxy.methods) == {"CONNECT"}


async def test_a_proxy_that_is_reached_over_tls(authority: tuple[trustme.CA, Path]) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority[0].issue_cert("localhost").configure_cert(tls)
    state = ProxyStandIn(login=("user", PASSWORD), pieces=True)
    async with both(authority) as vendors, http_proxy(state, tls) as proxy:
        environ = {"HTTPS_PROXY": f"https://user:{PASSWORD}@localhost:{proxy.port}"}
        for connect in vendors.engines(network(environ, vendors.ca_file)):
            await opens(connect)
        assert proxy.asked == [("vendor.test", port) for port in vendors.ports]
        # More than any buffer holds.
        engine = OpenAITranscriber(
            vendors.openai.base_url, openai.KEY, "gpt-live-transcribe", network=network(environ, vendors.ca_file)
        )
        stream = await engine.open()
        for _ in range(50):
            await stream.append(openai.U(1), np.ones(24_000, np.int16))
        await stream.close()
        for connect in vendors.engines(network(environ)):
            fault = await fault_of(connect)
            assert (fault.reason, "of the proxy localhost" in fault.message) == ("CERTIFICATE_NOT_TRUSTED", True)
        state.login = ("user", "another")
        for connect in vendors.engines(network(environ, vendors.ca_file)):
            assert (await fault_of(connect)).reason == "PROXY_AUTH_REQUIRED"
    plain = ProxyStandIn(garbage=b"HTTP/1.1 400 Bad Request\r\n\r\n")
    async with both(authority) as vendors, http_proxy(plain) as proxy:
        for connect in vendors.engines(network({"HTTPS_PROXY": f"https://localhost:{proxy.port}"}, vendors.ca_file)):
            assert (await fault_of(connect)).reason == "PROXY_UNREACHABLE"


@pytest.mark.parametrize("scheme", ["socks5h", "socks5"])
async def test_socks_resolves_names_where_its_scheme_says(authority: tuple[trustme.CA, Path], scheme: str) -> None:
    state = ProxyStandIn(login=("user", PASSWORD), hosts=("vendor.test", "127.0.0.1", "::1"))
    async with both(authority) as vendors, socks_proxy(state) as proxy:
        if scheme == "socks5":
            vendors.at("localhost")
        environ = {"ALL_PROXY": f"{scheme}://user:{PASSWORD}@127.0.0.1:{proxy.port}"}
        for connect in vendors.engines(network(environ, vendors.ca_file)):
            await opens(connect)
        asked = {host for host, _ in proxy.asked}
        assert asked == {"vendor.test"} if scheme == "socks5h" else asked <= {"127.0.0.1", "::1"}
        assert [port for _, port in proxy.asked] == vendors.ports


async def test_no_proxy_keeps_request_and_sockets_off_the_proxy(authority: tuple[trustme.CA, Path]) -> None:
    async with both(authority) as vendors, http_proxy() as proxy:
        environ = {"HTTPS_PROXY": f"http://127.0.0.1:{proxy.port}", "NO_PROXY": "127.0.0.0/8,localhost"}
        for connect in vendors.at("localhost").engines(network(environ, vendors.ca_file)):
            await opens(connect)
        assert proxy.asked == []


async def test_a_vendor_on_this_machine_is_proxied_as_curl_would() -> None:
    async def greet(peer: openai.Peer) -> None:
        await peer.greet()
        await openai.idle(peer)

    async with openai.vendor(greet) as vendor, http_proxy() as proxy:
        environ = {"http_proxy": f"http://127.0.0.1:{proxy.port}"}
        engine = OpenAITranscriber(vendor.base_url, openai.KEY, "gpt-live-transcribe", network=network(environ))
        await opens(engine.open)
        assert len(proxy.asked) == 1


PROXY_FAULTS = [
    (http_proxy, "http", ProxyStandIn(login=("user", PASSWORD)), "PROXY_AUTH_REQUIRED", "wants a user"),
    (http_proxy, "http", ProxyStandIn(status=407), "PROXY_AUTH_REQUIRED", "407|wants"),
    (http_proxy, "http", ProxyStandIn(status=502), "PROXY_REFUSED", "HTTP 502"),
    (http_proxy, "http", ProxyStandIn(status=403), "PROXY_REFUSED", "HTTP 403"),
    (http_proxy, "http", ProxyStandIn(garbage=b"SSH-2.0-x\r\n\r\n"), "PROXY_REFUSED", "as an HTTP proxy"),
    (http_proxy, "http", ProxyStandIn(hang=True), "PROXY_TIMEOUT", "in time"),
    (socks_proxy, "socks5h", ProxyStandIn(login=("user", PASSWORD)), "PROXY_AUTH_REQUIRED", "user"),
    (socks_proxy, "socks5h", ProxyStandIn(reply=2), "PROXY_REFUSED", "rules forbid"),
    (socks_proxy, "socks5h", ProxyStandIn(reply=5), "PROXY_REFUSED", "refuses connections"),
    (socks_proxy, "socks5h", ProxyStandIn(garbage=b"HTTP/1.1 400 Bad\r\n\r\n"), "PROXY_REFUSED", "made no connection"),
    (socks_proxy, "socks5", ProxyStandIn(), "NAME_NOT_RESOLVED", "socks5h://"),
]


@pytest.mark.parametrize(("serve", "scheme", "state", "reason", "told"), PROXY_FAULTS)
async def test_what_a_proxy_refuses_is_told_as_the_proxys(
    serve: Callable[[ProxyStandIn], Any], scheme: str, state: ProxyStandIn, reason: str, told: str
) -> None:
    state.port = 0
    async with serve(state) as proxy:
        way = network({"HTTPS_PROXY": f"{scheme}://127.0.0.1:{proxy.port}"}, tunnel_s=0.3 if state.hang else 5.0)
        for engine in (
            PyannoteDiarizer("https://vendor.test", pyannote.KEY, 18_000, network=way),
            OpenAITranscriber("https://vendor.test/v1", openai.KEY, "gpt-live-transcribe", network=way),
        ):
            fault = await fault_of(engine.open)
            assert isinstance(fault, Unavailable)
            assert fault.reason == reason
            assert any(part in fault.message for part in told.split("|"))
            assert reason == "NAME_NOT_RESOLVED" or f"127.0.0.1:{proxy.port} (HTTPS_PROXY)" in fault.message


@pytest.mark.parametrize(
    ("value", "told"), [("http://127.0.0.1:9", "refuses connections"), ("socks5h://nowhere.invalid:9", "not resolve")]
)
async def test_a_proxy_that_is_not_there(value: str, told: str) -> None:
    way = network({"ALL_PROXY": value})
    for connect in (
        PyannoteDiarizer("https://vendor.test", pyannote.KEY, 18_000, network=way).open,
        OpenAITranscriber("https://vendor.test/v1", openai.KEY, "gpt-live-transcribe", network=way).open,
    ):
        fault = await fault_of(connect)
        assert (fault.reason, told in fault.message, "(ALL_PROXY)" in fault.message) == (
            "PROXY_UNREACHABLE",
            True,
            True,
        )


async def test_an_unusable_proxy_is_no_internal_fault() -> None:
    way = network({"HTTPS_PROXY": f"gopher://user:{PASSWORD}@x"})
    for connect in (
        PyannoteDiarizer("https://vendor.test", pyannote.KEY, 18_000, network=way).open,
        OpenAITranscriber("https://vendor.test/v1", openai.KEY, "gpt-live-transcribe", network=way).open,
    ):
        fault = await fault_of(connect)
        assert isinstance(fault, Rejected)
        assert (fault.reason, fault.message.startswith("HTTPS_PROXY")) == ("PROXY_INVALID", True)


async def test_a_private_authority_is_trusted_where_it_is_named(
    authority: tuple[trustme.CA, Path], tmp_path: Path
) -> None:
    async with both(authority) as vendors:
        vendors.at("localhost")
        for way in (network({}, vendors.ca_file), network({"SSL_CERT_FILE": str(vendors.ca_file)})):
            for connect in vendors.engines(way):
                await opens(connect)
        for connect in vendors.engines(network({})):
            fault = await fault_of(connect)
            assert fault.reason == "CERTIFICATE_NOT_TRUSTED"
            assert "localhost" in fault.message
            assert "network.ca_file" in fault.message
        # A file that comes later is read without a start.
        late = tmp_path / "late.pem"
        trustme.CA().cert_pem.write_to_path(str(late))
        way = network({}, late)
        connect = vendors.engines(way)[1]
        assert (await fault_of(connect)).reason == "CERTIFICATE_NOT_TRUSTED"
        late.write_bytes(vendors.ca_file.read_bytes())
        await opens(connect)


async def test_a_certificate_for_another_name(authority: tuple[trustme.CA, Path]) -> None:
    async with both(authority) as vendors:
        for connect in vendors.at("127.0.0.1").engines(network({}, vendors.ca_file)):
            fault = await fault_of(connect)
            assert (fault.reason, "another name" in fault.message) == ("CERTIFICATE_NOT_TRUSTED", True)


async def test_name_certificate_and_port_are_three_messages(authority: tuple[trustme.CA, Path]) -> None:
    told = set()
    async with both(authority) as vendors:
        for host, port in (("nowhere.invalid", 443), ("127.0.0.1", 9), ("localhost", vendors.ports[2])):
            for connect in (
                PyannoteDiarizer(f"https://{host}:{port}", pyannote.KEY, 18_000).open,
                OpenAITranscriber(f"https://{host}:{port}/v1", openai.KEY, "gpt-live-transcribe").open,
            ):
                fault = await fault_of(connect)
                assert host in fault.message
                told.add(fault.reason)
    assert told == {"NAME_NOT_RESOLVED", "VENDOR_DOWN", "CERTIFICATE_NOT_TRUSTED"}


async def test_a_server_that_does_not_encrypt() -> None:
    async def plain(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(plain, "127.0.0.1", 0) as server:
        place = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        for connect in (
            PyannoteDiarizer(place, pyannote.KEY, 18_000).open,
            OpenAITranscriber(f"{place}/v1", openai.KEY, "gpt-live-transcribe").open,
        ):
            assert (await fault_of(connect)).reason == "TLS_FAILED"


async def test_certificate_files_that_cannot_be_used(tmp_path: Path) -> None:
    for environ, ca_file in (({}, tmp_path / "no.pem"), ({"SSL_CERT_FILE": str(tmp_path / "no.pem")}, None)):
        way = network(environ, ca_file)
        for connect in (
            PyannoteDiarizer("https://localhost:9", pyannote.KEY, 18_000, network=way).open,
            OpenAITranscriber("https://localhost:9/v1", openai.KEY, "gpt-live-transcribe", network=way).open,
        ):
            fault = await fault_of(connect)
            assert fault.reason == "CA_FILE_UNUSABLE"
            assert fault.message.startswith("SSL_CERT_FILE" if environ else "network.ca_file")


def test_the_systems_store_is_trusted(authority: tuple[trustme.CA, Path]) -> None:
    _, file = authority
    own = trust_context(None, {}, system_files=[str(file)], system_folders=[])
    names = {dict(part[0] for part in cert["subject"]).get("organizationName", "") for cert in own.get_ca_certs()}
    assert any("trustme" in str(name) for name in names)
    assert len(names) > 20  # and certifi's
