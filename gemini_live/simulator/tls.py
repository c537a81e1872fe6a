"""Makes a certificate for the simulator's own TLS: new at each start, or kept in a folder. Clients have to trust it."""

import datetime
import ipaddress
import os
import ssl
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gemini_live.errors import ConfigError, MissingExtraError

_LIFETIME = datetime.timedelta(days=30)
_KEPT_LIFETIME = datetime.timedelta(days=365)
_SPARE = datetime.timedelta(days=1)
"""A kept certificate that is valid for less than this is replaced."""


@dataclass(frozen=True)
class Certificate:
    """A self-signed certificate and what is made of it."""

    path: Path
    """The PEM file that a client has to trust: `SSL_CERT_FILE`, or `cafile`."""
    server_context: ssl.SSLContext

    @property
    def client_context(self) -> ssl.SSLContext:
        """Return a context that trusts this certificate and no other."""
        return ssl.create_default_context(cafile=self.path)

    @classmethod
    @contextmanager
    def make(cls, host: str, names: Sequence[str] = (), folder: Path | None = None) -> "Iterator[Certificate]":
        """Yield a certificate for `host` and `names`; it stays in `folder`, or is removed at the end if None.

        Raises:
            MissingExtraError: cryptography is not installed.
            ConfigError: The folder cannot be written.
        """
        if folder is None:
            with tempfile.TemporaryDirectory(prefix="gemini-live-simulator-") as temporary:
                yield cls._load(Path(temporary), host, names, _LIFETIME)
            return
        try:
            folder.mkdir(parents=True, exist_ok=True)
            certificate = cls._load(folder, host, names, _KEPT_LIFETIME)
        except OSError as error:
            raise ConfigError(f"--tls-dir {folder}: {error.strerror or error}") from error
        yield certificate

    @classmethod
    def _load(cls, folder: Path, host: str, names: Sequence[str], lifetime: datetime.timedelta) -> "Certificate":
        """Return the certificate in a folder, made anew unless it is there and good for these names."""
        path, key_path = folder / "certificate.pem", folder / "key.pem"
        wanted = _alternative_names(host, names)
        if not (key_path.exists() and path.exists() and _is_good(path.read_bytes(), wanted)):
            certificate, key = _sign(wanted, lifetime)
            key_path.unlink(missing_ok=True)
            with os.fdopen(os.open(key_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(key)
            path.write_bytes(certificate)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path, key_path)  # an ssl.SSLError, if they do not belong together, is an OSError
        return cls(path, context)


def _alternative_names(host: str, names: Sequence[str]) -> list[Any]:
    """Return the names that the certificate is valid for: this machine, the host and whatever was asked for."""
    try:
        from cryptography import x509  # noqa: PLC0415 - an extra
    except ImportError:
        raise MissingExtraError("--tls", "tls") from None
    found: list[Any] = []
    for name in ("localhost", "127.0.0.1", "::1", host, *names):
        try:
            entry: Any = x509.IPAddress(ipaddress.ip_address(name))
        except ValueError:
            try:
                entry = x509.DNSName(name)
            except ValueError:
                raise ConfigError(f"--tls-name {name}: not a host name (write it in ASCII, as xn--...)") from None
        if entry not in found:
            found.append(entry)
    return found


def _is_good(pem: bytes, wanted: list[Any]) -> bool:
    """True if a kept certificate covers the names and is valid long enough."""
    from cryptography import x509  # noqa: PLC0415 - an extra

    try:
        certificate = x509.load_pem_x509_certificate(pem)
        covered = list(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except (ValueError, x509.ExtensionNotFound):
        return False
    now = datetime.datetime.now(datetime.UTC)
    return certificate.not_valid_after_utc > now + _SPARE and all(name in covered for name in wanted)


def _sign(names: list[Any], lifetime: datetime.timedelta) -> tuple[bytes, bytes]:
    """Return a certificate and its key, in PEM."""
    from cryptography import x509  # noqa: PLC0415 - an extra
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "gemini-live-simulator")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + lifetime)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    private = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return certificate.public_bytes(encoding), private
