"""Keeps the conversation of the simulated model, and the handles by which another connection resumes it. Pure."""

import math
import secrets
from collections import Counter
from dataclasses import dataclass, field
from random import Random

from gemini_live.models import Coverage

from .clock import Clock
from .close_reasons import invalid_argument

HANDLE_LIFETIME_S = 2 * 3600.0
MAX_HANDLES, MAX_HANDLE_CHARS = 2_000, 128 * 1024 * 1024
"""How many handles are kept, and the size of the conversations that they stand for: the oldest are forgotten first, so
that a server that runs for months keeps its size."""
MAX_CONVERSATION_CHARS, SAID_CHARS = 16 * 1024 * 1024, 256
"""The size of one conversation, and what a contribution takes beside its text: the service has a context window."""

TOKENS_A_SECOND = 25
TOKENS_AN_IMAGE = 258


@dataclass(frozen=True)
class Said:
    """One contribution to the conversation."""

    role: str
    """`user` or `model`."""
    text: str
    audio_s: float = 0.0
    """Length of its sound; 0 for written text."""
    n_images: int = 0
    seeded: bool = False
    """True if the client gave it as earlier history."""

    @property
    def tokens(self) -> Counter[str]:
        """Its price in the context by modality, about as the service counts."""
        images = Counter({"IMAGE": self.n_images * TOKENS_AN_IMAGE})
        if self.audio_s:
            return images + Counter({"AUDIO": round(self.audio_s * TOKENS_A_SECOND)})
        return images + Counter({"TEXT": 1 + len(self.text.encode()) // 4})


@dataclass
class ConversationHistory:
    """Everything said so far, and the pictures shown."""

    said: list[Said] = field(default_factory=list)
    n_frames: int = 0
    frame_size: tuple[int, int] | None = None
    """Width and height of the last frame."""
    open_calls: set[str] = field(default_factory=set)
    """Ids of the function calls that were not answered."""
    muted: bool = False
    """True if the model no longer answers, as after a late function result."""
    session: int = 0
    """The number of the session that has it now."""
    last_audio_s: float = -math.inf
    """Time on the clock of the last audio from the client."""
    n_questions: int = 0
    """Questions so far, typed and spoken."""
    n_spoken: int = 0
    """Spoken questions so far."""
    known: dict[str, str] = field(default_factory=dict)
    """What a script has learned from the user's words, by name."""
    n_chars: int = 0
    """The size of what was said."""
    tokens: Counter[str] = field(init=False)
    """The size of the context by modality: kept up to date, so that a turn costs the same however long the talk is."""

    def __post_init__(self) -> None:
        self.tokens = Counter()
        for said in self.said:
            self.tokens += said.tokens
            self.n_chars += SAID_CHARS + len(said.text)
        self.tokens["IMAGE"] += self.n_frames * TOKENS_AN_IMAGE

    def add(self, said: Said) -> None:
        """Append a contribution.

        Raises:
            Refusal: The conversation is too long.
        """
        self.n_chars += SAID_CHARS + len(said.text)
        if self.n_chars > MAX_CONVERSATION_CHARS:
            raise invalid_argument(f"the conversation is longer than {MAX_CONVERSATION_CHARS:,} characters")
        self.said.append(said)
        self.tokens += said.tokens

    def add_frame(self, image: bytes) -> None:
        """Count a frame that came by realtimeInput."""
        self.n_frames += 1
        self.frame_size = image_size(image)
        self.tokens["IMAGE"] += TOKENS_AN_IMAGE

    def without_seed(self) -> "ConversationHistory":
        """Return a copy that lacks what the client gave as earlier history."""
        kept = [said for said in self.said if not said.seeded]
        history = ConversationHistory(kept, self.n_frames, self.frame_size, set(self.open_calls))
        history.n_questions, history.n_spoken, history.known = self.n_questions, self.n_spoken, self.known
        return history

    def last_said(self) -> str:
        """Return the user's last words; empty if there are none."""
        return next((said.text for said in reversed(self.said) if said.role == "user"), "")

    def describe_frames(self) -> str:
        """Return a sentence about the frames."""
        return describe_images(self.n_frames, self.frame_size)


def describe_images(n: int, size: tuple[int, int] | None) -> str:
    """Return a sentence about the images that the model sees."""
    if not n:
        return "I have received no frames."
    images = "1 frame" if n == 1 else f"{n} frames"
    described = f", the last one {size[0]} by {size[1]}" if size else ""
    return f"I have received {images}{described}."


@dataclass(frozen=True)
class Resumed:
    """What a session that resumes with a handle begins with."""

    history: ConversationHistory
    session: int
    """The session that the handle was given to."""
    stale_calls: frozenset[str]
    """Calls that the service still takes for open."""


@dataclass(frozen=True)
class _Saved:
    history: ConversationHistory
    covers: Coverage
    n_said: int
    """Contributions at the time of the handle: the list only grows, so a handle needs no copy."""
    counts: tuple[int, int]
    """Questions and spoken questions at that time."""
    open_calls: frozenset[str]
    session: int
    saved_s: float


class HandleBook:
    """The handles that a server has given out."""

    def __init__(self, seed: int | None, clock: Clock) -> None:
        self._random_bits = secrets.randbits if seed is None else Random(f"handles {seed}").getrandbits
        self._clock = clock
        self._saved: dict[str, _Saved] = {}

    def save(self, history: ConversationHistory, session: int, covers: Coverage = Coverage.SNAPSHOT) -> str:
        """Return a new handle for the conversation."""
        now = self._clock.time()
        while self._saved:
            oldest = next(iter(self._saved))
            if self._saved[oldest].saved_s >= now - HANDLE_LIFETIME_S and len(self._saved) < MAX_HANDLES:
                break
            del self._saved[oldest]
        self._drop_oldest_conversations()
        handle = f"{session:04d}-{self._random_bits(96):024x}"
        counts = (history.n_questions, history.n_spoken)
        open_calls = frozenset(history.open_calls)
        self._saved[handle] = _Saved(history, covers, len(history.said), counts, open_calls, session, now)
        return handle

    def _drop_oldest_conversations(self) -> None:
        """Forget the oldest handles while the conversations take too much memory."""
        sizes = {id(saved.history): saved.history.n_chars for saved in self._saved.values()}
        n_chars = sum(sizes.values())
        while n_chars > MAX_HANDLE_CHARS:
            gone = self._saved.pop(next(iter(self._saved))).history
            if not any(saved.history is gone for saved in self._saved.values()):
                n_chars -= sizes[id(gone)]

    def find(self, handle: str) -> Resumed | None:
        """Return what a handle stands for; None if the handle is not known or too old."""
        saved = self._saved.get(handle)
        if saved is None or saved.saved_s < self._clock.time() - HANDLE_LIFETIME_S:
            return None
        old = saved.history
        if saved.covers is Coverage.EVERYTHING:
            # Calls that were open when the handle was sent stay owed, even if the client answered them since.
            return Resumed(old, saved.session, saved.open_calls | old.open_calls)
        history = ConversationHistory(old.said[: saved.n_said], old.n_frames, old.frame_size, muted=old.muted)
        history.session, history.last_audio_s = old.session, old.last_audio_s
        history.n_questions, history.n_spoken = saved.counts
        history.known = dict(old.known)
        return Resumed(history, saved.session, saved.open_calls | old.open_calls)


def image_size(image: bytes) -> tuple[int, int] | None:
    """Return width and height of a JPEG or a PNG; None for anything else."""
    if image[:8] == b"\x89PNG\r\n\x1a\n" and len(image) >= 24:
        return int.from_bytes(image[16:20]), int.from_bytes(image[20:24])
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
