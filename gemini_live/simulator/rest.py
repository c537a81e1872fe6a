"""Answers plain HTTP as Google's REST services do: models, ephemeral tokens, and an error for everything else. Pure."""

import json
import re
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from websockets.datastructures import Headers
from websockets.http11 import Response

from gemini_live.models import MODELS, ModelCapabilities

from .close_reasons import POLICY_VIOLATION, Refusal
from .http import Callers, HttpFailure, HttpRequest, check_key, given_key, is_socket_path, split_target
from .tokens import TokenBook

_MODELS = re.compile(r"/+(v1|v1beta|v1alpha)/models(?:/([^/:]+))?")
_TOKENS = re.compile(r"/+(v1beta|v1alpha)/auth_tokens")
_NOT_SERVED = re.compile(
    r"/+(?:upload/)?(v1|v1beta|v1alpha)/(models/[^/]+:\w+|files|cachedContents|batches|tunedModels|corpora|"
    r"fileSearchStores|interactions|operations)\b.*"
)
"""What the service does have, and a simulator of the Live API does not."""
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
_INPUT_TOKENS, _OUTPUT_TOKENS = 131_072, 65_536
_PREFLIGHT_AGE_S = 600


class RestService:
    """The plain HTTP side of one server."""

    def __init__(self, key: str | None, callers: Callers, tokens: TokenBook) -> None:
        self._key, self._callers, self._tokens = key, callers, tokens

    def answer(self, request: HttpRequest) -> Response:
        """Return the response to a request."""
        origin = ""
        try:
            origin = self._callers.check(request.headers)
            response = self._answer_preflight(request) if request.method == "OPTIONS" and origin else None
            response = response or build_json(HTTPStatus.OK, self._find(request))
        except HttpFailure as failure:
            response = build_error(failure)
        if origin:
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Vary"] = "Origin"
        if request.method == "HEAD":
            response.body = b""
        return response

    def _answer_preflight(self, request: HttpRequest) -> Response:
        """Answer a browser that asks, before the request itself, whether its page may send it."""
        headers = Headers()
        headers["Access-Control-Allow-Methods"] = "GET, HEAD, POST, OPTIONS"
        headers["Access-Control-Max-Age"] = str(_PREFLIGHT_AGE_S)
        wanted = ", ".join(request.headers.get_all("Access-Control-Request-Headers"))
        if wanted:
            headers["Access-Control-Allow-Headers"] = wanted
        if request.headers.get_all("Access-Control-Request-Private-Network"):
            headers["Access-Control-Allow-Private-Network"] = "true"
        headers["Connection"] = "close"
        return Response(HTTPStatus.NO_CONTENT, HTTPStatus.NO_CONTENT.phrase, headers)

    def _find(self, request: HttpRequest) -> dict[str, Any]:
        """Return the content of the answer.

        Raises:
            HttpFailure: There is none.
        """
        path, _ = split_target(request.target)
        if request.method not in _METHODS:
            raise HttpFailure(HTTPStatus.NOT_IMPLEMENTED, "UNIMPLEMENTED", f"The method {request.method} is unknown.")
        if is_socket_path(request.target):
            if request.method != "GET":
                raise _wrong_method(request.method, path, "GET")
            status = HTTPStatus.UPGRADE_REQUIRED
            raise HttpFailure(
                status, "FAILED_PRECONDITION", "Open a WebSocket here: the request has no Upgrade header."
            )
        if match := _MODELS.fullmatch(path):
            _check_method(request.method, path, "GET", "HEAD")
            self._check_key(request)
            return _find_models(match[1], unquote(match[2] or ""))
        if _TOKENS.fullmatch(path) and request.method != "GET":
            _check_method(request.method, path, "POST")
            self._check_key(request)
            return self._tokens.mint(request.body)
        if _NOT_SERVED.fullmatch(path):
            words = f"The simulator serves the Live API, models and auth_tokens, not {path}."
            raise HttpFailure(HTTPStatus.NOT_IMPLEMENTED, "UNIMPLEMENTED", words)
        raise HttpFailure(HTTPStatus.NOT_FOUND, "NOT_FOUND", f"The requested URL {path} was not found.")

    def _check_key(self, request: HttpRequest) -> None:
        refusal: Refusal | None = check_key(given_key(request), self._key)
        if refusal is not None and refusal.code == POLICY_VIOLATION:
            raise HttpFailure(HTTPStatus.FORBIDDEN, "PERMISSION_DENIED", refusal.reason)
        if refusal is not None:
            raise HttpFailure(HTTPStatus.BAD_REQUEST, "INVALID_ARGUMENT", refusal.reason, reason="API_KEY_INVALID")


def _check_method(method: str, path: str, *allowed: str) -> None:
    if method not in allowed:
        raise _wrong_method(method, path, ", ".join(allowed))


def _wrong_method(method: str, path: str, allow: str) -> HttpFailure:
    words = f"{method} is not allowed at {path}."
    return HttpFailure(HTTPStatus.METHOD_NOT_ALLOWED, "INVALID_ARGUMENT", words, allow=allow)


def _find_models(version: str, name: str) -> dict[str, Any]:
    """Return the description of a model, or of all if no name is given."""
    if not name:
        return {"models": [_describe(name, row) for name, row in MODELS.items()]}
    if name not in MODELS:
        words = f"models/{name} is not found for API version {version}."
        raise HttpFailure(HTTPStatus.NOT_FOUND, "NOT_FOUND", words)
    return _describe(name, MODELS[name])


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


def build_error(failure: HttpFailure) -> Response:
    """Return an error as Google's REST services write it."""
    error: dict[str, Any] = {"code": int(failure.status), "message": failure.words, "status": failure.name}
    if failure.reason:
        kind = "type.googleapis.com/google.rpc.ErrorInfo"
        error["details"] = [{"@type": kind, "reason": failure.reason, "domain": "googleapis.com"}]
    response = build_json(failure.status, {"error": error})
    if failure.allow:
        response.headers["Allow"] = failure.allow
    return response


def build_json(status: int, content: dict[str, Any]) -> Response:
    """Return a response with JSON in it."""
    body = json.dumps(content, indent=2).encode()
    headers = Headers()
    headers["Content-Type"] = "application/json; charset=UTF-8"
    headers["Content-Length"] = str(len(body))
    headers["Connection"] = "close"
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Error"
    return Response(int(status), phrase, headers, body)
