"""Speech in, speech out: the real command as a process, real PortAudio, virtual sound cards, the simulator as server.

Nothing in between is replaced. Most tests have the simulator in their own process, to look into what it heard and to
choose what it says; those about `--simulate` itself have it where the user has it, inside the command.
"""

import asyncio
import base64
import re
import resource
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from benchmarks.results import Contender
from benchmarks.rows.sound import SPEECH_S, measure_interruptions
from gemini_live.simulator import Simulator, speech
from gemini_live.simulator.records import SessionRecord
from gemini_live.simulator.speech import Sound
from tests.command import Command, Result, Timed, run
from tests.kept_recordings import RECORDINGS
from tests.rig.analysis import (
    Samples,
    examine_counter,
    examine_tone,
    find,
    find_span,
    make_counter,
    make_tone,
    read_wav,
    resample,
    speak,
    write_wav,
)
from tests.rig.virtual_audio import VirtualAudio
from tests.rig.virtual_card import VirtualCard
from tests.rig.virtual_screen import VirtualScreen

pytestmark = pytest.mark.rig

SENTENCE = "The quick brown fox jumps over the lazy dog."
START_LINE = "127.0.0.1; gemini-3.8-live; voice Charon; tools: none"
SIMULATED_LINE = START_LINE.replace("127.0.0.1", "simulator")
OPEN = ("--no-echo-cancellation", "--no-half-duplex")
"""The server gets what the microphone records, bit by bit."""
MICROPHONE_IS_ON = 'audio/pcm;rate=16000"'
"""What `-v` shows of the first chunk that is sent."""
LISTENING_S = 0.3
"""Of a new microphone, before it is spoken into: the server learns how quiet the room is."""
BUSY_MS = 2_000
"""How late the machine may be before a card takes it amiss: what is tested is the command."""

MakeCard = Callable[..., VirtualCard]
Say = Callable[[Samples], None]


def talk(server: Simulator, *arguments: str) -> Command:
    """Run the command against a simulator of the test's own."""
    return Command("--base-url", server.url, *arguments, environ={"GOOGLE_API_KEY": "any-key"})


async def end(command: Command) -> Result:
    return await asyncio.to_thread(command.wait)


async def listening(server: Simulator) -> SessionRecord:
    """Return the record of the first session when its microphone is on."""
    record = await server.wait_for_session()
    await record.wait_for(lambda record: record.audio_s > LISTENING_S)
    return record


def n_spoken(record: SessionRecord) -> int:
    """Return how many of the user's utterances were answered to the end."""
    return sum(turn.origin == "voice" and turn.complete for turn in record.turns)


def join_speech(sent: Sequence[dict[str, Any]]) -> bytes:
    """Return all PCM in messages of the server's."""
    turns = [message.get("serverContent", {}).get("modelTurn", {}) for message in sent]
    parts = [part for turn in turns for part in turn.get("parts", [])]
    return b"".join(base64.b64decode(part["inlineData"]["data"]) for part in parts if "inlineData" in part)


def read_output(path: Path) -> bytes:
    samples, rate_hz = read_wav(path)
    assert rate_hz == 24_000
    return samples.astype("<i2").tobytes()


@pytest.fixture
def say(monkeypatch: pytest.MonkeyPatch) -> Say:
    """A function that has simulators without espeak-ng answer with exactly these samples of 24 kHz."""

    def say_samples(samples: Samples) -> None:
        sound = Sound(samples.astype("<i2").tobytes(), 24_000)
        monkeypatch.setattr(speech, "tones", lambda _: sound)

    return say_samples


# What is said is heard


def test_a_spoken_sentence_comes_back_from_the_speaker(virtual_audio: VirtualAudio, tmp_path: Path) -> None:
    sentence = speak(SENTENCE, 48_000, tmp_path)
    write_wav(tmp_path / "sentence.wav", sentence, 48_000)
    with (
        virtual_audio.record(tmp_path / "heard.wav"),
        Command("--simulate", "--audio-input", "--turns=1", "--no-stdin", "-v") as command,
    ):
        command.err.wait_for(SIMULATED_LINE, "echo cancelled", MICROPHONE_IS_ON)
        virtual_audio.feed(tmp_path / "sentence.wav")
        result = command.wait()
    heard, _ = read_wav(tmp_path / "heard.wav")
    match = find(resample(sentence, 48_000, 24_000), heard, 24_000)
    durations_s = [last_s - first_s for first_s, last_s in (find_span(sentence, 48_000), find_span(heard, 24_000))]
    print(f"correlation {match.correlation:.4f}; {durations_s[0]:.3f} s spoken, {durations_s[1]:.3f} s heard")
    assert match.correlation >= 0.9
    assert durations_s[1] == pytest.approx(durations_s[0], rel=0.05)
    told = re.fullmatch(r"\(speech, (\d\.\d) s\)\n", result.out)
    assert result.code == 0 and told
    assert 0 <= float(told[1]) - durations_s[0] <= 0.25  # with a little silence around it


async def test_a_tone_of_the_servers_is_played_without_gap_or_repetition(
    virtual_audio: VirtualAudio, tmp_path: Path, say: Say
) -> None:
    say(make_tone(440, 5.0, 24_000))
    async with Simulator(espeak=False, faults=["odd-chunks"]) as server:
        with (
            virtual_audio.record(tmp_path / "heard.wav"),
            talk(server, "--initial-message=Sing!", "--no-stdin") as command,
        ):
            assert (await end(command)).code == 0
    report = examine_tone(*read_wav(tmp_path / "heard.wav"), 440)
    print(report)
    assert (report.n_gaps, report.n_phase_jumps) == (0, 0)
    assert report.duration_s == pytest.approx(5.0, abs=0.01)
    assert report.frequency_hz == pytest.approx(440, abs=0.05)


@pytest.mark.parametrize("faults", [[], ["odd-chunks"]], ids=["even chunks", "odd chunks"])
async def test_card_and_output_file_get_bit_by_bit_what_the_server_sent(
    vcard: MakeCard, say: Say, tmp_path: Path, faults: list[str]
) -> None:
    noise = np.random.default_rng(5).normal(0, 5_000, 36_000).astype(np.int16)
    say(noise)
    card = vcard(patience_ms=BUSY_MS)
    output = tmp_path / "said.wav"
    async with Simulator(espeak=False, faults=faults) as server:
        with talk(server, "--initial-message=Hiss!", f"--output-file={output}", "--no-stdin") as command:
            assert await end(command) == (0, "Hiss!\n", f"{START_LINE}; speaker default\n")
    assert read_output(output) == join_speech(server.sessions[0].sent) == noise.tobytes()
    # Before its first sample and after its last one the card gets 2.5 ms that lead there and away.
    assert noise.tobytes() in card.played


@pytest.mark.parametrize("virtual_screen", ["3840x2160"], indirect=True)
@pytest.mark.parametrize("duration_s", [30, pytest.param(300, marks=[pytest.mark.long, pytest.mark.timeout(400)])])
async def test_no_frame_of_the_microphone_is_lost_while_a_large_screen_is_captured(
    vcard: MakeCard, virtual_screen: VirtualScreen, duration_s: int
) -> None:
    virtual_screen.show_desktop()
    vcard(make_counter(16_000 * duration_s), patience_ms=BUSY_MS)
    async with Simulator() as server:
        with talk(server, "--audio-input", *OPEN, "--screen-capture-fps=2", "--no-stdin") as command:
            record = await server.wait_for_session()
            await record.wait_for(lambda record: record.audio_s > duration_s + 0.5, timeout_s=duration_s + 30)
            command.interrupt()
            assert (await end(command)).code == 130
    report = examine_counter(bytes(record.audio))
    print(report, f"{record.n_frames} pictures, longest gap {1000 * record.longest_gap_s:.0f} ms")
    assert (report.first, report.n_frames, report.n_breaks) == (1, 16_000 * duration_s, 0)
    assert record.n_frames == pytest.approx(2 * duration_s, rel=0.1)
    assert record.longest_gap_s < 0.5
    assert record.mistakes == ["frames at more than 1 a second: the service takes no more"]


async def test_no_frame_of_the_microphone_is_lost_when_the_connection_changes(vcard: MakeCard) -> None:
    duration_s = 2
    vcard(make_counter(16_000 * duration_s), patience_ms=BUSY_MS)
    async with Simulator(espeak=False, faults=["go-away:3@1s*1"]) as server:
        with talk(server, "--audio-input", *OPEN, "--no-stdin") as command:
            record = await server.wait_for_session(2)
            first_s = server.sessions[0].audio_s
            await record.wait_for(lambda record: first_s + record.audio_s > duration_s + 0.3)
            command.interrupt()
            assert (await end(command)).code == 130
    assert 0.5 < first_s < duration_s
    report = examine_counter(b"".join(record.audio for record in server.sessions))
    assert (report.first, report.n_frames, report.n_breaks) == (1, 16_000 * duration_s, 0)


async def test_an_interruption_discards_what_was_to_be_played(virtual_audio: VirtualAudio) -> None:
    delays_s = await asyncio.to_thread(measure_interruptions, Contender.OURS, virtual_audio, 2)
    assert max(delays_s) < SPEECH_S / 2  # how soon it is silent is measured by `python -m benchmarks`


# An echo


def test_an_echo_service_on_open_speakers_does_not_answer_itself(virtual_audio: VirtualAudio, tmp_path: Path) -> None:
    result = say_one_thing(virtual_audio, tmp_path, n_answers=1, then_s=3.0)
    assert (result.code, result.out.count("(speech, ")) == (130, 1)
    assert result.err.count("inputTranscription") == 1


def test_without_cancellation_and_half_duplex_it_does(virtual_audio: VirtualAudio, tmp_path: Path) -> None:
    result = say_one_thing(virtual_audio, tmp_path, *OPEN, n_answers=3)
    assert result.code == 130
    assert "echo not cancelled" in result.err


def say_one_thing(audio: VirtualAudio, folder: Path, *arguments: str, n_answers: int, then_s: float = 0.0) -> Result:
    """Speak once, on a speaker that the microphone hears; wait for so many answers, then for real time."""
    write_wav(folder / "words.wav", speak("Good morning.", 48_000, folder), 48_000)
    with audio.echo(gain=1.0), Command("--simulate", "--audio-input", "--no-stdin", "-v", *arguments) as command:
        command.err.wait_for(MICROPHONE_IS_ON)
        audio.feed(folder / "words.wav")
        command.err.wait_for(*['"turnComplete":true'] * n_answers)
        time.sleep(then_s)
        command.interrupt()
        return command.wait()


# Devices


def test_devices_are_listed_and_chosen_by_index_or_part_of_the_name(vcard: MakeCard) -> None:
    vcard(names=("default", "headset", "camera"))
    listed = run("--list-devices")
    header, *rows = [line.split() for line in listed.out.splitlines()]
    assert (listed.code, listed.err, header[0], header[-1]) == (0, "", "index", "name")
    index = {row[-1]: row[0] for row in rows}
    assert set(index) == {"default", "headset", "camera"}
    choice = ("--output-device=HEAD", f"--input-device={index['camera']}")
    result = run("--simulate=--pace 0", "--initial-message=Hello", "--no-stdin", "--turns=1", *choice)
    assert result == (0, "Hello\n", f"{SIMULATED_LINE}; microphone camera; speaker headset; echo cancelled\n")


@pytest.mark.parametrize(
    ("option", "noun"), [("--input-device=hdmi", "microphone"), ("--output-device=hdmi", "loudspeaker")]
)
def test_a_device_that_is_not_there_is_exit_3_and_one_line(vcard: MakeCard, option: str, noun: str) -> None:
    vcard()
    result = run("--simulate", option, "--no-stdin", "--initial-message=Hello")
    there = "choose one: 0 (default, ALSA)"
    assert result == (3, "", f"gemini-live: error: there is no {noun} 'hdmi'; {there}\n")


def test_a_machine_without_sound_does_without_it(vcard: MakeCard) -> None:
    vcard(names=())
    warning = "gemini-live: warning: this machine has no loudspeaker; the answers are not played\n"
    result = run("--simulate=--pace 0", "--no-stdin", "--initial-message=Hello")
    assert result == (0, "Hello\n", f"{warning}{SIMULATED_LINE}\n")
    assert run("--list-devices") == (0, "This machine has no sound devices.\n", "")


@pytest.mark.parametrize(
    ("option", "noun"),
    [("--audio-input", "microphone"), ("--audio-output", "loudspeaker")],
)
def test_sound_that_is_demanded_and_not_there_is_exit_3(vcard: MakeCard, option: str, noun: str) -> None:
    vcard(names=())
    result = run("--simulate", "--no-stdin", "--initial-message=Hello", option)
    assert result.code == 3
    assert result.err.endswith(f"gemini-live: error: this machine has no {noun}\n")


def test_a_machine_that_has_no_sound_configuration_at_all_prints_nothing_of_alsas(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("PULSE_SERVER", "ALSA_CONFIG_PATH"):
        monkeypatch.delenv(name, raising=False)
    result = run("--simulate=--pace 0", "--no-stdin", "--initial-message=Hello")
    assert (result.code, result.out) == (0, "Hello\n")
    assert all(line.startswith(("gemini-live: warning: ", SIMULATED_LINE)) for line in result.err.splitlines())


@pytest.mark.parametrize(("way", "missing"), [("playback", "microphone"), ("capture", "loudspeaker")])
def test_a_machine_that_can_only_play_or_only_hear_is_used_as_it_is(
    vcard: MakeCard, tmp_path: Path, way: str, missing: str
) -> None:
    card = vcard(names=())
    one_way = f'{{ type asym {way}.pcm {{ type vcard outfile "{tmp_path}/played.raw" }} }}'
    with open(card.environ["ALSA_CONFIG_PATH"], "a") as file:
        file.write(f"pcm.!default {one_way}\n")
    result = run("--simulate=--pace 0", "--no-stdin", "--initial-message=Hello", "--audio-input", "--turns=1")
    if missing == "microphone":
        assert result == (3, "", "gemini-live: error: this machine has no microphone\n")
    else:
        warning = "gemini-live: warning: this machine has no loudspeaker; the answers are not played\n"
        assert result == (0, "Hello\n", f"{warning}{SIMULATED_LINE}; microphone default\n")


async def test_when_the_sound_is_pulled_out_the_session_goes_on_in_text(virtual_audio: VirtualAudio) -> None:
    async with Simulator(espeak=False) as server:
        with talk(server, "--audio-input") as command:
            record = await listening(server)
            command.send("Is this being played?\n")
            await record.wait_for(lambda record: bool(record.turns and record.turns[0].audio_s > 0.5))
            virtual_audio.kill()
            await asyncio.to_thread(command.err.wait_for, "no longer played")
            await asyncio.to_thread(command.err.wait_for, "the microphone is off")
            command.send("And now?\n")
            command.close_stdin()
            result = await end(command)
    gone = "is gone: it was unplugged, or its sound server has ended"
    assert (result.code, result.out) == (0, "Is this being played?\nAnd now?\n")
    assert sorted(result.err.splitlines()) == [
        f"{START_LINE}; microphone default; speaker default; echo cancelled",
        f"gemini-live: warning: the loudspeaker 'default' {gone}; the answers are no longer played",
        f"gemini-live: warning: the microphone 'default' {gone}; the microphone is off",
    ]
    assert {"realtimeInput": {"audioStreamEnd": True}} in record.messages


@pytest.mark.parametrize("hangs", [False, True], ids=["sound works", "sound server hangs"])
async def test_ctrl_c_ends_a_voice_session_in_two_seconds(virtual_audio: VirtualAudio, *, hangs: bool) -> None:
    async with Simulator(espeak=False) as server:
        with talk(server, "--audio-input") as command:
            record = await listening(server)
            command.send("count to 100\n")
            await record.wait_for(lambda record: bool(record.turns and record.turns[0].audio_s > 2))
            with virtual_audio.frozen() if hangs else nullcontext(), Timed() as ending:
                command.interrupt()
                result = await end(command)
    started, unfinished = result.err.splitlines()
    assert (result.code, result.out) == (130, "")
    assert started == f"{START_LINE}; microphone default; speaker default; echo cancelled"
    assert unfinished.startswith("[unfinished] 1, 2,")
    print(f"Ctrl-C to exit: {ending.took_s:.2f} s")
    assert ending.took_s < 2.5
    if not hangs:  # else there may be no time left for it
        assert (record.close_code, record.closed_by_client) == (1000, True)


# Files


def write_sound(path: Path, words: Samples, rate_hz: int, channels: int) -> None:
    """Write 48 kHz `words` as a file of the format that its name says."""
    samples = resample(words, 48_000, rate_hz).astype(np.float32) / 32_768
    soundfile.write(path, np.repeat(samples[:, np.newaxis], channels, axis=1), rate_hz)


async def test_files_of_all_formats_are_spoken_in_real_time(tmp_path: Path) -> None:
    words = speak("Good morning to you all.", 48_000, tmp_path)
    duration_s = len(words) / 48_000

    async def give(name: str) -> None:
        async with Simulator(espeak=False, pace=0) as server:
            with talk(server, f"--input-file={tmp_path / name}", "--no-audio-output", "--no-stdin") as command:
                record = await server.wait_for_session()
                await record.wait_for(lambda record: bool(record.audio))
                with Timed() as speaking:
                    result = await end(command)
        assert (result.code, result.err) == (0, f"{START_LINE}; file {tmp_path / name}\n"), name
        assert result.out.startswith("(speech, "), name
        # Silence follows until the service has found the end of the speech.
        assert duration_s + 0.4 < record.audio_s < duration_s + 3.0, name
        assert record.audio_s - 0.25 < speaking.took_s < record.audio_s + 4, name
        heard = np.frombuffer(bytes(record.audio), np.int16)
        assert find(resample(words, 48_000, 16_000), heard, 16_000).correlation > 0.98, name
        assert (n_spoken(record), record.mistakes) == (1, []), name

    formats = [
        ("a.wav", 8_000, 1),
        ("b.wav", 44_100, 2),
        ("c.flac", 96_000, 2),
        ("d.ogg", 48_000, 1),
        ("e.mp3", 44_100, 2),
    ]
    for name, rate_hz, channels in formats:
        write_sound(tmp_path / name, words, rate_hz, channels)
    async with asyncio.TaskGroup() as tasks:
        for name, _, _ in formats:
            tasks.create_task(give(name))


def test_a_file_in_which_nobody_speaks_ends_after_ten_seconds(tmp_path: Path) -> None:
    silence = np.zeros(16_000, np.int16)
    noise = np.random.default_rng(1).normal(0, 50, 16_000).astype(np.int16)
    with ExitStack() as running:
        commands = []
        for name, samples in (("silence", silence), ("noise", noise)):
            write_wav(tmp_path / f"{name}.wav", samples, 16_000)
            arguments = ("--simulate", f"--input-file={tmp_path / name}.wav", "--no-audio-output", "--no-stdin")
            commands.append(running.enter_context(Command(*arguments)))
        with Timed() as waiting:
            results = [command.wait() for command in commands]
    assert 10 < waiting.took_s < 20
    for result in results:
        assert (result.code, result.out) == (4, "")
        assert "gemini-live: warning: no answer came after the end of the audio\n" in result.err
        assert result.err.count("gemini-live: warning: ") == 1


async def test_the_output_file_holds_what_the_server_sent_bit_by_bit_though_it_was_cut_off(tmp_path: Path) -> None:
    output = tmp_path / "said.wav"
    async with Simulator(espeak=False, faults=["odd-chunks", "interrupted@turn2"]) as server:
        with talk(server, f"--output-file={output}", "--no-audio-output", "-v") as command:
            record = await server.wait_for_session()
            command.send("Say something.\nAnd something more, if you can.\n")
            await asyncio.to_thread(command.err.wait_for, '"interrupted":true')
            command.interrupt()
            assert (await end(command)).code == 130
    assert record.turns[1].interrupted
    assert read_output(output) == join_speech(record.sent)


async def test_the_output_file_can_be_played_after_a_sigterm(tmp_path: Path) -> None:
    output = tmp_path / "said.wav"
    async with Simulator(espeak=False) as server:
        with talk(server, f"--output-file={output}", "--no-audio-output") as command:
            record = await server.wait_for_session()
            command.send("count to 100\n")
            await record.wait_for(lambda record: bool(record.turns and record.turns[0].audio_s > 1))
            command.process.terminate()
            assert (await end(command)).code == 143
    said = read_output(output)
    assert len(said) >= 48_000
    assert join_speech(record.sent).startswith(said)


async def test_an_output_file_that_cannot_grow_is_one_warning_and_exit_2_at_the_end(tmp_path: Path) -> None:
    output = tmp_path / "said.wav"
    RECORDINGS.begin(None)  # which would not grow either, and say so
    async with Simulator(espeak=False, pace=0) as server:
        with talk(server, f"--output-file={output}", "--no-audio-output") as command:
            record = await server.wait_for_session()
            resource.prlimit(command.process.pid, resource.RLIMIT_FSIZE, (20_000, 20_000))
            command.send("Something that is too long.\n")
            await asyncio.to_thread(command.err.wait_for, "cannot be written any more")
            command.send("Go on.\n")
            command.close_stdin()
            result = await end(command)
    assert (result.code, result.out) == (2, "Something that is too long.\nGo on.\n")
    assert result.err.splitlines() == [
        START_LINE,
        f"gemini-live: warning: {output} cannot be written any more: File too large",
        f"gemini-live: error: {output} is incomplete: File too large",
    ]
    assert (record.close_code, record.closed_by_client) == (1000, True)
