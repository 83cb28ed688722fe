"""Problems on the way to the vendors that show before anything is connected: proxies and certificates."""

import ssl
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from minuted_daemon.addresses import is_loopback
from minuted_daemon.config.proxies import Proxies, target_of

SHUT_OUT = ("OPENAI_BASE_URL", "OPENAI_CUSTOM_HEADERS", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID")
"""Variables that other programs for the same vendors read, and this one does not."""


def network_problems(
    ca_file: Path | None, proxy: str, environ: Mapping[str, str], vendor_urls: Sequence[str]
) -> list[str]:
    """Return what cannot work for these vendors, one line each, the setting or variable first."""
    problems = []
    if ca_file is not None and (why := ca_file_problem(ca_file)):
        problems.append(f"network.ca_file: {why}; correct the path, or leave it out")
    proxies = Proxies(proxy, environ)
    for url in _with_sockets(vendor_urls):
        try:
            proxies.chosen(url)
        except ValueError as error:
            problems.append(f"{error}")
    if any(url.startswith("https://") for url in vendor_urls):
        problems += _certificate_problems(environ)
    return list(dict.fromkeys(problems))


def network_remarks(proxy: str, environ: Mapping[str, str], vendor_urls: Sequence[str]) -> list[str]:
    """Return what is legal and may surprise: a proxy for this machine itself, and variables that are not read."""
    proxies = Proxies(proxy, environ)
    remarks = []
    for url in vendor_urls:
        target = target_of(url)
        if is_loopback(target.host) and (chosen := proxies.chosen(url)) is not None:
            remarks.append(
                f"{target.host} is this machine, and is reached through the proxy {chosen.shown}, as curl would; "
                f"put {target.host} into NO_PROXY to reach it directly"
            )
        if (name := proxies.passed_over(url)) is not None:
            remarks.append(f"{name} (in the environment): is not read, as with curl; write it in small letters")
    if vendor_urls:
        remarks += [f"{name} (in the environment): is not read" for name in SHUT_OUT if environ.get(name)]
    return list(dict.fromkeys(remarks))


def network_summary(proxy: str, environ: Mapping[str, str], vendor_urls: Sequence[str]) -> list[str]:
    """Return how each vendor is reached, if any proxy is named."""
    proxies = Proxies(proxy, environ)
    ways = {url: proxies.chosen(url) for url in vendor_urls}
    if not any(ways.values()):
        return []
    return [
        f"network: {target_of(url).host} {f'through the proxy {way.shown}' if way is not None else 'directly'}"
        for url, way in ways.items()
    ]


def ca_file_problem(file: Path) -> str | None:
    """Return why a file of certificates cannot be used, None if it can."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=str(file))
    except FileNotFoundError:
        return f"there is no file {file}"
    except ssl.SSLError:
        return f"{file} holds no certificates in PEM form (-----BEGIN CERTIFICATE-----)"
    except OSError as error:
        return f"{file} cannot be read ({error.strerror})"
    return None


def _with_sockets(urls: Sequence[str]) -> Iterator[str]:
    """Return the addresses, and those of the WebSockets beside them."""
    for url in urls:
        yield url
        yield "ws" + url.removeprefix("http")


def _certificate_problems(environ: Mapping[str, str]) -> Iterator[str]:
    remedy = "correct it, or unset the variable"
    if (file := environ.get("SSL_CERT_FILE")) and (why := ca_file_problem(Path(file))):
        yield f"SSL_CERT_FILE (in the environment): {why}; {remedy}"
    folder = environ.get("SSL_CERT_DIR")
    if folder and not any(Path(part).is_dir() for part in folder.split(":")):
        yield f"SSL_CERT_DIR (in the environment): there is no directory {folder}; {remedy}"
