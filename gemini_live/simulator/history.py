"""What the simulated model remembers: the conversation, and the handles by which another connection goes on with it."""

from dataclasses import dataclass, field
from random import Random

from .clock import Clock

HANDLE_LIFETIME_S = 2 * 3600.0

TOKENS_A_SECOND = 25
TOKENS_A_FRAME = 258


@dataclass(frozen=True)
class Said:
    """One contribution to the conversation."""

    role: str
    """`user` or `model`."""
    text: str
    audio_s: float = 0.0
    """How long it was heard; 0 for what was written."""

    @property
    def tokens(self) -> int:
        """What it costs in the context, about as the service counts."""
        return round(self.audio_s * TOKENS_A_SECOND) if self.audio_s else 1 + len(self.text.encode()) // 4


@dataclass
class ConversationHistory:
    """Everything said so far, and the pictures shown."""

    said: list[Said] = field(default_factory=list)
    n_frames: int = 0
    frame_size: tuple[int, int] | None = None
    """Width and height of the last picture."""

    def last_said(self) -> str:
        """Return what the user said last; empty if nothing."""
        return next((said.text for said in reversed(self.said) if said.role == "user"), "")

    def describe_frames(self) -> str:
        """Return a sentence about the pictures."""
        if not self.n_frames:
            return "I have received no frames."
        frames = "1 frame" if self.n_frames == 1 else f"{self.n_frames} frames"
        size = f", the last one {self.frame_size[0]} by {self.frame_size[1]}" if self.frame_size else ""
        return f"I have received {frames}{size}."


@dataclass(frozen=True)
class _Saved:
    conversation: ConversationHistory
    n_said: int
    """How much of it had been said: it only ever grows, so that a handle need not hold a copy."""
    session: int
    saved_s: float


class HandleBook:
    """The handles that a server has given out, each with the conversation as it was."""

    def __init__(self, seed: int, clock: Clock) -> None:
        self._random = Random(f"handles {seed}")
        self._clock = clock
        self._saved: dict[str, _Saved] = {}

    def save(self, conversation: ConversationHistory, session: int) -> str:
        """Return a new handle for the conversation as it is now."""
        now = self._clock.time()
        while self._saved and next(iter(self._saved.values())).saved_s < now - HANDLE_LIFETIME_S:
            del self._saved[next(iter(self._saved))]
        handle = f"{session:04d}-{self._random.getrandbits(96):024x}"
        self._saved[handle] = _Saved(conversation, len(conversation.said), session, now)
        return handle

    def find(self, handle: str) -> tuple[ConversationHistory, int] | None:
        """Return the conversation that a handle stands for and the session that it was given to, if it is known."""
        saved = self._saved.get(handle)
        if saved is None or saved.saved_s < self._clock.time() - HANDLE_LIFETIME_S:
            return None
        old = saved.conversation
        return ConversationHistory(old.said[: saved.n_said], old.n_frames, old.frame_size), saved.session


def jpeg_size(image: bytes) -> tuple[int, int] | None:
    """Return width and height of a JPEG; None if it is none."""
    position = 2
    if image[:2] != b"\xff\xd8":
        return None
    while position + 9 < len(image) and image[position] == 0xFF:
        marker = image[position + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return int.from_bytes(image[position + 7 : position + 9]), int.from_bytes(
                image[position + 5 : position + 7]
            )
        position += 2 + int.from_bytes(image[position + 2 : position + 4])
    return None
