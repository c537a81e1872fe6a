"""What the client's microphone brings: found by the voice detector, or marked by the client itself. Pure."""

from ..audio.pcm import INPUT, SAMPLE_BYTES, PcmFormat
from ..audio.voice_detector import MAX_UTTERANCE_S, SpeechStarted, Utterance, VoiceDetector
from .close_reasons import INVALID_PAYLOAD, Refusal
from .settings import ActivitySettings


class SpeechSegments:
    """Turns audio and the marks in it into utterances."""

    def __init__(self, settings: ActivitySettings) -> None:
        self._settings = settings
        self._detector = VoiceDetector(settings)
        self._marked = bytearray()
        self._rate_hz = INPUT.rate_hz
        self._between_marks = False
        self._heard_s = 0.0
        self._marked_at_s = 0.0

    @property
    def speaking(self) -> bool:
        """Whether the user is speaking now."""
        return self._between_marks or self._detector.speaking

    def feed(self, pcm: bytes, rate_hz: int) -> list[SpeechStarted | Utterance]:
        """Take more audio; outside the marks of a client that sets its own, it is not heard."""
        if self._settings.automatic:
            return self._detector.feed(pcm, rate_hz)
        self._heard_s += PcmFormat(rate_hz).duration_s(len(pcm))
        if self._between_marks and self._heard_s - self._marked_at_s < MAX_UTTERANCE_S:
            self._rate_hz = rate_hz
            self._marked += pcm
        return []

    def end_stream(self) -> list[SpeechStarted | Utterance]:
        """The microphone was closed: what was being said is complete."""
        if not self._settings.automatic:
            raise Refusal(INVALID_PAYLOAD, "audio_stream_end is only supported with automatic activity detection.")
        return self._detector.flush()

    def start_activity(self) -> list[SpeechStarted | Utterance]:
        """The client says that its user begins to speak."""
        self._check_marks()
        self._marked.clear()
        self._between_marks = True
        self._marked_at_s = self._heard_s
        return [SpeechStarted(self._heard_s)]

    def end_activity(self) -> list[SpeechStarted | Utterance]:
        """The client says that its user has spoken."""
        self._check_marks()
        if not self._between_marks:
            return []
        self._between_marks = False
        pcm = bytes(self._marked[: len(self._marked) - len(self._marked) % SAMPLE_BYTES])
        return [Utterance(pcm, self._rate_hz, self._marked_at_s, self._heard_s)] if pcm else []

    def _check_marks(self) -> None:
        if self._settings.automatic:
            words = "Explicit activity control is not supported when automatic activity detection is enabled."
            raise Refusal(INVALID_PAYLOAD, words)
