"""The devices and files of a session: opened if the user asked for them, skipped with a warning if nobody insisted.

Runs on the event loop. Owns the microphone, the speaker, the screen and the sound files; `audio/` and `screen.py` do
the work, and are imported only if they are needed. It is longer than 300 lines because muting, the talk key and half
duplex decide about each chunk of the microphone, and depend on which devices are open.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..audio import echo as echo_extra
from ..audio import pcm
from ..audio.buffers import PlayoutBuffer
from ..audio.conversion import CHUNK_S, SPEAKER_BUFFER_S
from ..audio.voice_detector import BLOCK_S, SpeechStarted, VoiceDetector, VoiceSettings
from ..config import Config
from ..errors import ConfigError, DeviceError, MissingExtraError
from ..files import STDIN
from ..output import events
from ..output.status import MicrophoneState, SoundMode
from .echo import EchoControl
from .journal import RecordEvent
from .speech import UserSpeech
from .uplink import Uplink

if TYPE_CHECKING:
    from ..audio.input_file import InputFile
    from ..audio.input_stream import InputStream
    from ..audio.output_file import OutputFile
    from ..audio.portaudio import AudioSystem, Microphone, Speaker
    from ..screen import ScreenGrabber

PREROLL_S = 0.3
"""Seconds of audio before the talk key that are sent too, because people begin to speak as they press it."""
LEVEL_S = 0.1
"""Longest time over which a level is measured."""
LEVEL_EVERY_S = 1.0
"""How often the level of one chunk of the microphone is recorded."""
PAUSE_S = 0.2
"""Quiet that ends the user's speech for the local detector: shorter than any server waits."""
DEFAULT_FPS = 1.0
"""Pictures of the screen per second, unless the user says otherwise."""
PICTURE_TIMEOUT_S = 10.0
"""Longest time to read a picture, perhaps from a network drive. Lines typed meanwhile wait."""
MAX_LATE_S = 0.2
"""A sound file that is later than this (the machine slept) continues in real time, and does not catch up in a burst."""


class Level:
    """The level of the most recent audio."""

    def __init__(self, chunk_s: float) -> None:
        """Begin with silence. `chunk_s`: the duration of each chunk."""
        self._chunks: deque[bytes] = deque(maxlen=round(LEVEL_S / chunk_s))

    def take(self, chunk: bytes) -> None:
        """Add a chunk of audio."""
        self._chunks.append(chunk)

    def read_dbfs(self) -> float:
        """Return the level of the audio since the last call, in dB relative to full scale."""
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
        record_event: RecordEvent,
        plays: bool,
        listens: bool,
        shows_levels: bool,
        stdin_sound: AsyncIterator[bytes] | None = None,
        warn: Callable[[str], None],
        on_sound_mode: Callable[[events.SoundModeChanged], None],
        on_microphone_lost: Callable[[], None],
        on_speaker_lost: Callable[[], None],
    ) -> None:
        """Prepare; open nothing yet. Over 40 lines: its arguments and fields, and what they mean.

        Args:
            config: What the user asked for.
            uplink: Sends the user's audio and the pictures of the screen.
            speech: Learns when the user begins and stops speaking.
            record_event: Records when the user speaks, and what is played when.
            plays: True to play the model's speech.
            listens: True to open the microphone even if the user did not ask for it.
            shows_levels: True to measure the levels that the status bar shows.
            stdin_sound: The bytes of stdin, if it is one of the input files.
            warn: Called with one line about each device that is missing.
            on_sound_mode: Called when a measurement changes how echo is avoided.
            on_microphone_lost: Called when the microphone fails during the session.
            on_speaker_lost: Called when the speaker fails during the session.
        """
        self.microphone: Microphone | None = None
        self.speaker: Speaker | None = None
        self._stdin_sound = stdin_sound
        self.input_files: list[InputFile | InputStream] = []
        """Sound files in place of the microphone, in the order in which they are played to the model."""
        self.user_level, self.model_level = Level(CHUNK_S), Level(SPEAKER_BUFFER_S)
        self.record: Callable[[bytes, int], None] | None = None
        """Writes the model's speech, with its rate in Hz, to the output file; None if there is no such file."""
        self._config, self._uplink, self._warn = config, uplink, warn
        self._wants_microphone = config.audio_input is True or (
            config.audio_input is None and listens and not config.input_file
        )
        self._wants_speaker = plays
        self._demands_microphone = self._wants_microphone and _demands(config.audio_input, config.input_device)
        self._demands_speaker = self._wants_speaker and _demands(config.audio_output, config.output_device)
        self._report_microphone_lost, self._report_speaker_lost = on_microphone_lost, on_speaker_lost
        self._audio: AudioSystem | None = None
        self._output_file: OutputFile | None = None
        self._screen: ScreenGrabber | None = None
        self._echo: EchoControl | None = None
        """Keeps the model from hearing its own voice; None unless there is a microphone and a speaker."""
        self._report_sound_mode = on_sound_mode
        self._is_muted = config.push_to_talk
        self._record_event = record_event
        self._level_due_s = 0.0
        """When the level of the microphone is recorded next, in seconds of its audio."""
        self._preroll: deque[bytes] = deque(maxlen=round(PREROLL_S / BLOCK_S))
        self._detector = VoiceDetector(VoiceSettings(silence_s=PAUSE_S), keeps_pcm=False)
        self._speech = speech
        self._shows_levels = shows_levels
        self._streams: list[Microphone | Speaker] = []
        """Every stream that was started, also those that failed since."""
        self._started = False
        self._clock = asyncio.get_running_loop().time

    async def open(self) -> None:
        """Open the devices and files that the user asked for, without starting any stream.

        Raises:
            ConfigError: A file cannot be read or written, or a required extra is not installed.
            DeviceError: A device that the user asked for is missing.
        """
        self._open_files()
        await self._open_sound()
        if self._config.screen_capture_fps is not None:
            await self._open_screen(self._config.screen_capture_fps)

    async def start(self) -> None:
        """Start the streams and the output file, once: they continue across reconnects.

        Raises:
            DeviceError: A device that the user asked for refuses to start.
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
        """Return the seconds of the model's speech that are still to be played."""
        return self.speaker.queued_s if self.speaker is not None else 0.0

    @property
    def n_xruns(self) -> int:
        """Return how many buffers PortAudio reported as late or lost."""
        return sum(stream.n_xruns for stream in self._streams)

    def stop_microphone(self) -> None:
        """Ignore the microphone from now on. The device itself is closed with the session."""
        self.microphone = None

    def toggle_microphone(self) -> None:
        """Mute or unmute the microphone; with --push-to-talk, press or release the talk key."""
        if self.microphone is None:
            return
        self._is_muted = not self._is_muted
        self._record_event("microphone_muted" if self._is_muted else "microphone_on")
        if self._is_muted:
            self._uplink.pause_audio()
        if self._echo is not None:
            self._echo.drop_held()
        while self._preroll:
            self._offer(self._preroll.popleft())

    def discard_speech(self) -> bool:
        """Mute the microphone and discard what the user says with the talk key.

        Returns:
            True if the server has received a part of it already.
        """
        self._is_muted = True
        self._record_event("microphone_muted")
        self._preroll.clear()
        return self._uplink.discard_speech()

    @property
    def microphone_state(self) -> MicrophoneState:
        """Return the state of the microphone: the user's voice is sent, or why it is not."""
        if self.microphone is None:
            return MicrophoneState.FILE if self.input_files else MicrophoneState.OFF
        if self._is_muted:
            return MicrophoneState.TALK_KEY_UP if self._config.push_to_talk else MicrophoneState.MUTED
        if self._echo is not None and self._echo.is_waiting:
            return MicrophoneState.WAITING
        return MicrophoneState.TALKING if self._config.push_to_talk else MicrophoneState.LIVE

    @property
    def sound_mode(self) -> SoundMode | None:
        """Return what keeps the model's speech out of the microphone; None if that is not needed."""
        if self._echo is None or self.microphone is None:
            return None
        return SoundMode.PUSH_TO_TALK if self._config.push_to_talk else self._echo.mode

    @property
    def erle_db(self) -> int | None:
        """Return the newest echo reduction in dB; None in modes other than `echo cancelled`, or if it is not known."""
        if self._echo is None or self._config.push_to_talk:
            return None
        erle_db = self._echo.current_erle_db
        return None if erle_db is None else round(erle_db)

    @property
    def echo_leak_db(self) -> float | None:
        """Return the median level of the echo relative to what was played, in dB; None if it was not measured."""
        return self._echo.leak_db if self._echo is not None else None

    @property
    def median_erle_db(self) -> float | None:
        """Return the median of how many dB of the echo were removed; None if it was not measured."""
        return self._echo.erle_db if self._echo is not None else None

    async def set_screen(self, *, on: bool) -> None:
        """Start or stop sharing the screen.

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
        """Show a picture file to the model, scaled like the screen.

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
        """Return the table of sound devices.

        Raises:
            ConfigError: The extra is not installed.
            DeviceError: The sound system does not start.
        """
        from ..audio.portaudio import list_devices  # noqa: PLC0415 - an extra

        return await list_devices(self._audio)

    async def give_file(self, file: "InputFile | InputStream", live: asyncio.Event) -> None:
        """Send a sound file in real time; pause while there is no connection.

        Raises:
            ConfigError: The file is damaged, or stdin is no sound.
        """
        next_s = self._clock()
        chunks = file.chunks()
        async for chunk in chunks if isinstance(chunks, AsyncIterator) else _iterate(chunks):
            if not live.is_set():
                await live.wait()
                next_s = self._clock()
            self._offer(chunk)
            if next_s < self._clock() - MAX_LATE_S:
                next_s = self._clock()
            next_s += pcm.INPUT.duration_s(len(chunk))
            await asyncio.sleep(next_s - self._clock())

    def describe_screen(self) -> str | None:
        """Return a description of the shared screen, or None if it is not shared."""
        if self._screen is None:
            return None
        return f"screen {self._config.monitor} at {self._config.screen_capture_fps or DEFAULT_FPS:g} fps"

    def describe_sound(self) -> list[str]:
        """Return descriptions of the microphone or files, the speaker, and how echo is avoided."""
        parts = []
        if self.microphone is not None:
            parts.append(f"microphone {self.microphone.device.name}")
        if self.input_files:
            names = ["stdin" if file.path == STDIN else str(file.path) for file in self.input_files]
            parts.append(f"file {', '.join(names)}")
        if self.speaker is not None:
            parts.append(f"speaker {self.speaker.device.name}")
        if self.sound_mode is not None:
            parts.append(self.sound_mode)
        return parts

    # Inside

    def _open_files(self) -> None:
        if self._config.input_file:
            from ..audio.input_file import open_input  # noqa: PLC0415 - only if it is needed
            from ..audio.input_stream import InputStream  # noqa: PLC0415

            for path in self._config.input_file:
                sound = self._stdin_sound if path == STDIN else None
                self.input_files.append(open_input(path) if sound is None else InputStream(sound))
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
                reports = self._shows_levels or self._wants_microphone
                self.speaker = await audio.open_speaker(
                    config.output_device, PlayoutBuffer(), self._lose_speaker, self._take_played if reports else None
                )
                self.speaker.on_full = self._warn_full
                self.speaker.on_playback = self._record_playback
        if self._wants_microphone:
            with self._doing_without("the microphone is off", demanded=self._demands_microphone):
                self.microphone = await audio.open_microphone(
                    config.input_device, self._take_chunk, self._lose_microphone
                )
        if self.speaker is not None and self.microphone is not None:
            self._echo = self._open_echo(self.speaker)

    def _open_echo(self, speaker: "Speaker") -> EchoControl:
        config = self._config
        is_installed = echo_extra.is_installed()
        if config.echo_cancellation and not is_installed:
            raise MissingExtraError("--echo-cancellation", "echo")
        chooses = config.echo_cancellation is None and config.half_duplex is None and not config.push_to_talk
        if chooses and not is_installed:
            self._warn(
                "echo cancellation is not installed, so the microphone is muted while the model speaks: "
                "pip install 'gemini-live[echo]'"
            )
        cancels = is_installed and config.echo_cancellation is not False
        path = None
        if echo_extra.can_measure():
            path = echo_extra.EchoPath(speaker.rate_hz, cancels=cancels, device_delay_s=speaker.device_latency_s)
        half_duplex = False if config.push_to_talk else config.half_duplex
        return EchoControl(path, half_duplex=half_duplex, clock=self._clock, on_mode=self._change_sound_mode)

    def _change_sound_mode(self, mode: SoundMode) -> None:
        if self._config.push_to_talk:
            return
        if mode is SoundMode.HALF_DUPLEX and self._config.echo_cancellation is not False and echo_extra.is_installed():
            self._warn(
                "too much of the model's voice comes back through the microphone, which is now muted while the model "
                "speaks; gemini-live --check-audio measures why"
            )
        self._report_sound_mode(events.SoundModeChanged(mode, _tenths(self.echo_leak_db), _tenths(self.median_erle_db)))

    async def _start(self, stream: "Microphone | Speaker", lose: Callable[[str], None], *, demanded: bool) -> None:
        try:
            await stream.start()
        except DeviceError as error:
            if demanded:
                raise
            lose(str(error))

    @contextlib.contextmanager
    def _doing_without(self, consequence: str, *, demanded: bool) -> Iterator[None]:
        """Turn the error of a missing device into a warning, unless the user asked for the device."""
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
            on_picture=self._uplink.offer_frame,
            on_lost=self._lose_screen,
            warn=self._warn,
        )
        await screen.start()
        self._screen = screen

    def _take_chunk(self, chunk: bytes) -> None:
        if self.microphone is None:
            return
        # A muted microphone is listened to as well, so that the canceller keeps what it knows.
        chunks = (
            [chunk]
            if self._echo is None
            else self._echo.process(chunk, is_playing=self.queued_s > 0, n_xruns=self.n_xruns)
        )
        for cleaned in chunks:
            if not self._is_muted:
                self._offer(cleaned)
            elif self._config.push_to_talk:
                self._preroll.append(cleaned)

    def _take_played(self, pcm: bytes) -> None:
        """Use audio that the speaker has played: for the level in the bar, and to cancel its echo."""
        if self._shows_levels:
            self.model_level.take(pcm)
        if self._echo is not None:
            self._echo.played(pcm)

    def _offer(self, chunk: bytes) -> None:
        """Send a chunk of the user's audio, and watch it for speech."""
        if self._shows_levels:
            self.user_level.take(chunk)
        for event in self._detector.feed(chunk, pcm.INPUT.rate_hz):
            now_s = self._clock()
            if isinstance(event, SpeechStarted):
                self._speech.began(now_s)
                self._record_event("speech_began", ago_s=round(self._detector.heard_s - event.offset_s, 3))
            else:
                ago_s = self._detector.heard_s - event.end_s
                self._speech.stopped(now_s, ended_s=now_s - ago_s)
                self._record_event("speech_ended", ago_s=round(ago_s, 3))
        if self._detector.heard_s >= self._level_due_s:
            self._level_due_s = self._detector.heard_s + LEVEL_EVERY_S
            self._record_event("microphone_level", dbfs=round(pcm.level_dbfs(chunk), 1))
        self._uplink.offer_audio(chunk)

    def _record_playback(self, event: str, seconds: float) -> None:
        """Record that sound begins, ends or is discarded; `seconds`: the card's delay, or what was discarded."""
        name = "discarded_s" if event == "playback_cleared" else "latency_s"
        self._record_event(event, **{name: round(seconds, 4)})

    def _lose_screen(self, reason: str) -> None:
        self._warn(f"{reason}; the screen is no longer shown")
        self._screen = None
        self._uplink.end_screen()

    def _lose_microphone(self, reason: str) -> None:
        self._warn(f"{reason}; the microphone is off")
        self._report_microphone_lost()

    def _warn_full(self) -> None:
        """Say once that speech is dropped."""
        if self.speaker is not None:
            self.speaker.on_full = None
        self._warn("ten minutes of speech wait to be played; more is dropped (--output-file keeps everything)")

    def _lose_speaker(self, reason: str) -> None:
        self._warn(f"{reason}; the answers are no longer played")
        if self._echo is not None and not self._is_muted:
            for chunk in self._echo.take_held():
                self._offer(chunk)
        self.speaker = self._echo = None
        self._report_speaker_lost()


def _tenths(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def _demands(switch: bool | None, device: str | None) -> bool:
    return switch is True or device is not None


async def _iterate(chunks: Iterable[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk
