"""Replaces the ids of calls and handles of a recording by new ones, which stay the same during one replay. Pure."""

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

_DIGIT = re.compile(r"\d")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


@dataclass
class ReplayIds:
    """The ids of one replay: of one client on its way through the recording."""

    random: Random
    _new: dict[str, str] = field(default_factory=dict)
    _recorded: dict[str, str] = field(default_factory=dict)

    def renew(self, recorded: str) -> str:
        """Return the new id for a recorded one, in the same form; create it at the first call."""
        if recorded in self._new:
            return self._new[recorded]
        new = recorded
        while new == recorded or new in self._recorded:
            if _UUID.fullmatch(recorded):
                new = str(uuid.UUID(int=self.random.getrandbits(128), version=4))
            elif _DIGIT.search(recorded):
                new = _DIGIT.sub(lambda _: str(self.random.randrange(10)), recorded)
            else:
                new = f"{recorded}-{self.random.randrange(10**9)}"
            recorded_digits = len(_DIGIT.findall(recorded))
            if new in self._recorded and recorded_digits < 4:
                new = f"{recorded}-{self.random.randrange(10**9)}"
        self._new[recorded], self._recorded[new] = new, recorded
        return new

    def find(self, new: str) -> str | None:
        """Return the recorded id for a new id; None if this replay has not created the new id."""
        return self._recorded.get(new)

    def renew_in(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Return a server's message with new ids in place of the recorded ones."""
        renewed = dict(message)
        if "toolCall" in message:
            calls = [
                {**call, "id": self.renew(call["id"])} if call.get("id") else call
                for call in message["toolCall"].get("functionCalls", [])
            ]
            renewed["toolCall"] = {**message["toolCall"], "functionCalls": calls}
        if "toolCallCancellation" in message:
            ids = [self.renew(id_) for id_ in message["toolCallCancellation"].get("ids", [])]
            renewed["toolCallCancellation"] = {**message["toolCallCancellation"], "ids": ids}
        update = message.get("sessionResumptionUpdate", {})
        if update.get("newHandle"):
            renewed["sessionResumptionUpdate"] = {**update, "newHandle": self.renew(update["newHandle"])}
        return renewed
