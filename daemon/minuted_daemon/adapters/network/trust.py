"""Whose certificates are trusted: this system's, certifi's, and those of one more file. Nothing is read at import."""

import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path

from minuted_daemon.config.network_problems import ca_file_problem
from minuted_daemon.errors import Unavailable

SYSTEM_FILES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")
SYSTEM_FOLDERS = ("/etc/ssl/certs", "/etc/pki/tls/certs")


def trust_context(
    ca_file: Path | None,
    environ: Mapping[str, str],
    system_files: Sequence[str] = SYSTEM_FILES,
    system_folders: Sequence[str] = SYSTEM_FOLDERS,
) -> ssl.SSLContext:
    """Return a TLS context for clients that trusts the system's authorities, certifi's, and those in `ca_file`.

    SSL_CERT_FILE and SSL_CERT_DIR, where set, stand for the system's and certifi's, as with OpenSSL. Reading takes tens
    of milliseconds: not for the event loop. Raise Unavailable (CA_FILE_UNUSABLE) where a named file cannot be used.
    """
    # Not create_default_context, which writes session keys into a file that SSLKEYLOGFILE names; and in newer Pythons
    # turns away authorities that many firms use (VERIFY_X509_STRICT).
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    file, folder = environ.get("SSL_CERT_FILE", ""), environ.get("SSL_CERT_DIR", "")
    if file:
        _load(context, Path(file), "SSL_CERT_FILE")
    for part in filter(None, folder.split(":")):  # OpenSSL takes a list
        context.load_verify_locations(capath=part)
    if not file and not folder:
        import certifi  # not needed to look at a file

        context.load_verify_locations(cafile=certifi.where())
        for path in (*system_files, ssl.get_default_verify_paths().openssl_cafile):
            if Path(path).is_file():
                _load(context, Path(path), path)
        for path in (*system_folders, ssl.get_default_verify_paths().openssl_capath):
            if Path(path).is_dir():
                context.load_verify_locations(capath=path)
    if ca_file is not None:
        _load(context, ca_file, "network.ca_file")
    return context


def _load(context: ssl.SSLContext, file: Path, origin: str) -> None:
    try:
        context.load_verify_locations(cafile=str(file))
    except OSError:  # SSLError is one
        why = ca_file_problem(file) or f"{file} cannot be read"
        raise Unavailable("CA_FILE_UNUSABLE", f"{origin}: {why}; correct the path, or leave it out.") from None
