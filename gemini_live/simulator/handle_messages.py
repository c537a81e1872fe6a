"""Sends the handles of one session at the moments when the service sends them for its model."""

from gemini_live.models import Handles

from .calls import CallBook
from .history import ConversationHistory, HandleBook
from .settings import Settings
from .wire import Wire


class HandleMessages:
    """The sessionResumptionUpdate messages of one session."""

    def __init__(
        self, wire: Wire, settings: Settings, history: ConversationHistory, handles: HandleBook, calls: CallBook
    ) -> None:
        self._wire, self._history, self._handles, self._calls = wire, history, handles, calls
        self._observed = settings.observed
        self._is_asked = settings.resumption
        self.may_offer = False
        """True once a session of a model that sends handles while it runs may send them."""

    async def _send(self) -> None:
        handle = self._handles.save(self._history, self._wire.record.number, self._observed.handle_covers)
        await self._wire.send({"sessionResumptionUpdate": {"newHandle": handle, "resumable": True}})

    async def send_first(self) -> None:
        """Send the handle that follows setupComplete, if the model sends one."""
        if self._observed.handles is Handles.AT_SETUP:
            await self._send()
        else:
            await self.send_if_asked()

    async def send_if_asked(self) -> None:
        """Send a handle if the model sends one after each turn and the client asked for them."""
        if self._observed.handles is Handles.IF_ASKED and self._is_asked:
            await self._send()

    async def offer(self) -> None:
        """Send a handle in the middle of the session, if the model does so and no call is open."""
        if self.may_offer and self._observed.handles is Handles.WHILE_RUNNING and not self._calls.open_ids:
            await self._send()

    async def withhold(self) -> None:
        """Tell a client of the 2.x models that there is nothing to resume while a call or a typed turn runs."""
        if self._observed.handles is Handles.IF_ASKED and self._is_asked:
            await self._wire.send({"sessionResumptionUpdate": {}})  # proto3 JSON leaves false and empty out
