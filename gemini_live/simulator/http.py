"""What the simulator answers over plain HTTP, and what the request of a WebSocket says: version, method, key. Pure."""

import json
import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, unquote

from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from gemini_live.models import MODELS, ModelCapabilities

from .close_reasons import INVALID_PAYLOAD, KEY_MISSING, KEY_NOT_VALID, POLICY_VIOLATION, Refusal

TOKEN_PREFIX = "auth_tokens/"

_SOCKET = re.compile(
    r"/+ws/google\.ai\.generativelanguage\.(v1|v1beta|v1alpha)\.GenerativeService\."
    r"(BidiGenerateContent|BidiGenerateContentConstrained)"
)
_MODELS = re.compile(r"/+(v1|v1beta|v1alpha)/models(?:/([^/]+))?")
_INPUT_TOKENS, _OUTPUT_TOKENS = 131_072, 65_536


@dataclass(frozen=True)
class SocketRequest:
    """The request that opens a WebSocket."""

    path: str
    """Without its query, which may hold a key."""
    api_version: str
    refusal: Refusal | None
    """Why the client may not have a session, where its key or token is not accepted."""


def read_socket_request(request: Request, key: str | None) -> SocketRequest | None:
    """Return what a request for a WebSocket says; None if there is no Live API at its path."""
    path, query = split_target(request.path)
    match = _SOCKET.fullmatch(path)
    if match is None:
        return None
    constrained = match[2] == "BidiGenerateContentConstrained"
    token = query.get("access_token", [""])[0]
    authorization = request.headers.get("Authorization", "")
    if authorization.startswith("Token "):
        token = authorization.removeprefix("Token ").strip()
    given = token.removeprefix(TOKEN_PREFIX) if constrained else _given_key(request, query)
    return SocketRequest(path, match[1], check_key(given, key))


def split_target(target: str) -> tuple[str, dict[str, list[str]]]:
    """Return path and query of a request; unlike urllib, with the second slash that the SDK may begin a path with."""
    path, _, query = target.partition("?")
    return path, parse_qs(query)


def _given_key(request: Request, query: dict[str, list[str]]) -> str:
    return request.headers.get("x-goog-api-key", "") or query.get("key", [""])[0]


def check_key(given: str, key: str | None) -> Refusal | None:
    """Return why a key is not accepted, if it is not."""
    if key is None or given == key:
        return None
    return Refusal(INVALID_PAYLOAD, KEY_NOT_VALID) if given else Refusal(POLICY_VIOLATION, KEY_MISSING)


def answer_plainly(request: Request, key: str | None) -> Response:
    """Return the answer to a request that is not for a WebSocket: the models, or an error in the service's form."""
    path, query = split_target(request.path)
    match = _MODELS.fullmatch(path)
    if match is None:
        return build_error(HTTPStatus.NOT_FOUND, "NOT_FOUND", f"The requested URL {path} was not found.")
    refusal = check_key(_given_key(request, query), key)
    if refusal is not None and refusal.code == POLICY_VIOLATION:
        return build_error(HTTPStatus.FORBIDDEN, "PERMISSION_DENIED", refusal.reason)
    if refusal is not None:
        return build_error(HTTPStatus.BAD_REQUEST, "INVALID_ARGUMENT", refusal.reason, "API_KEY_INVALID")
    if match[2] is None:
        return build_json(HTTPStatus.OK, {"models": [_describe(name, row) for name, row in MODELS.items()]})
    name = unquote(match[2])
    if name not in MODELS:
        words = f"models/{name} is not found for API version {match[1]}."
        return build_error(HTTPStatus.NOT_FOUND, "NOT_FOUND", words)
    return build_json(HTTPStatus.OK, _describe(name, MODELS[name]))


def _describe(name: str, row: ModelCapabilities) -> dict[str, Any]:
    return {
        "name": f"models/{name}",
        "version": "001",
        "displayName": name.replace("-", " ").title(),
        "description": f"Simulated. Answers in {' or '.join(row.output)}.",
        "inputTokenLimit": _INPUT_TOKENS,
        "outputTokenLimit": _OUTPUT_TOKENS,
        "supportedGenerationMethods": ["bidiGenerateContent"],
    }


def build_error(status: int, name: str, words: str, reason: str = "") -> Response:
    """Return an error as Google's REST services write it."""
    error: dict[str, Any] = {"code": int(status), "message": words, "status": name}
    if reason:
        kind = "type.googleapis.com/google.rpc.ErrorInfo"
        error["details"] = [{"@type": kind, "reason": reason, "domain": "googleapis.com"}]
    return build_json(status, {"error": error})


def build_json(status: int, content: dict[str, Any]) -> Response:
    """Return a response with JSON in it."""
    body = json.dumps(content, indent=2).encode()
    headers = Headers()
    headers["Content-Type"] = "application/json; charset=UTF-8"
    headers["Content-Length"] = str(len(body))
    headers["Connection"] = "close"
    headers["Access-Control-Allow-Origin"] = "*"
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Error"
    return Response(int(status), phrase, headers, body)
