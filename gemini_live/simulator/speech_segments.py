"""Cuts the client's audio into utterances: found by the voice detector, or marked by the client itself. Pure."""

from ..audio.pcm import INPUT, SAMPLE_BYTES, PcmFormat
from ..audio.voice_detector import MAX_UTTERANCE_S, SpeechStarted, Utterance, VoiceDetector
from .close_reasons import INVALID_PAYLOAD, Refusal
from .settings import ActivitySettings


class SpeechSegments:
    """Turns audio and the marks in it into the beginnings and ends of utterances."""

    def __init__(self, settings: ActivitySettings, *, stream_end_flushes: bool) -> None:
        """Begin with silence.

        Args:
            settings: How speech is found.
            stream_end_flushes: True if `audioStreamEnd` ends an open utterance; else the utterance stays open and
                merges with the audio that comes next.
        """
        self._settings = settings
        self._stream_end_flushes = stream_end_flushes
        self._detector = VoiceDetector(settings)
        self._marked = bytearray()
        self._rate_hz = INPUT.rate_hz
        self._between_marks = False
        self._received_s = 0.0
        self._marked_at_s = 0.0

    @property
    def speaking(self) -> bool:
        """Return True while the user is speaking."""
        return self._between_marks or self._detector.speaking

    def feed(self, pcm: bytes, rate_hz: int) -> list[SpeechStarted | Utterance]:
        """Add audio; return what began or ended in it. Audio outside a client's own marks is ignored."""
        if self._settings.automatic:
            return self._detector.feed(pcm, rate_hz)
        self._received_s += PcmFormat(rate_hz).duration_s(len(pcm))
        if self._between_marks and self._received_s - self._marked_at_s < MAX_UTTERANCE_S:
            self._rate_hz = rate_hz
            self._marked += pcm
        return []

    def end_stream(self) -> list[SpeechStarted | Utterance]:
        """Handle `audioStreamEnd`; return the utterance that it ends, if it ends one.

        Raises:
            Refusal: The client marks its speech itself.
        """
        if not self._settings.automatic:
            raise Refusal(INVALID_PAYLOAD, "audio_stream_end is only supported with automatic activity detection.")
        return self._detector.flush() if self._stream_end_flushes else []

    def start_activity(self) -> list[SpeechStarted | Utterance]:
        """Handle `activityStart`.

        Raises:
            Refusal: The server finds the speech.
        """
        self._check_marks()
        self._marked.clear()
        self._between_marks = True
        self._marked_at_s = self._received_s
        return [SpeechStarted(self._received_s)]

    def end_activity(self) -> list[SpeechStarted | Utterance]:
        """Handle `activityEnd`; return the utterance between the marks.

        Raises:
            Refusal: The server finds the speech.
        """
        self._check_marks()
        if not self._between_marks:
            return []
        self._between_marks = False
        pcm = bytes(self._marked[: len(self._marked) - len(self._marked) % SAMPLE_BYTES])
        return [Utterance(pcm, self._rate_hz, self._marked_at_s, self._received_s)] if pcm else []

    def _check_marks(self) -> None:
        if self._settings.automatic:
            words = "Explicit activity control is not supported when automatic activity detection is enabled."
            raise Refusal(INVALID_PAYLOAD, words)
