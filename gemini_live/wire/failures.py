"""What a failed dial means: an exception of the network or of the WebSocket library becomes a `ConnectionFailed`.

Pure, apart from the clock that a Retry-After date is compared with.
"""

import html
import json
import os
import re
import socket
import ssl
import time
from collections.abc import Sequence
from email.utils import parsedate_to_datetime

from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidProxyStatus,
    InvalidStatus,
    ProxyError,
)

from ..errors import ConnectionFailed, is_final
from ..escaping import MIN_SECRET_CHARS

_MAX_BODY_BYTES, _MAX_REASON_CHARS = 16_384, 300
_MARKUP = re.compile(r"<(style|script)\b.*?</\1>|<[^<>]*>", re.DOTALL | re.IGNORECASE)


def explain_dial(  # noqa: PLR0911, PLR0912 - one case for each kind of failure
    error: Exception, host: str, proxy: str | None, secrets: Sequence[str], timeout_s: float
) -> ConnectionFailed | None:
    """Return why a dial to `host` failed, or `None` if the error is a bug. Long, because it is a table.

    Args:
        error: What the dial raised.
        host: The host dialled.
        proxy: The proxy's address without its password, if one was used.
        secrets: Texts to mask in the server's words.
        timeout_s: How long the dial may take.
    """
    name = f"{host} (through the proxy {proxy})" if proxy else host
    match error:
        case InvalidStatus():
            status = error.response.status_code
            reason = _http_reason(error.response.body, secrets)
            wait_s = _retry_after_s(error.response.headers.get_all("Retry-After"))
            is_busy = status in (408, 429) or status >= 500
            return ConnectionFailed(
                reason,
                http_status=status,
                retry_after_s=wait_s,
                # A server that says when to come back means it, whatever its words.
                transient=is_busy and (wait_s is not None or not is_final(status, reason)),
            )
        case InvalidProxyStatus():
            status = error.response.status_code
            known = 407 if status == 407 else None  # the other causes are a service's, not a proxy's
            reason = f"the proxy {proxy} refused: HTTP {status}"
            return ConnectionFailed(reason, http_status=known, transient=status >= 500)
        case ConnectionClosed() | ConnectionResetError() | ConnectionAbortedError() | BrokenPipeError():
            return ConnectionFailed(f"{name} closed the connection before it answered", transient=True)
        case InvalidHandshake() if isinstance(error.__cause__, EOFError):
            return ConnectionFailed(f"{name} closed the connection before it answered", transient=True)
        case ProxyError():
            return ConnectionFailed(f"the proxy {proxy} refused: {_detail(error)}")
        case InvalidHandshake():
            detail = mask(secrets, _detail(error))
            return ConnectionFailed(f"{name} did not answer as a WebSocket server: {detail}; check --base-url")
        case ssl.SSLCertVerificationError():
            return ConnectionFailed(
                f"the certificate of {name} is not trusted: {error.verify_message}; "
                "if your own authority signed it, name its file in SSL_CERT_FILE"
            )
        case ssl.SSLError():
            return ConnectionFailed(f"TLS with {name} failed: {error.reason or error}", transient=True)
        case TimeoutError():
            return ConnectionFailed(f"{name} did not answer within {timeout_s:g} s", transient=True)
        case OSError() if proxy and (not proxy.startswith("socks") or isinstance(error.__cause__, OSError)):
            # python-socks wraps a failed dial to the proxy. An error that it does not wrap is about the host.
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


def mask(secrets: Sequence[str], text: str) -> str:
    """Return the server's words with our secrets masked, in case the server repeats them."""
    for secret in secrets:
        text = text.replace(secret, "***") if len(secret) >= MIN_SECRET_CHARS else text
    return text


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
    """Return the system's text for an error. asyncio replaces that text by the address dialled."""
    if error.errno is not None and (error.strerror or "").startswith("Connect call failed"):
        return os.strerror(error.errno)
    return error.strerror or _detail(error)


def _detail(error: Exception) -> str:
    """Return the text of an error's cause, which says more than the library's wrapping, or its own."""
    cause = error.__cause__
    return str(cause) if isinstance(cause, Exception) and str(cause) else (str(error) or type(error).__name__)


def _http_reason(body: bytes | bytearray | None, secrets: Sequence[str]) -> str:
    """Return the words of a refusal: Google's JSON error message, else the text, shortened."""
    text = (body or b"")[:_MAX_BODY_BYTES].decode("utf-8", errors="replace").strip()
    try:
        text = str(json.loads(text)["error"]["message"])
    except (ValueError, LookupError, TypeError, RecursionError):
        text = html.unescape(_MARKUP.sub(" ", text))
    text = " ".join(mask(secrets, text).split())
    return text if len(text) <= _MAX_REASON_CHARS else text[:_MAX_REASON_CHARS] + "..."


def _retry_after_s(values: Sequence[str]) -> float | None:
    """Return the seconds that a Retry-After header asks for, given as seconds or as a date."""
    value = values[0] if values else ""
    if value.isascii() and value.isdecimal():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None
