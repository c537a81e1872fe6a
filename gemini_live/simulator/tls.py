"""A certificate for the simulator's own TLS: made anew at each start, trusted by whoever is told to."""

import datetime
import ipaddress
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gemini_live.errors import MissingExtraError

_LIFETIME = datetime.timedelta(days=30)


@dataclass(frozen=True)
class Certificate:
    """A self-signed certificate and what is made of it."""

    path: Path
    """PEM file to be trusted by a client: `SSL_CERT_FILE`, or `cafile`. It is removed when the server ends."""
    server_context: ssl.SSLContext

    @property
    def client_context(self) -> ssl.SSLContext:
        """A context that trusts this certificate and no other."""
        return ssl.create_default_context(cafile=self.path)

    @classmethod
    @contextmanager
    def make(cls, host: str) -> "Iterator[Certificate]":
        """Make one for `host`, kept in a folder of its own for as long as it is needed.

        Raises:
            MissingExtraError: cryptography is not installed.
        """
        certificate, key = _sign(host)
        with tempfile.TemporaryDirectory(prefix="gemini-live-simulator-") as folder:
            path, key_path = Path(folder, "certificate.pem"), Path(folder, "key.pem")
            path.write_bytes(certificate)
            key_path.touch(mode=0o600)
            key_path.write_bytes(key)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(path, key_path)
            yield cls(path, context)


def _sign(host: str) -> tuple[bytes, bytes]:
    """Return a certificate and its key, in PEM."""
    try:
        from cryptography import x509  # noqa: PLC0415 - an extra
        from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415
        from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415
    except ImportError:
        raise MissingExtraError("--tls", "tls") from None
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "gemini-live-simulator")])
    now = datetime.datetime.now(datetime.UTC)
    names: list[x509.GeneralName] = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    try:
        names.append(x509.IPAddress(ipaddress.ip_address(host)))
    except ValueError:
        names.append(x509.DNSName(host))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + _LIFETIME)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    private = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return certificate.public_bytes(encoding), private
