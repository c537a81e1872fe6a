"""answers.py, history.py, speech.py, usage.py: what the model says, remembers and sounds like, without a socket."""

import asyncio
import itertools
import sys
from typing import Any

import pytest

from gemini_live.audio import pcm
from gemini_live.models import Behavior
from gemini_live.simulator.actions import Action, Call, Say, Search, Together
from gemini_live.simulator.answers import MALFORMED_CALL, describe_response, plan_answer
from gemini_live.simulator.history import ConversationHistory, HandleBook, Said, image_size
from gemini_live.simulator.settings import Declaration
from gemini_live.simulator.speech import CHUNK_S, Sound, Synthesizer, tones

from .fake_clock import FakeClock
from .sounds import spoken

DECLARED = {"f": Declaration("f", Behavior.BLOCKING), "g": Declaration("g", Behavior.BLOCKING)}


def plan(
    text: str, *, declared: bool = True, search: bool = True, said: list[Said] | None = None
) -> tuple[Action, ...]:
    return plan_answer(
        text,
        declarations=DECLARED if declared else {},
        search=search,
        conversation=ConversationHistory(said or []),
        seen="I have received no frames.",
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Hello there", "Hello there"),
        ("  padded \n lines ", "padded \n lines"),
        ("count to 3", "1, 2, 3."),
        ("Count to 2.", "1, 2."),
        ("count to zero", "count to zero"),
        ('<user>{"text": "Please count to 3!"}</user>', "1, 2, 3."),
        ("account to 3, count to 3rd", "account to 3, count to 3rd"),
        ("call me later, or call me (maybe)", "call me later, or call me (maybe)"),
        ("what did I say before?", "You have not said anything before."),
        ("what did I say before? .", "You have not said anything before."),  # livekit-plugins-google adds a dot on 2.5
        ("What do you see", "I have received no frames."),
        ("recall(f)", "recall(f)"),
    ],
)
def test_words(text: str, words: str) -> None:
    assert plan(text) == (Say(words),)


def test_counting_is_bounded() -> None:
    (said,) = plan("count to 999999999")
    assert isinstance(said, Say) and said.words.endswith("9999, 10000.")


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ("call f()", [Call("f", {})]),
        ("Please CALL f ( )", [Call("f", {})]),
        (
            'call f({"a": {"b": "call g()"}}), call g( {} ) and call f',
            [Call("f", {"a": {"b": "call g()"}}), Call("g", {}), Call("f")],
        ),
        ("call f.", [Call("f")]),
        ("call unknown.name()", [Call("unknown.name", {})]),
        ('<m>{"user": "call f({\\"a\\": \\"b\\"}) now"}</m>', [Call("f", {"a": "b"})]),
        ('Be brief. "call f" and call me back', [Call("f")]),
    ],
)
def test_calls(text: str, calls: list[Call]) -> None:
    assert plan(text.replace(" ( )", "()")) == (Together(*calls),)


@pytest.mark.parametrize(
    "text",
    [
        "call f(",
        "call f({)",
        "call f([1])",
        'call f({"a": 1}',
        "call f(5)",
        "call f({}" + "[" * 9999,
        'call f({"a": 1e999})',
        "call f({NaN})",
    ],
)
def test_malformed_calls(text: str) -> None:
    assert plan(text) == MALFORMED_CALL


def test_nothing_declared_nothing_called_and_no_search_without_the_tool() -> None:
    assert plan("call f()", declared=False) == (Say("call f()"),)
    assert plan("search for x", search=False) == (Say("search for x"),)
    assert plan("search for x") == (Search("x"), Say("I searched for x and found two pages."))


def test_what_was_said_before_is_the_users() -> None:
    assert plan("what did I say before?", said=[Said("user", "A"), Said("model", "B")]) == (Say("You said: A"),)


@pytest.mark.parametrize(
    ("response", "words"),
    [
        ({"output": "4 C"}, "f returned 4 C"),
        ({"output": [1, "ü"]}, 'f returned [1, "ü"]'),
        ({"error": "no"}, "f failed: no"),
        ({"a": 1, "output": 2}, 'f returned {"a": 1, "output": 2}'),
    ],
)
def test_results_are_spoken_of(response: dict[str, Any], words: str) -> None:
    assert describe_response("f", response) == words


def test_handle_stands_for_the_conversation_as_it_was() -> None:
    clock = FakeClock()
    book = HandleBook(0, clock)
    conversation = ConversationHistory([Said("user", "A")])
    handle = book.save(conversation, 1)
    conversation.add(Said("model", "B"))
    later = book.save(conversation, 1)
    resumed, resumed_later = book.find(handle), book.find(later)
    assert resumed and resumed_later and resumed.session == 1
    assert [said.text for said in resumed.history.said] == ["A"]
    resumed.history.add(Said("user", "C"))
    assert [said.text for said in resumed_later.history.said] == ["A", "B"]
    clock.advance(2 * 3600 + 1)
    assert book.find(handle) is None
    book.save(conversation, 2)
    assert book.find("nonsense") is None


def test_size_of_a_picture() -> None:
    header = "ffd8ffe000104a46494600010101004800480000"
    assert image_size(bytes.fromhex(header + "ffc0000b080240040001011100ffd9")) == (1024, 576)
    assert image_size(bytes.fromhex(header + "ffc2000b080001000201011100ffd9")) == (2, 1)
    for broken in (
        b"",
        b"\x89PNG\r\n",
        bytes.fromhex(header),
        bytes.fromhex(header + "00"),
        b"\xff\xd8" + b"\xff" * 40,
    ):
        assert image_size(broken) is None


def test_sound_is_cut_into_chunks_of_40_ms() -> None:
    sound = Sound(bytes(pcm.OUTPUT.n_bytes(1.01)), pcm.OUTPUT.rate_hz)
    chunks = list(sound.chunks())
    assert b"".join(chunks) == sound.data
    assert {len(chunk) for chunk in chunks[:-1]} == {pcm.OUTPUT.n_bytes(CHUNK_S)}
    assert len(chunks[-1]) == pcm.OUTPUT.n_bytes(0.01)


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 22_050, 44_100, 48_000])
def test_sound_lasts_as_long_at_any_rate(rate_hz: int) -> None:
    sound = Sound(spoken(rate_hz=rate_hz), rate_hz)
    chunks = list(sound.chunks())
    assert sum(map(len, chunks)) / 48_000 == pytest.approx(sound.duration_s, abs=0.001)
    assert {len(chunk) for chunk in chunks[:-1]} == {1920}


def test_tones_are_one_for_each_word_and_as_long_as_speech() -> None:
    short, long = tones("a"), tones("a " * 10)
    assert long.duration_s == pytest.approx(10 * short.duration_s, abs=0.01)
    assert 2 < tones("The quick brown fox jumps over the lazy dog").duration_s < 4
    assert tones("").duration_s > 0
    assert tones("Same words").data == tones("same words").data != tones("other word").data
    samples = pcm.to_samples(tones("hello there").data)
    assert max(abs(b - a) for a, b in itertools.pairwise(samples)) < 2000, "it clicks"


async def test_speaker_without_espeak_has_tones() -> None:
    synthesizer = Synthesizer(espeak=False)
    assert not synthesizer.speaks
    assert await synthesizer.say("Hello", "Kore") == tones("Hello")


async def test_speaker_speaks_each_voice_at_its_pitch_and_remembers() -> None:
    spoken("x")  # skips where espeak-ng is missing
    synthesizer = Synthesizer(espeak=True)
    assert synthesizer.speaks
    kore, puck = await asyncio.gather(synthesizer.say("Hello there", "Kore"), synthesizer.say("Hello there", "Puck"))
    assert kore.data != puck.data
    assert await synthesizer.say("Hello there", "Kore") is kore
    assert 0.5 < kore.duration_s < 2
    assert (await synthesizer.say("--help -v nonsense", "Kore")).duration_s > 0.5


async def test_speaker_falls_back_to_tones_when_espeak_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: sys.executable)
    assert await Synthesizer(espeak=True).say("Hello", "") == tones("Hello")
