"""What a session sees and hears with: opened as the user asked, or done without where nobody insisted.

Runs on the event loop. Owns the microphone, the speaker, the screen and the sound files; `audio.py`, `screen.py` and
`soundfiles.py` do the work, and are imported only where they are wanted.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..audio import pcm
from ..audio.buffers import PlayoutBuffer
from ..audio.voice_detector import BLOCK_S, SpeechStarted, VoiceDetector, VoiceSettings
from ..config import Config
from ..errors import ConfigError, DeviceError, MissingExtraError
from ..output.status import MicrophoneState, SoundMode
from .speech import UserSpeech
from .uplink import Uplink

if TYPE_CHECKING:
    from ..audio.input_file import InputFile
    from ..audio.output_file import OutputFile
    from ..audio.portaudio import AudioSystem, Microphone, Speaker
    from ..screen import ScreenGrabber

ECHO_TAIL_S = 0.3
"""How long a room goes on sounding after the speaker has fallen silent: half duplex waits for it."""
PREROLL_S = 0.3
"""What was said just before the talk key was pressed belongs to it: people begin to speak as they press."""
LEVEL_S = 0.1
"""What a level is measured over, at most."""
PAUSE_S = 0.2
"""Quiet after which the user is taken to have spoken: less than any server waits."""
DEFAULT_FPS = 1.0
PICTURE_TIMEOUT_S = 10.0
"""For reading one, from a disk that may be far away; what is typed meanwhile waits."""
MAX_LATE_S = 0.2
"""A sound file that stood still for longer, as in a machine that slept, goes on from there: nobody speaks in bursts."""


class Level:
    """How loud it was in the last moments."""

    def __init__(self) -> None:
        self._chunks: deque[bytes] = deque(maxlen=round(LEVEL_S / BLOCK_S))

    def take(self, chunk: bytes) -> None:
        """Take 20 ms of sound."""
        self._chunks.append(chunk)

    def read_dbfs(self) -> float:
        """Return the level of what came since the last look, in dB below full scale."""
        sound = b"".join(self._chunks)
        self._chunks.clear()
        return pcm.level_dbfs(sound)


class Media:
    """The devices and files of one session."""

    def __init__(
        self,
        config: Config,
        uplink: Uplink,
        speech: UserSpeech,
        *,
        plays: bool,
        listens: bool,
        shows_levels: bool,
        warn: Callable[[str], None],
        on_microphone_lost: Callable[[], None],
        on_speaker_lost: Callable[[], None],
    ) -> None:
        """Prepare; nothing is opened yet.

        Args:
            config: What the user asked for.
            uplink: Takes what is heard and seen.
            speech: Is told when the user speaks.
            plays: Whether the model's speech is to be played.
            listens: Whether the microphone is on where nobody asked for it.
            shows_levels: Whether anybody looks at how loud it is.
            warn: Takes one line about what is done without.
            on_microphone_lost: Called when the microphone is gone in mid-session.
            on_speaker_lost: Likewise.
        """
        self.microphone: Microphone | None = None
        self.speaker: Speaker | None = None
        self.input_file: InputFile | None = None
        self.user_level, self.model_level = Level(), Level()
        self.record: Callable[[bytes, int], None] | None = None
        """Takes the model's speech for the output file, with its rate in Hz."""
        self._config, self._uplink, self._warn = config, uplink, warn
        self._wants_microphone = config.audio_input is True or (
            config.audio_input is None and listens and config.input_file is None
        )
        self._wants_speaker = plays
        self._demands_microphone = self._wants_microphone and _demands(config.audio_input, config.input_device)
        self._demands_speaker = self._wants_speaker and _demands(config.audio_output, config.output_device)
        self._on_microphone_lost, self._on_speaker_lost = on_microphone_lost, on_speaker_lost
        self._audio: AudioSystem | None = None
        self._output_file: OutputFile | None = None
        self._screen: ScreenGrabber | None = None
        self._half_duplex = False
        self._is_muted = config.push_to_talk
        self._preroll: deque[bytes] = deque(maxlen=round(PREROLL_S / BLOCK_S))
        self._detector = VoiceDetector(VoiceSettings(silence_s=PAUSE_S), keeps_pcm=False)
        self._speech = speech
        self._shows_levels = shows_levels
        self._echo_until_s = 0.0
        self._streams: list[Microphone | Speaker] = []
        """All that were opened."""
        self._started = False
        self._clock = asyncio.get_running_loop().time

    async def open(self) -> None:
        """Open what was asked for, without starting any stream.

        Raises:
            ConfigError: A file cannot be read or written, or an extra that was asked for is not installed.
            DeviceError: A device that was asked for is not there.
        """
        self._open_files()
        await self._open_sound()
        if self._config.screen_capture_fps is not None:
            await self._open_screen(self._config.screen_capture_fps)

    async def start(self) -> None:
        """Start the streams and the output file, once: they go on through reconnects.

        Raises:
            DeviceError: A device that was asked for refuses.
        """
        if self._started:
            return
        self._started = True
        if self._output_file is not None:
            self._output_file.start()
        self._streams += filter(None, (self.speaker, self.microphone))
        if self.speaker is not None:
            await self._start(self.speaker, self._lose_speaker, demanded=self._demands_speaker)
        if self.microphone is not None:
            await self._start(self.microphone, self._lose_microphone, demanded=self._demands_microphone)

    async def close(self) -> None:
        """Stop everything, in bounded time."""
        if self._screen is not None:
            await self._screen.stop()
        if self._audio is not None:
            await self._audio.close()
        if self._output_file is not None:
            await self._output_file.close()

    @property
    def queued_s(self) -> float:
        """How many seconds of the model's speech are still to be heard."""
        return self.speaker.queued_s if self.speaker is not None else 0.0

    @property
    def n_xruns(self) -> int:
        """Times that PortAudio said that sound was lost."""
        return sum(stream.n_xruns for stream in self._streams)

    def stop_microphone(self) -> None:
        """Listen no more; the device itself is closed with the session."""
        self.microphone = None

    def toggle_microphone(self) -> None:
        """Close the microphone, or open it again: it is muted, or its talk key is up."""
        if self.microphone is None:
            return
        self._is_muted = not self._is_muted
        if self._is_muted:
            self._uplink.pause_audio()
        while self._preroll:
            self._offer(self._preroll.popleft())

    @property
    def microphone_state(self) -> MicrophoneState:
        """What becomes of the user's voice at present."""
        if self.microphone is None:
            return MicrophoneState.OFF if self.input_file is None else MicrophoneState.FILE
        if self._is_muted:
            return MicrophoneState.TALK_KEY_UP if self._config.push_to_talk else MicrophoneState.MUTED
        if self._half_duplex and self._clock() < self._echo_until_s:
            return MicrophoneState.WAITING
        return MicrophoneState.TALKING if self._config.push_to_talk else MicrophoneState.LIVE

    @property
    def sound_mode(self) -> SoundMode | None:
        """What keeps the model from hearing itself; `None`: nothing needs to."""
        if self.microphone is None or self.speaker is None:
            return None
        if self._config.push_to_talk:
            return SoundMode.PUSH_TO_TALK
        return SoundMode.HALF_DUPLEX if self._half_duplex else SoundMode.NO_ECHO_CANCELLATION

    async def set_screen(self, *, on: bool) -> None:
        """Begin to show the screen, or end it; what is so already stays so.

        Raises:
            ConfigError: There is no such monitor, or the extra is not installed.
            DeviceError: There is no screen.
        """
        if on and self._screen is None:
            self._uplink.shows_screen = True
            try:
                await self._open_screen(self._config.screen_capture_fps or DEFAULT_FPS)
            except BaseException:
                self._uplink.end_screen()
                raise
        elif not on and self._screen is not None:
            screen, self._screen = self._screen, None
            self._uplink.end_screen()
            await screen.stop()

    async def show_picture(self, path: Path) -> None:
        """Show a picture to the model, scaled as the screen is.

        Raises:
            ConfigError: It cannot be read, or the extra is not installed.
        """
        from ..screen import read_picture  # noqa: PLC0415 - an extra

        try:
            async with asyncio.timeout(PICTURE_TIMEOUT_S):
                jpeg = await asyncio.to_thread(read_picture, path, self._config.screen_size)
        except TimeoutError as exc:
            raise ConfigError(f"{path} cannot be read within {PICTURE_TIMEOUT_S:g} s") from exc
        self._uplink.offer_picture(jpeg)

    async def list_devices(self) -> str:
        """Return the sound devices, for people.

        Raises:
            ConfigError: The extra is not installed.
            DeviceError: The sound system does not start.
        """
        from ..audio.portaudio import list_devices  # noqa: PLC0415 - an extra

        return await list_devices(self._audio)

    async def give_file(self, live: asyncio.Event) -> None:
        """Send the input file in real time, standing still while there is no connection."""
        assert self.input_file is not None
        next_s = self._clock()
        for chunk in self.input_file.chunks():
            if not live.is_set():
                await live.wait()
                next_s = self._clock()
            self._offer(chunk)
            if next_s < self._clock() - MAX_LATE_S:
                next_s = self._clock()
            next_s += pcm.INPUT.duration_s(len(chunk))
            await asyncio.sleep(next_s - self._clock())

    def describe_screen(self) -> str | None:
        """Return what is shown to the model, for people."""
        if self._screen is None:
            return None
        return f"screen {self._config.monitor} at {self._config.screen_capture_fps or DEFAULT_FPS:g} fps"

    def describe_sound(self) -> list[str]:
        """Return what is heard and played, for people."""
        parts = []
        if self.microphone is not None:
            parts.append(f"microphone {self.microphone.device.name}")
        if self.input_file is not None:
            parts.append(f"file {self._config.input_file}")
        if self.speaker is not None:
            parts.append(f"speaker {self.speaker.device.name}")
        if self.sound_mode is not None:
            parts.append("use headphones" if self.sound_mode is SoundMode.NO_ECHO_CANCELLATION else self.sound_mode)
        return parts

    # Inside

    def _open_files(self) -> None:
        if self._config.input_file is not None:
            from ..audio.input_file import open_input  # noqa: PLC0415 - only where it is wanted

            self.input_file = open_input(self._config.input_file)
        if self._config.output_file is not None:
            from ..audio.output_file import OutputFile  # noqa: PLC0415

            self._output_file = OutputFile(self._config.output_file, on_error=self._warn, force=self._config.force)
            self.record = self._output_file.write

    async def _open_sound(self) -> None:
        config = self._config
        if not (self._wants_speaker or self._wants_microphone):
            return
        from ..audio.portaudio import AudioSystem  # noqa: PLC0415 - an extra

        audio = AudioSystem()
        with self._doing_without("there is no sound", demanded=self._demands_speaker or self._demands_microphone):
            await audio.open()
            self._audio = audio
        if self._audio is None:
            return
        if self._wants_speaker:
            with self._doing_without("the answers are not played", demanded=self._demands_speaker):
                on_played = self.model_level.take if self._shows_levels else None
                self.speaker = await audio.open_speaker(
                    config.output_device, PlayoutBuffer(), self._lose_speaker, on_played
                )
        if self._wants_microphone:
            with self._doing_without("you are not heard", demanded=self._demands_microphone):
                self.microphone = await audio.open_microphone(config.input_device, self._hear, self._lose_microphone)
        both = self.speaker is not None and self.microphone is not None
        # An echo service that hears itself would never stop.
        wanted = config.half_duplex if config.half_duplex is not None else config.simulate is not None
        self._half_duplex = both and wanted and not config.push_to_talk

    async def _start(self, stream: "Microphone | Speaker", lose: Callable[[str], None], *, demanded: bool) -> None:
        try:
            await stream.start()
        except DeviceError as error:
            if demanded:
                raise
            lose(str(error))

    @contextlib.contextmanager
    def _doing_without(self, consequence: str, *, demanded: bool) -> Iterator[None]:
        """Make a missing device a warning, unless the user demanded it."""
        try:
            yield
        except (DeviceError, MissingExtraError) as error:
            if demanded:
                raise
            self._warn(f"{error}; {consequence}")

    async def _open_screen(self, fps: float) -> None:
        from ..screen import ScreenGrabber  # noqa: PLC0415 - an extra

        if fps > 1:
            self._warn("the service looks at one frame a second at most: --screen-capture-fps above 1 is wasted")
        screen = ScreenGrabber(
            fps=fps,
            monitor=self._config.monitor,
            size=self._config.screen_size,
            on_frame=self._uplink.offer_frame,
            on_lost=self._lose_screen,
            warn=self._warn,
        )
        await screen.start()
        self._screen = screen

    def _hear(self, chunk: bytes) -> None:
        if self.microphone is None:
            return
        if self._is_muted:
            if self._config.push_to_talk:
                self._preroll.append(chunk)
            return
        if self._half_duplex:
            now_s = self._clock()
            if self.queued_s > 0:
                self._echo_until_s = now_s + ECHO_TAIL_S
            if now_s < self._echo_until_s:
                chunk = bytes(len(chunk))  # silence, not nothing: the server counts time by the samples
        self._offer(chunk)

    def _offer(self, chunk: bytes) -> None:
        """Hand on a chunk of the user's voice."""
        if self._shows_levels:
            self.user_level.take(chunk)
        for event in self._detector.feed(chunk, pcm.INPUT.rate_hz):
            if isinstance(event, SpeechStarted):
                self._speech.began(self._clock())
            else:
                now_s = self._clock()
                self._speech.stopped(now_s, ended_s=now_s - (self._detector.heard_s - event.end_s))
        self._uplink.offer_audio(chunk)

    def _lose_screen(self, reason: str) -> None:
        self._warn(f"{reason}; the screen is no longer shown")
        self._screen = None
        self._uplink.end_screen()

    def _lose_microphone(self, reason: str) -> None:
        self._warn(f"{reason}; you are no longer heard")
        self._on_microphone_lost()

    def _lose_speaker(self, reason: str) -> None:
        self._warn(f"{reason}; the answers are no longer played")
        self.speaker = None
        self._on_speaker_lost()


def _demands(switch: bool | None, device: str | None) -> bool:
    return switch is True or device is not None
