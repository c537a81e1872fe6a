"""Speech in, speech out: echo, barge-in, marks of the client's own, ends of the stream, and the interpreting models."""

from typing import Any

import numpy as np
import pytest

from gemini_live.audio import pcm
from gemini_live.simulator import Simulator

from .peer import ON_TIME, Peer, declare, session
from .sounds import SILENCE, spoken

TRANSLATE = {
    "model": "models/gemini-3.5-live-translate-preview",
    "generationConfig": {"translationConfig": {"targetLanguageCode": "de"}},
}
TRANSCRIBE = {"model": "models/gemini-3.5-transcribe-live", "outputAudioTranscription": None}
MANUAL = {"realtimeInputConfig": {"automaticActivityDetection": {"disabled": True}}}
END = {"realtimeInput": {"audioStreamEnd": True}}


def quick(**options: Any) -> Simulator:
    return Simulator(**{"pace": 0, "espeak": False, "seed": ON_TIME, **options})


def correlation(spoken_pcm: bytes, heard_pcm: bytes) -> float:
    """The best normalised cross-correlation of what was spoken with any stretch of what is heard."""
    said, heard = (np.frombuffer(sound, "<i2").astype(float) for sound in (spoken_pcm, heard_pcm))
    heard = np.pad(heard, (0, max(0, len(said) - len(heard) + 1)))
    size = len(heard) + len(said)
    products = np.fft.irfft(np.fft.rfft(heard, size) * np.conj(np.fft.rfft(said, size)), size)
    sums = np.concatenate([[0.0], np.cumsum(heard**2)])
    energies = sums[len(said) :] - sums[: -len(said)]
    return float(np.max(products[: len(energies)] / np.sqrt(energies * np.sum(said**2) + 1)))


async def begin_long_answer(peer: Peer) -> None:
    await peer.say("count to 500")
    await peer.until(lambda m: "modelTurn" in m.get("serverContent", {}))


async def test_speech_comes_back_in_the_users_own_voice() -> None:
    said_at_output_rate = spoken("Hello there.", rate_hz=24_000)
    async with quick() as server, session(server) as peer:
        await peer.speak(SILENCE + spoken("Hello there.") + SILENCE)
        turn = await peer.turn()
        seconds = len(turn.audio) / 48_000
        assert correlation(said_at_output_rate, turn.audio) > 0.95
        assert seconds == pytest.approx(len(said_at_output_rate) / 48_000, abs=0.25)
        assert turn.heard == f"(speech, {seconds:.1f} s)"
        assert turn.words == f"(speech, {seconds:.1f} s)"
    (record,) = server.sessions
    assert record.n_utterances == 1
    assert bytes(record.audio) == SILENCE + spoken("Hello there.") + SILENCE
    assert record.audio_s == pytest.approx(len(record.audio) / 32_000)


async def test_input_of_another_rate_is_echoed_at_24_khz() -> None:
    quiet = bytes(pcm.PcmFormat(48_000).n_bytes(1.2))
    async with quick() as server, session(server) as peer:
        await peer.speak(quiet + spoken("Hello there.", rate_hz=48_000) + quiet, rate_hz=48_000, chunk_bytes=1920)
        turn = await peer.turn()
        assert correlation(spoken("Hello there.", rate_hz=24_000), turn.audio) > 0.95


async def test_audio_without_a_rate_is_16_khz() -> None:
    async with quick() as server, session(server) as peer:
        await peer.send({"realtimeInput": {"audio": {"data": "AAAA", "mimeType": "audio/pcm"}}})
        await peer.ask("Hello")
    assert server.sessions[0].audio_s == pytest.approx(3 / 32_000)


async def test_silence_is_not_answered() -> None:
    async with quick() as server, session(server) as peer:
        await peer.speak(SILENCE * 3)
        await peer.send(END)
        assert (await peer.ask("Hello")).words == "Hello"
    assert len(server.sessions[0].turns) == 1


async def test_end_of_the_stream_ends_the_utterance_at_once() -> None:
    async with quick() as server, session(server, model="models/gemini-3.1-flash-live-preview") as peer:
        await peer.speak(SILENCE + spoken("Hello there."))
        await peer.send(END)
        assert (await peer.turn()).heard.startswith("(speech")
        await peer.speak(SILENCE + spoken("Hello there."))
        await peer.send(END)
        assert (await peer.turn()).heard.startswith("(speech")


async def test_pause_is_as_long_as_the_client_says() -> None:
    short = {"realtimeInputConfig": {"automaticActivityDetection": {"silenceDurationMs": 100}}}
    async with quick() as server, session(server, **short) as peer:
        await peer.speak(SILENCE + spoken("Hello.") + SILENCE[:16_000] + spoken("Hello.") + SILENCE[:16_000])
        await peer.turn()
        await peer.turn()
    assert server.sessions[0].n_utterances == 2


async def test_speech_cuts_off_what_is_being_said() -> None:
    async with quick(pace=1) as server, session(server) as peer:
        await begin_long_answer(peer)
        await peer.speak(SILENCE + spoken("Stop it.") + SILENCE)
        cut = await peer.turn()
        assert [sorted(content) for content in cut.contents[-2:]] == [["interrupted"], ["turnComplete"]]
        assert (await peer.turn()).heard.startswith("(speech")


async def test_speech_interrupts_nothing_where_the_client_says_so() -> None:
    polite = {"realtimeInputConfig": {"activityHandling": "NO_INTERRUPTION"}}
    async with quick(pace=20) as server, session(server, **polite) as peer:
        await peer.say("count to 3")
        await peer.until(lambda m: "modelTurn" in m.get("serverContent", {}))
        await peer.speak(SILENCE + spoken("Stop it.") + SILENCE)
        assert not (await peer.turn()).has("interrupted")
        assert (await peer.turn()).heard.startswith("(speech")


async def test_speech_cancels_a_blocking_call() -> None:
    async with (
        quick() as server,
        session(server, model="models/gemini-3.1-flash-live-preview", tools=declare("f")) as peer,
    ):
        await peer.say("call f()")
        await peer.until(lambda m: "toolCall" in m)
        await peer.speak(SILENCE + spoken("Stop it."))
        await peer.send(END)
        assert (await peer.turn()).has("toolCallCancellation")
        assert (await peer.turn()).heard.startswith("(speech")


async def test_interrupting_result_waits_while_the_user_speaks() -> None:
    async with quick() as server, session(server, tools=declare("f", behavior=None)) as peer:
        await peer.say("call f()")
        messages = await peer.until(lambda m: "toolCall" in m)
        (call,) = messages[-1]["toolCall"]["functionCalls"]
        await peer.turn()
        await peer.speak(SILENCE + spoken("Hello there."))
        answer = {"id": call["id"], "name": "f", "response": {"output": "done"}, "scheduling": "INTERRUPT"}
        await peer.send({"toolResponse": {"functionResponses": [answer]}})
        await peer.speak(SILENCE)
        assert (await peer.turn()).heard.startswith("(speech")
        assert (await peer.turn()).words == "f returned done"


async def test_marks_of_the_client_replace_the_detection() -> None:
    tone = spoken("Hello there.")
    async with quick() as server, session(server, **MANUAL) as peer:
        await peer.speak(tone)  # outside the marks: not heard
        await peer.send({"realtimeInput": {"activityStart": {}}})
        await peer.speak(tone)
        await peer.send({"realtimeInput": {"activityEnd": {}}})
        turn = await peer.turn()
        assert len(turn.audio) == pytest.approx(len(tone) * 1.5, abs=8)
    assert server.sessions[0].n_utterances == 1


async def test_mark_of_a_start_cuts_off_what_is_being_said() -> None:
    async with quick(pace=1) as server, session(server, **MANUAL) as peer:
        await begin_long_answer(peer)
        await peer.send({"realtimeInput": {"activityStart": {}}})
        assert (await peer.turn()).has("interrupted")


async def test_end_of_stream_has_no_place_beside_marks() -> None:
    async with quick() as server, session(server, **MANUAL) as peer:
        await peer.send(END)
        assert (await peer.closed())[0] == 1007


async def test_mark_of_an_end_without_a_start_is_nothing() -> None:
    async with quick() as server, session(server, **MANUAL) as peer:
        await peer.send({"realtimeInput": {"activityEnd": {}}})
        await peer.ask("Hello")
    assert server.sessions[0].n_utterances == 0
    assert server.sessions[0].mistakes == ["activityEnd without an activityStart"]


async def test_audio_in_long_pieces_is_a_mistake() -> None:
    async with quick() as server, session(server) as peer:
        await peer.speak(SILENCE, chunk_bytes=len(SILENCE))
        await peer.ask("Hello")
    assert server.sessions[0].mistakes == ["audio in pieces of more than 1 s: 20 to 40 ms are advised"]


async def test_spoken_words_are_remembered() -> None:
    async with quick() as server, session(server) as peer:
        await peer.speak(SILENCE + spoken("Hello there.") + SILENCE)
        heard = (await peer.turn()).heard.strip()
        assert (await peer.ask("what did I say before?")).words == f"You said: {heard}"


async def test_transcribing_model_sends_words_and_ends_with_the_stream() -> None:
    async with quick() as server, session(server, **TRANSCRIBE) as peer:
        await peer.speak(SILENCE + spoken("Hello there.") + SILENCE)
        await peer.send(END)
        turn = await peer.turn()
        interim = [c["interimInputTranscription"]["text"] for c in turn.contents if "interimInputTranscription" in c]
        assert interim and turn.heard.startswith(interim[0])
        assert turn.heard.startswith("(speech, ")
        assert not turn.parts
        assert [sorted(content) for content in turn.contents[-2:]] == [["generationComplete"], ["turnComplete"]]
        await peer.say("Hello")
        assert (await peer.closed())[0] == 1007


async def test_translating_model_speaks_and_never_ends_its_turn() -> None:
    async with quick() as server, session(server, **TRANSLATE) as peer:
        await peer.speak(SILENCE + spoken("Hello there.") + SILENCE)
        messages = await peer.until(lambda m: "usageMetadata" in m)
        contents = [m["serverContent"] for m in messages if "serverContent" in m]
        languages = {
            c[name]["languageCode"]
            for c in contents
            for name in ("inputTranscription", "outputTranscription")
            if name in c
        }
        assert languages == {"en", "de"}
        assert any("modelTurn" in content for content in contents)
        await peer.send(END)
        await peer.content("no text here")
        assert (await peer.closed())[0] == 1007
    assert not any("turnComplete" in message.get("serverContent", {}) for message in server.sessions[0].sent)


async def test_typed_turns_are_spoken_with_a_human_voice_where_there_is_one() -> None:
    spoken("x")  # skips where espeak-ng is missing
    async with Simulator(pace=0, seed=ON_TIME) as server, session(server) as peer:
        turn = await peer.ask("The quick brown fox jumps over the lazy dog.")
        assert len(turn.audio) / 48_000 == pytest.approx(len(spoken()) / 32_000, abs=0.8)
