"""Where to connect and how to prove who connects: the address, the key or the token, the certificates, the proxy.

Reads the environment and opens nothing, except the file that SSL_CERT_FILE names. A key travels in a header, a token in
the query of the address that `authorize` returns. Nothing but the dial itself may see that address.
"""

import os
import re
from urllib.parse import quote, urlsplit

from ..errors import ConfigError
from ..hosts import is_loopback

TOKEN_PREFIX = "auth_tokens/"
SERVICE = "google.ai.generativelanguage"
PROXY_ADVICE = "the proxy of the environment cannot be used: write HTTPS_PROXY as http://host:port"

_SCHEMES = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
_PROXIES = ("wss", "socks", "https", "all")
"""The proxy settings that apply to WebSocket, the preferred one first."""
_NO_ADDRESS = re.compile(r"[\x00-\x20\x7f]")


def build_url(base_url: str, api_version: str | None, api_key: str, *, insecure: bool = False) -> str:
    """Return the address of the Live API's method at `base_url`.

    Args:
        base_url: An http, https, ws or wss address.
        api_version: `None`: v1alpha for an ephemeral token, else v1beta.
        api_key: A key or a token. It decides the method and is not put into the address.
        insecure: True to allow http to another host.

    Raises:
        ConfigError: The address is invalid, or would send the key unencrypted over a network.
    """
    try:
        parts = urlsplit(base_url)
        host, port = parts.hostname, parts.port
        (host or "").encode("idna")
    except ValueError as error:
        raise ConfigError(f"--base-url: {base_url!r} is not an address: {error}") from error
    scheme = _SCHEMES.get(parts.scheme.lower())
    if scheme is None or not host or _NO_ADDRESS.search(base_url):
        raise ConfigError(f"--base-url: {base_url!r} is not an address such as https://host (http, https, ws or wss)")
    if parts.username is not None or parts.query or parts.fragment:
        raise ConfigError("--base-url: leave user names, queries and fragments out of the address")
    name = f"[{host}]" if ":" in host else host
    authority = name if port is None else f"{name}:{port}"
    if scheme == "ws" and not is_loopback(host) and not insecure:
        raise ConfigError(
            f"--base-url: {parts.scheme}://{authority} would send the API key unencrypted; "
            "use https, or add --insecure if you trust this network"
        )
    is_token = api_key.startswith(TOKEN_PREFIX)
    version = api_version or ("v1alpha" if is_token else "v1beta")
    method = "BidiGenerateContentConstrained" if is_token else "BidiGenerateContent"
    return f"{scheme}://{authority}{parts.path.rstrip('/')}/ws/{SERVICE}.{version}.GenerativeService.{method}"


def authorize(url: str, api_key: str) -> tuple[str, dict[str, str]]:
    """Return the address and the headers of a handshake that carries the key or the token.

    A token goes into the query: Google documents that and the header `Authorization: Token`, but the service was
    reported to refuse the header (18 Sep 2026).
    """
    if api_key.startswith(TOKEN_PREFIX):
        return f"{url}?access_token={quote(api_key)}", {}
    return url, {"x-goog-api-key": api_key}


def list_secrets(api_key: str) -> list[str]:
    """Return the texts that must be masked wherever the key or the token may be repeated."""
    return [api_key, quote(api_key), api_key.removeprefix(TOKEN_PREFIX)]


def check_certificates(url: str) -> None:
    """Check that the certificates of SSL_CERT_FILE can be read: OpenSSL ignores a bad file without a word.

    Raises:
        ConfigError: They cannot, and the connection uses TLS.
    """
    path = os.environ.get("SSL_CERT_FILE")
    if not path or not url.startswith("wss:"):
        return
    import ssl  # noqa: PLC0415 - slow to import, and not needed for --help

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except ssl.SSLError:
        raise ConfigError(f"SSL_CERT_FILE: cannot read {path}: it contains no certificate") from None
    except OSError as error:
        raise ConfigError(f"SSL_CERT_FILE: cannot read {path}: {error.strerror}") from error


def find_proxy(url: str) -> str | None:
    """Return the proxy for `url`, or `None`. A host on this machine, where the simulator is, never gets one.

    The library would choose a proxy itself, but it ignores ALL_PROXY and also uses a proxy for this machine.

    Raises:
        ConfigError: The address of the proxy is invalid.
    """
    import urllib.request  # noqa: PLC0415 - slow to import, and not needed for --help

    parts = urlsplit(url)
    if is_loopback(parts.hostname or "") or urllib.request.proxy_bypass(parts.netloc):
        return None
    proxies = urllib.request.getproxies()
    name = next((name for name in _PROXIES if name in proxies), None)
    if name is None:
        return None
    proxy = proxies[name]
    try:
        _ = urlsplit(proxy).port
    except ValueError:
        raise ConfigError(f"{PROXY_ADVICE} (the port is not a number)") from None  # the text may quote a password
    if name == "socks" and proxy.startswith("http://"):  # the form of macOS's settings
        return f"socks5h://{proxy.removeprefix('http://')}"
    return proxy


def name_proxy(proxy: str | None) -> str | None:
    """Return a proxy's address without user name and password, so that it can be shown."""
    if proxy is None:
        return None
    parts = urlsplit(proxy)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
