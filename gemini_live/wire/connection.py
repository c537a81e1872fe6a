"""One WebSocket, from dial to close. The only importer of `websockets`.

Runs on the event loop. It knows addresses, keys, proxies, certificates and close codes, and turns all that can fail
into `ConnectionFailed` and `SessionClosed`; what the messages mean is not its business. The key travels in a header
only, and no log of the library's, which would print headers, is ever passed on.
"""

import asyncio
import html
import ipaddress
import json
import logging
import os
import re
import socket
import ssl
import time
import traceback
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidProxy,
    InvalidProxyStatus,
    InvalidStatus,
    InvalidURI,
    ProxyError,
)
from websockets.version import version as websockets_version

from .. import __version__
from ..errors import ConfigError, ConnectionFailed, MissingExtraError, SessionClosed
from ..process.streams import MIN_SECRET_CHARS

OPEN_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 0.5
PING_INTERVAL_S = 15.0
PING_TIMEOUT_S = 39.5
"""Servers that stream can take half a minute to answer a ping: longer than that is a dead connection. With the interval
and the time that closing takes, one that is gone without a word is noticed within 55 s."""
MAX_MESSAGE_BYTES = 64 * 1024 * 1024
NORMAL_CLOSURE, GOING_AWAY, NO_STATUS, ABNORMAL_CLOSURE = 1000, 1001, 1005, 1006
TOKEN_PREFIX = "auth_tokens/"
SERVICE = "google.ai.generativelanguage"

_SCHEMES = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
_PROXIES = ("wss", "socks", "https", "all")
"""Whose proxy is used, the first one that the environment or the system names."""
_PROXY_ADVICE = "the proxy of the environment cannot be used: write HTTPS_PROXY as http://host:port"
_MAX_BODY_BYTES, _MAX_REASON_CHARS = 16_384, 300
_MARKUP = re.compile(r"<(style|script)\b.*?</\1>|<[^<>]*>", re.DOTALL | re.IGNORECASE)
_NO_ADDRESS = re.compile(r"[\x00-\x20\x7f]")

_silent_logger = logging.getLogger(f"{__name__}.websockets")
_silent_logger.addHandler(logging.NullHandler())
_silent_logger.propagate = False
_silent_logger.disabled = True

OnMessage = Callable[[str, str | bytes], None]
"""Called with the direction (`>` out, `<` in) and the text of every message."""


def build_url(base_url: str, api_version: str | None, api_key: str) -> str:
    """Return the address of the Live API's method at `base_url`.

    Args:
        base_url: An http, https, ws or wss address.
        api_version: `None`: v1alpha for an ephemeral token, else v1beta.
        api_key: A key or a token: it decides the method, and is not put into the address.

    Raises:
        ConfigError: The address is none, or would send the key in clear over a network.
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
    if scheme == "ws" and not _is_loopback(host):
        raise ConfigError(f"--base-url: {parts.scheme}://{host} would send the API key in clear; use https")
    is_token = api_key.startswith(TOKEN_PREFIX)
    version = api_version or ("v1alpha" if is_token else "v1beta")
    method = "BidiGenerateContentConstrained" if is_token else "BidiGenerateContent"
    name = f"[{host}]" if ":" in host else host
    authority = name if port is None else f"{name}:{port}"
    return f"{scheme}://{authority}{parts.path.rstrip('/')}/ws/{SERVICE}.{version}.GenerativeService.{method}"


def build_headers(api_key: str) -> dict[str, str]:
    """Return the headers that identify the user."""
    if api_key.startswith(TOKEN_PREFIX):
        return {"Authorization": f"Token {api_key}"}
    return {"x-goog-api-key": api_key}


def check_certificates(url: str) -> None:
    """Look whether the certificates that SSL_CERT_FILE names can be read: OpenSSL does without and says nothing.

    Raises:
        ConfigError: They cannot, and TLS is used.
    """
    path = os.environ.get("SSL_CERT_FILE")
    if not path or not url.startswith("wss:"):
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except ssl.SSLError:
        raise ConfigError(f"SSL_CERT_FILE: cannot read {path}: it holds no certificate") from None
    except OSError as error:
        raise ConfigError(f"SSL_CERT_FILE: cannot read {path}: {error.strerror}") from error


def _is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _find_proxy(url: str) -> str | None:
    """Return the proxy for `url`, if there is one to use: never for this machine, where the simulator is.

    The library would choose one by itself, but it does not know ALL_PROXY, and takes proxies to this machine too.

    Raises:
        ConfigError: Its address is none.
    """
    parts = urlsplit(url)
    if _is_loopback(parts.hostname or "") or urllib.request.proxy_bypass(parts.netloc):
        return None
    proxies = urllib.request.getproxies()
    name = next((name for name in _PROXIES if name in proxies), None)
    if name is None:
        return None
    proxy = proxies[name]
    try:
        _ = urlsplit(proxy).port
    except ValueError:
        raise ConfigError(f"{_PROXY_ADVICE} (the port is no number)") from None  # what it quotes may be a password
    if name == "socks" and proxy.startswith("http://"):  # so macOS gives the one of its settings
        return f"socks5h://{proxy.removeprefix('http://')}"
    return proxy


def is_known_failure(error: BaseException | None) -> bool:
    """Whether an error that the event loop reports is a dial's, which has failed already and said so.

    websockets 17.4 lets errors out of its callback where a proxy closes the connection early. This can go once a proxy
    that closes at once, or right after its 200, leaves no traceback.
    """
    frames = traceback.walk_tb(error.__traceback__) if error is not None else ()
    return any(
        frame.f_code.co_name == "connection_lost" and frame.f_globals.get("__name__", "").startswith("websockets.")
        for frame, _ in frames
    )


class _Connect(connect):
    def process_redirect(self, exc: Exception) -> Exception | str:
        """Follow no redirect: the library would take our key along to another host."""
        return exc


class Connection:
    """An open WebSocket to the Live API."""

    def __init__(self, websocket: ClientConnection, on_message: OnMessage | None, secrets: Sequence[str] = ()) -> None:
        """Take an open WebSocket; `secrets` are kept out of errors even where the server repeats them."""
        self._websocket = websocket
        self._on_message = on_message
        self._secrets = secrets

    @classmethod
    async def open(cls, url: str, headers: Mapping[str, str], *, on_message: OnMessage | None = None) -> Self:
        """Dial.

        Raises:
            ConnectionFailed: Nobody answered, or not as a WebSocket server.
            ConfigError: The proxy settings of the environment are wrong.
            MissingExtraError: A SOCKS proxy is set, and what it needs is not installed.
        """
        secrets = [value.removeprefix("Token ") for value in headers.values()]
        proxy = _find_proxy(url)
        try:
            websocket = await _Connect(
                url,
                additional_headers=headers,
                user_agent_header=f"gemini-live/{__version__} websockets/{websockets_version}",
                proxy=proxy,
                compression=None,
                open_timeout=OPEN_TIMEOUT_S,
                close_timeout=CLOSE_TIMEOUT_S,
                ping_interval=PING_INTERVAL_S,
                ping_timeout=PING_TIMEOUT_S,
                max_size=MAX_MESSAGE_BYTES,
                logger=_silent_logger,
            )
        except InvalidProxy as error:
            raise ConfigError(f"{_PROXY_ADVICE} ({error.msg})") from None  # it may hold a password
        except InvalidURI as error:
            raise ConfigError(f"--base-url cannot be used: {error.msg}") from error
        except ImportError as error:
            raise MissingExtraError("the SOCKS proxy of the environment", "socks") from error
        except Exception as error:
            failure = _connection_failed(error, urlsplit(url).hostname or "", _name_proxy(proxy), secrets)
            if failure is None:
                raise
            raise failure from None  # the cause's own text may repeat headers
        return cls(websocket, on_message, secrets)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def send(self, message: Mapping[str, Any]) -> None:
        """Send one message, waiting while the network cannot keep up.

        Raises:
            SessionClosed: The connection is gone.
        """
        text = json.dumps(message, separators=(",", ":"), ensure_ascii=False)
        if _SURROGATE.search(text):  # half a character, from a terminal or a file: not representable in UTF-8
            text = _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)
        if self._on_message:
            self._on_message(">", text)
        try:
            await self._websocket.send(text)
        except ConnectionClosed as error:
            raise self._session_closed(error) from None

    async def receive(self) -> bytes:
        """Return the next message; that it is UTF-8 is for the parser to say, for the library would end the session.

        Raises:
            SessionClosed: The connection is gone.
        """
        try:
            raw = await self._websocket.recv(decode=False)
        except ConnectionClosed as error:
            raise self._session_closed(error) from None
        if self._on_message:
            self._on_message("<", raw)
        return raw

    async def close(self) -> None:
        """Close politely, and within a second in any case."""
        try:
            async with asyncio.timeout(2 * CLOSE_TIMEOUT_S):
                await self._websocket.close()
        except TimeoutError:
            self._websocket.transport.abort()

    def _session_closed(self, error: ConnectionClosed) -> SessionClosed:
        if error.rcvd is not None:
            return SessionClosed(error.rcvd.code, _without(self._secrets, error.rcvd.reason))
        if error.sent is not None and error.sent.code != NORMAL_CLOSURE:
            if "ping timeout" in error.sent.reason:
                return SessionClosed(ABNORMAL_CLOSURE, f"the server has not answered for {PING_TIMEOUT_S:g} s")
            return SessionClosed(error.sent.code, error.sent.reason)
        return SessionClosed(ABNORMAL_CLOSURE, "")


_SURROGATE = re.compile("[\ud800-\udfff]")


def _without(secrets: Sequence[str], text: str) -> str:
    """Return the server's words without what it may have repeated of ours."""
    for secret in secrets:
        text = text.replace(secret, "***") if len(secret) >= MIN_SECRET_CHARS else text
    return text


def _connection_failed(  # noqa: PLR0911, PLR0912 - one a kind
    error: Exception, host: str, proxy: str | None, secrets: Sequence[str]
) -> ConnectionFailed | None:
    """Return what a failed dial to `host`, perhaps through `proxy`, means; `None`: it is not the network but a bug."""
    name = f"{host} (through the proxy {proxy})" if proxy else host
    match error:
        case InvalidStatus():
            status = error.response.status_code
            return ConnectionFailed(
                _http_reason(error.response.body, secrets),
                http_status=status,
                retry_after_s=_retry_after_s(error.response.headers.get_all("Retry-After")),
                transient=status in (408, 429) or status >= 500,
            )
        case InvalidProxyStatus():
            status = error.response.status_code
            known = 407 if status == 407 else None  # the other causes are those of a service, not of a proxy
            reason = f"the proxy {proxy} refused: HTTP {status}"
            return ConnectionFailed(reason, http_status=known, transient=status >= 500)
        case ConnectionClosed() | ConnectionResetError() | ConnectionAbortedError() | BrokenPipeError():
            return ConnectionFailed(f"{name} closed the connection before it answered", transient=True)
        case InvalidHandshake() if isinstance(error.__cause__, EOFError):
            return ConnectionFailed(f"{name} closed the connection before it answered", transient=True)
        case ProxyError():
            return ConnectionFailed(f"the proxy {proxy} refused: {_detail(error)}")
        case InvalidHandshake():
            detail = _without(secrets, _detail(error))
            return ConnectionFailed(f"{name} did not answer as a WebSocket server: {detail}; check --base-url")
        case ssl.SSLCertVerificationError():
            return ConnectionFailed(
                f"the certificate of {name} is not trusted: {error.verify_message}; "
                "if it is signed by an authority of your own, name its file in SSL_CERT_FILE"
            )
        case ssl.SSLError():
            return ConnectionFailed(f"TLS with {name} failed: {error.reason or error}", transient=True)
        case TimeoutError():
            return ConnectionFailed(f"{name} did not answer within {OPEN_TIMEOUT_S:g} s", transient=True)
        case OSError() if proxy and (not proxy.startswith("socks") or isinstance(error.__cause__, OSError)):
            # python-socks wraps what became of the dial to the proxy; what it does not wrap is about the host.
            reason = f"the proxy {proxy} cannot be reached: {_proxy_detail(error)}"
            return ConnectionFailed(f"{reason}; check the network and the proxy settings", transient=True)
        case socket.gaierror():
            reason = f"the name {host} cannot be resolved; check the network and --base-url"
            return ConnectionFailed(reason, transient=True)
        case ConnectionRefusedError():
            return ConnectionFailed(f"{host} refused the connection; check the network and --base-url", transient=True)
        case OSError():
            return ConnectionFailed(f"the connection to {name} failed: {_network_detail(error)}", transient=True)
    return None


def _name_proxy(proxy: str | None) -> str | None:
    """Return a proxy as it may be shown: without user name and password."""
    if proxy is None:
        return None
    parts = urlsplit(proxy)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _proxy_detail(error: OSError) -> str:
    """Return why a proxy cannot be reached."""
    cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
    match cause:
        case socket.gaierror():
            return "its name cannot be resolved"
        case ConnectionRefusedError():
            return "it refuses the connection"
    return _network_detail(cause)


def _network_detail(error: OSError) -> str:
    """Return what the system says of an error, in whose place asyncio puts the address that it has dialled."""
    if error.errno is not None and (error.strerror or "").startswith("Connect call failed"):
        return os.strerror(error.errno)
    return error.strerror or _detail(error)


def _detail(error: Exception) -> str:
    """Return the innermost text of an error, which says more than the library's wrapping."""
    cause = error.__cause__
    return str(cause) if isinstance(cause, Exception) and str(cause) else (str(error) or type(error).__name__)


def _http_reason(body: bytes | bytearray | None, secrets: Sequence[str]) -> str:
    """Return what a refusal says: Google's JSON error message, else the text, shortened."""
    text = (body or b"")[:_MAX_BODY_BYTES].decode("utf-8", errors="replace").strip()
    try:
        text = str(json.loads(text)["error"]["message"])
    except (ValueError, LookupError, TypeError, RecursionError):
        text = html.unescape(_MARKUP.sub(" ", text))
    text = " ".join(_without(secrets, text).split())
    return text if len(text) <= _MAX_REASON_CHARS else text[:_MAX_REASON_CHARS] + "..."


def _retry_after_s(values: Sequence[str]) -> float | None:
    """Return what Retry-After headers ask for: seconds, or a date."""
    value = values[0] if values else ""
    if value.isascii() and value.isdecimal():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None
