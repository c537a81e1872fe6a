"""One session that is passed on to an upstream server: counted, logged, and otherwise left alone."""

import json
from collections.abc import Iterable

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.server import ServerConnection

from .close_reasons import ABNORMAL_CLOSURE
from .log import Log
from .records import SessionRecord
from .upstream import pass_on


class ProxySession:
    """The session of one client with the server behind us."""

    def __init__(
        self,
        client: ServerConnection,
        server: ClientConnection,
        record: SessionRecord,
        *,
        log: Log | None,
        secrets: Iterable[str],
    ) -> None:
        """Prepare to pass `client` on to `server`; `secrets` are the keys of the client, which no log may hold."""
        self._client, self._server, self._record, self._log = client, server, record, log
        self._secrets = [(secret, secret.encode()) for secret in secrets]

    async def run(self) -> None:
        """Pass messages on until one side closes."""
        self._record.on_event("opened, and passed on")
        by_client = False
        try:
            by_client = await pass_on(self._client, self._server, on_received=self._received, on_sent=self._sent)
        finally:
            self._settle(by_client=by_client)

    def _received(self, raw: str | bytes) -> None:
        raw = self._without_secrets(raw)
        if self._log is not None:
            self._log.received(self._record.number, raw)
        message = self._read(raw) if self._record.keep or not self._record.n_received else None
        self._record.received(message or {})
        if message and "setup" in message:
            self._record.setup = message["setup"] if isinstance(message["setup"], dict) else {}
        self._record.changed()

    def _sent(self, raw: str | bytes) -> None:
        raw = self._without_secrets(raw)
        if self._log is not None:
            self._log.sent(self._record.number, raw)
        self._record.n_sent += 1
        if self._record.keep:
            self._record.sent.append(self._read(raw) or {})
        self._record.changed()

    def _without_secrets(self, raw: str | bytes) -> str | bytes:
        """Return a message for the log and the record: a server may repeat the key that it got."""
        for text, data in self._secrets:
            raw = raw.replace(text, "***") if isinstance(raw, str) else raw.replace(data, b"***")
        return raw

    def _read(self, raw: str | bytes) -> dict[str, object] | None:
        try:
            message = json.loads(raw)
        except (ValueError, RecursionError):
            return None
        return message if isinstance(message, dict) else None

    def _settle(self, *, by_client: bool) -> None:
        """Record how the session ended."""
        received = (self._client if by_client else self._server).protocol.close_rcvd
        code, reason = (received.code, received.reason) if received else (ABNORMAL_CLOSURE, "")
        for text, _ in self._secrets:
            reason = reason.replace(text, "***")
        record = self._record
        record.closed_by_client, record.close_code, record.close_reason = by_client, code, reason
        if self._log is not None:
            self._log.closed(record.number, code, reason, by_client=by_client)
        shown = f" ({reason})" if reason else ""
        record.on_event(f"closed by the {'client' if by_client else 'server'} with {code}{shown}")
        record.changed()
