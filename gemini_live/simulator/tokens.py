"""Issues ephemeral tokens and says what a session with one may do. Pure.

The rules are those that drover's probe measured on the service (18 Sep 2026, 3.1) and charivo's record (29 Aug 2026):
`uses` counts sessions that do not resume; `expireTime` ends a session that is going on; `bidiGenerateContentSetup`
replaces the client's setup, or with a `fieldMask` only the fields that the mask names.
"""

import copy
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from random import Random
from typing import Any

from .clock import Clock
from .close_reasons import INTERNAL_ERROR, TOKEN_EXPIRED, TOKEN_SPENT, Refusal
from .http import TOKEN_PREFIX, HttpFailure
from .schema import camel_case, load_json, read_message, snake_case

_DEFAULT_LIFETIME = timedelta(minutes=30)
_DEFAULT_START = timedelta(seconds=60)
_LONGEST = timedelta(hours=20)
MAX_TOKENS, MAX_TOKEN_BYTES = 10_000, 32 * 1024 * 1024
"""How many tokens are kept, and the size of their setups: the oldest are forgotten first."""
_FIELDS = {
    spelling: name
    for name in ("uses", "expireTime", "newSessionExpireTime", "bidiGenerateContentSetup", "fieldMask")
    for spelling in (name, snake_case(name))
}


@dataclass
class Token:
    """One token."""

    uses_left: int | None
    """None: as many as the client likes."""
    expires_s: float
    """On the server's clock."""
    starts_until_s: float
    """The last time for a session that does not resume another."""
    setup: dict[str, Any] | None
    """The setup that the token fixes; None: the client chooses."""
    fields: tuple[tuple[str, ...], ...]
    """Paths of the fields that are fixed; empty: all."""
    n_bytes: int
    """The size of the request for it."""


class TokenBook:
    """The tokens that a server has issued."""

    def __init__(self, clock: Clock, random: Random | None) -> None:
        """Prepare the book; `random` makes the names of the tokens repeatable, None makes them secret."""
        self._clock = clock
        self._random_bits: Callable[[int], int] = random.getrandbits if random else secrets.randbits
        self._tokens: dict[str, Token] = {}

    @property
    def names(self) -> frozenset[str]:
        """Return the names of the tokens, without their prefix."""
        return frozenset(self._tokens)

    def mint(self, body: bytes) -> dict[str, Any]:
        """Return the resource of a new token, as the answer to POST auth_tokens.

        Raises:
            HttpFailure: The request is wrong.
        """
        wishes = _read_body(body)
        now_s, now = self._clock.time(), datetime.now(UTC)
        expires = _read_time(wishes, "expireTime", now, _DEFAULT_LIFETIME)
        starts_until = _read_time(wishes, "newSessionExpireTime", now, _DEFAULT_START)
        n_bytes = sum(token.n_bytes for token in self._tokens.values()) + len(body)
        while self._tokens and (len(self._tokens) >= MAX_TOKENS or n_bytes > MAX_TOKEN_BYTES):
            n_bytes -= self._tokens.pop(next(iter(self._tokens))).n_bytes
        name = f"{self._random_bits(256):064x}"
        uses = _read_uses(wishes)
        self._tokens[name] = Token(
            uses_left=uses or None,
            expires_s=now_s + (expires - now).total_seconds(),
            starts_until_s=now_s + (starts_until - now).total_seconds(),
            setup=_read_setup(wishes),
            fields=_read_mask(wishes),
            n_bytes=len(body),
        )
        return {"name": f"{TOKEN_PREFIX}{name}"}

    def use(self, name: str, setup: dict[str, Any]) -> tuple[dict[str, Any], float]:
        """Return the setup of a session that begins with a token, and when the token ends it, on the server's clock.

        Raises:
            Refusal: The token is spent or has expired.
        """
        token = self._tokens.get(name)
        now_s = self._clock.time()
        resumes = bool(setup.get("sessionResumption", {}).get("handle"))
        if token is None or now_s >= token.expires_s or (now_s >= token.starts_until_s and not resumes):
            raise Refusal(INTERNAL_ERROR, TOKEN_EXPIRED)
        if not resumes and token.uses_left is not None:
            if token.uses_left == 0:
                raise Refusal(INTERNAL_ERROR, TOKEN_SPENT)
            token.uses_left -= 1
        return _constrain(setup, token), token.expires_s


def _read_body(body: bytes) -> dict[str, Any]:
    try:
        content = load_json(body) if body.strip() else {}
    except (ValueError, RecursionError):
        raise _invalid("Invalid JSON payload received. Unexpected token.") from None
    if not isinstance(content, dict):
        raise _invalid("Invalid JSON payload received. Root element must be a message.")
    for name in content:
        # `liveConnectConstraints` of the SDKs is refused so on both versions: charivo's record, 29 Aug 2026.
        if name not in _FIELDS:
            words = f"Unknown name \"{name[:200]}\" at 'auth_token': Cannot find field."
            raise _invalid(f"Invalid JSON payload received. {words}")
    return {_FIELDS[name]: value for name, value in content.items() if value is not None}


def _read_uses(wishes: dict[str, Any]) -> int:
    uses = wishes.get("uses", 1)
    if isinstance(uses, bool) or not isinstance(uses, int | str) or not str(uses).isdecimal() or len(str(uses)) > 9:
        raise _invalid("Invalid value at 'auth_token.uses' (TYPE_INT32)")
    return int(uses)


def _read_time(wishes: dict[str, Any], name: str, now: datetime, default: timedelta) -> datetime:
    text = wishes.get(name)
    if text is None:
        return now + default
    try:
        time = datetime.fromisoformat(text)
        is_late = time > now + _LONGEST
    except (TypeError, ValueError, OverflowError):  # TypeError: no text, or a time without its zone
        words = f"Invalid value at 'auth_token.{snake_case(name)}' (type.googleapis.com/google.protobuf.Timestamp)"
        raise _invalid(words) from None
    if is_late:
        raise _invalid(f"{snake_case(name)} is too far in the future. Maximum lifetime is 20h")
    if time <= now:
        raise _invalid(f"{snake_case(name)} must be in the future")
    return time


def _read_setup(wishes: dict[str, Any]) -> dict[str, Any] | None:
    if "bidiGenerateContentSetup" not in wishes:
        return None
    try:
        path = "auth_token.bidi_generate_content_setup"
        return read_message(wishes["bidiGenerateContentSetup"], "LiveClientSetup", path)
    except Refusal as refusal:
        raise _invalid(refusal.explanation) from None
    except RecursionError:
        raise _invalid("Invalid JSON payload received. Unexpected token.") from None


def _read_mask(wishes: dict[str, Any]) -> tuple[tuple[str, ...], ...]:
    mask = wishes.get("fieldMask", "")
    if not isinstance(mask, str):
        raise _invalid("Invalid value at 'auth_token.field_mask' (type.googleapis.com/google.protobuf.FieldMask)")
    paths = filter(None, mask.replace(" ", "").split(","))
    return tuple(tuple(camel_case(name) for name in path.split(".")) for path in paths)


def _constrain(setup: dict[str, Any], token: Token) -> dict[str, Any]:
    """Return the setup with the fields that the token fixes."""
    if token.setup is None:
        return setup
    if not token.fields:
        fixed = copy.deepcopy(token.setup)
        # Which session goes on is not a matter of configuration: a handle works with a token for all fields too.
        handle = setup.get("sessionResumption", {}).get("handle")
        return {**fixed, "sessionResumption": {"handle": handle}} if handle else fixed
    constrained = copy.deepcopy(setup)
    for path in token.fields:
        _copy_field(token.setup, constrained, path)
    return constrained


def _copy_field(source: dict[str, Any], target: dict[str, Any], path: tuple[str, ...]) -> None:
    """Give a field of `target` the value that it has in `source`, or none."""
    *parents, name = path
    for parent in parents:
        if parent not in source and parent not in target:
            return
        source, target = source.get(parent, {}), target.setdefault(parent, {})
        if not isinstance(source, dict) or not isinstance(target, dict):
            return
    if name in source:
        target[name] = copy.deepcopy(source[name])
    else:
        target.pop(name, None)


def _invalid(words: str) -> HttpFailure:
    return HttpFailure(HTTPStatus.BAD_REQUEST, "INVALID_ARGUMENT", words)
