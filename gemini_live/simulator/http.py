"""Reads HTTP requests: their bytes, where they come from, and what a request for a WebSocket says. Pure."""

import ipaddress
import re
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

from websockets.datastructures import Headers

from gemini_live.escaping import MIN_SECRET_CHARS
from gemini_live.hosts import is_loopback

from .close_reasons import INVALID_PAYLOAD, KEY_MISSING, KEY_NOT_VALID, POLICY_VIOLATION, Refusal

TOKEN_PREFIX = "auth_tokens/"

_MAX_HEAD_BYTES = 64 * 1024
_MAX_BODY_BYTES = 1024 * 1024
_SOCKET = re.compile(
    r"/+ws/google\.ai\.generativelanguage\.(v1|v1beta|v1alpha)\.GenerativeService\."
    r"(BidiGenerateContent|BidiGenerateContentConstrained)"
)
_MAX_LINE, _MAX_HEADERS = 8_000, 100
"""Less than what the WebSocket library takes: it would not answer at all."""
_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_LENGTH = re.compile(rb"\ncontent-length:[ \t]*(\d{1,9})", re.IGNORECASE)
_REQUEST_LINE = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([\x21-\x7e]+) HTTP/1\.[01]")
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*")


class HttpFailure(Exception):
    """A request is answered with an error, in the form of Google's REST services."""

    def __init__(self, status: HTTPStatus, name: str, words: str, *, reason: str = "", allow: str = "") -> None:
        super().__init__(status, name, words)
        self.status, self.name, self.words = status, name, words
        self.reason = reason
        """The reason of an ErrorInfo, such as API_KEY_INVALID."""
        self.allow = allow
        """The methods that a 405 names."""


@dataclass(frozen=True)
class HttpRequest:
    """One request, with its body."""

    method: str
    target: str
    """Path and query."""
    headers: Headers
    body: bytes = b""

    @property
    def wants_socket(self) -> bool:
        """True if this is the opening handshake of a WebSocket."""
        return self.method == "GET" and "websocket" in ",".join(self.headers.get_all("Upgrade")).lower()


@dataclass(frozen=True)
class SocketRequest:
    """What the opening handshake of a WebSocket says."""

    path: str
    """Without its query, which may hold a key."""
    api_version: str
    refusal: Refusal | None
    """Why the client may not have a session, if its key or token is not accepted."""
    token: str = ""
    """The ephemeral token, without its prefix, if the client came with one that the simulator issued."""


def read_request(data: bytes) -> HttpRequest | None:
    """Return the request that `data` holds; None if its end is still to come.

    Raises:
        HttpFailure: It is no request, or too large.
    """
    if data[:1] and not data[:1].isalpha():
        raise HttpFailure(
            HTTPStatus.BAD_REQUEST, "INVALID_ARGUMENT", "This is not HTTP. Is the address https, or http?"
        )
    end = _END_OF_HEAD.search(data)
    if (end.end() if end else len(data)) > _MAX_HEAD_BYTES:
        status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        raise HttpFailure(status, "INVALID_ARGUMENT", f"The headers are larger than {_MAX_HEAD_BYTES} bytes.")
    if end is None:
        return None
    first, *lines = data[: end.start()].decode("latin-1").replace("\r\n", "\n").split("\n")
    if max(map(len, [first, *lines])) > _MAX_LINE or len(lines) > _MAX_HEADERS:
        status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        raise HttpFailure(status, "INVALID_ARGUMENT", "The headers are too long, or too many.")
    request_line = _REQUEST_LINE.fullmatch(first)
    headers = [_HEADER.fullmatch(line) for line in lines]
    if request_line is None or None in headers:
        wrong = first if request_line is None else lines[headers.index(None)]
        raise HttpFailure(HTTPStatus.BAD_REQUEST, "INVALID_ARGUMENT", f"This is not HTTP/1.1: {wrong[:200]!r}")
    request = HttpRequest(
        request_line[1], request_line[2], Headers((match[1], match[2]) for match in headers if match is not None)
    )
    n_bytes = _body_length(request)
    if n_bytes and request.wants_socket:
        raise HttpFailure(HTTPStatus.BAD_REQUEST, "INVALID_ARGUMENT", "The opening of a WebSocket has no body.")
    if len(data) - end.end() < n_bytes:
        return None
    return HttpRequest(request.method, request.target, request.headers, data[end.end() : end.end() + n_bytes])


class Arrival:
    """How much of a request has arrived: reading all of it anew for each byte would take the square of its length."""

    def __init__(self) -> None:
        self._n_seen = 0
        self._n_needed: int | None = None
        """The length of the request, as soon as its headers have arrived."""

    def is_worth_reading(self, data: bytearray) -> bool:
        """Return True if `data`, which has grown, may now be a whole request, or one to be refused."""
        n_before, self._n_seen = self._n_seen, len(data)
        if self._n_needed is not None:
            return len(data) >= self._n_needed
        end = _END_OF_HEAD.search(data, max(0, n_before - 3))
        if end is None:
            return not n_before or len(data) > _MAX_HEAD_BYTES
        length = _LENGTH.search(data, 0, end.end())
        self._n_needed = end.end() + (int(length[1]) if length else 0)
        return True


def _body_length(request: HttpRequest) -> int:
    given = set(request.headers.get_all("Content-Length"))
    if "Transfer-Encoding" in request.headers:
        raise HttpFailure(HTTPStatus.LENGTH_REQUIRED, "INVALID_ARGUMENT", "Send Content-Length, not a transfer coding.")
    if not given:
        return 0
    length = given.pop()
    if given or not (length.isascii() and length.isdigit()):
        raise HttpFailure(HTTPStatus.BAD_REQUEST, "INVALID_ARGUMENT", "Content-Length is no number.")
    if len(length) > len(str(_MAX_BODY_BYTES)) or int(length) > _MAX_BODY_BYTES:
        status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        raise HttpFailure(status, "INVALID_ARGUMENT", f"The body is larger than {_MAX_BODY_BYTES} bytes.")
    return int(length)


@dataclass(frozen=True)
class Callers:
    """Who may call: programs always, web pages only of this machine or of an origin that was allowed."""

    host: str
    """Where the server listens."""
    names: frozenset[str] = frozenset()
    """Other names of the server, such as that of its certificate."""
    origins: frozenset[str] = frozenset()
    """Origins that may call besides this machine; `*` stands for all."""

    def check(self, headers: Headers) -> str:
        """Return the origin of the page that calls; empty if no page does.

        Raises:
            HttpFailure: The page is not allowed, or the request names a host that is not this server.
        """
        # `Headers.get` fails where a header comes twice.
        origins, hosts = headers.get_all("Origin"), headers.get_all("Host")
        for host in hosts:
            if not self._is_own(host):
                words = f"The request is for {host[:200]}, which is not this server: it listens on {self.host}."
                raise HttpFailure(HTTPStatus.FORBIDDEN, "PERMISSION_DENIED", words)
        for origin in origins:
            if not self._is_allowed(origin):
                words = f"Pages of {origin[:200]} may not call the simulator; --allow-origin {origin[:200]} lets them."
                raise HttpFailure(HTTPStatus.FORBIDDEN, "PERMISSION_DENIED", words)
        return origins[0] if origins else ""

    def _is_allowed(self, origin: str) -> bool:
        return bool(self.origins & {origin.lower(), "*"}) or _is_loopback_in_browsers(_host_name(origin))

    def _is_own(self, host: str) -> bool:
        """True if the name is this server's own: a page may give its own name to an address of this machine."""
        name = _host_name(f"//{host}")
        if not is_loopback(self.host) or name in {self.host.lower(), *self.names}:
            return True
        return _is_loopback_in_browsers(name) or _is_address(name)


def _host_name(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_loopback_in_browsers(host: str) -> bool:
    """True if a browser takes `host` for its own machine, as it does every name below "localhost"."""
    return is_loopback(host) or host.endswith(".localhost")


def read_socket_request(request: HttpRequest, key: str | None, known_tokens: frozenset[str]) -> SocketRequest | None:
    """Return what the handshake says; None if there is no Live API at its path."""
    path, query = split_target(request.target)
    match = _SOCKET.fullmatch(path)
    if match is None:
        return None
    if match[2] == "BidiGenerateContent":
        given = given_key(request)
        # A token as a key is refused: drover's probe of the service, 18 Sep 2026.
        refusal = Refusal(INVALID_PAYLOAD, KEY_NOT_VALID) if given.startswith(TOKEN_PREFIX) else check_key(given, key)
        return SocketRequest(path, match[1], refusal)
    token = query.get("access_token", [""])[0]
    authorization = next(iter(request.headers.get_all("Authorization")), "")
    if authorization.startswith("Token "):
        token = authorization.removeprefix("Token ").strip()
    token = token.removeprefix(TOKEN_PREFIX)
    if token in known_tokens:
        return SocketRequest(path, match[1], None, token)
    return SocketRequest(path, match[1], check_key(token, key))


def is_socket_path(target: str) -> bool:
    """True if the Live API's WebSocket is there."""
    return _SOCKET.fullmatch(split_target(target)[0]) is not None


def split_target(target: str) -> tuple[str, dict[str, list[str]]]:
    """Return path and query of a request; unlike urllib, with the second slash that the SDK may begin a path with."""
    path, _, query = target.partition("?")
    try:
        return path, parse_qs(query, max_num_fields=1000)
    except ValueError:
        return path, {}


def secrets_of(request: HttpRequest) -> tuple[str, ...]:
    """Return the keys and tokens that a request carries."""
    query = split_target(request.target)[1]
    found = [value for name in ("key", "access_token", "token") for value in query.get(name, [])]
    found += request.headers.get_all("x-goog-api-key")
    found += [value.rpartition(" ")[2] for value in request.headers.get_all("Authorization")]
    found += [value.removeprefix(TOKEN_PREFIX) for value in found]
    return tuple(sorted({value for value in found if len(value) >= MIN_SECRET_CHARS}, key=len, reverse=True))


def given_key(request: HttpRequest) -> str:
    """Return the API key that a request carries; empty if none."""
    header = next(iter(request.headers.get_all("x-goog-api-key")), "")
    return header or split_target(request.target)[1].get("key", [""])[0]


def check_key(given: str, key: str | None) -> Refusal | None:
    """Return why a key is not accepted; None if it is."""
    if key is None or given == key:
        return None
    return Refusal(INVALID_PAYLOAD, KEY_NOT_VALID) if given else Refusal(POLICY_VIOLATION, KEY_MISSING)
