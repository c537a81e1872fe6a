"""The user's newest speech, as the client's own detector hears it."""

from gemini_live.session.speech import EXPIRES_S, UserSpeech
from gemini_live.session.stats import Latency


def new() -> tuple[UserSpeech, Latency]:
    latency = Latency()
    return UserSpeech(latency), latency


def test_the_latency_counts_from_the_end_of_speech() -> None:
    speech, latency = new()
    speech.began(4.0)
    speech.stopped(5.2, ended_s=5.0)
    latency.answer_began(5.75)
    assert latency.last_s == 0.75


def test_a_pause_does_not_end_the_speech() -> None:
    speech, latency = new()
    speech.began(0.0)
    speech.stopped(1.0, ended_s=1.0)
    speech.began(2.0)
    speech.stopped(4.0, ended_s=4.0)
    latency.answer_began(4.5)
    assert latency.last_s == 0.5


def test_an_answer_that_interrupts_the_user_has_no_latency() -> None:
    speech, latency = new()
    latency.asked(0.0)
    speech.began(0.5)
    latency.answer_began(1.0)
    assert latency.last_s is None


def test_the_end_of_speech_after_the_answer_began_does_not_count() -> None:
    speech, latency = new()
    speech.began(0.0)
    speech.answered()
    latency.answer_began(1.0)
    speech.stopped(1.5, ended_s=1.5)
    latency.answer_began(9.0)
    assert latency.last_s is None


def test_the_end_of_speech_without_a_beginning_changes_nothing() -> None:
    speech, latency = new()
    latency.asked(1.0)
    speech.stopped(2.0, ended_s=2.0)
    latency.answer_began(3.0)
    assert latency.last_s == 2.0


def test_speech_is_unanswered_until_an_answer_begins() -> None:
    speech, _ = new()
    assert not speech.is_unanswered(0.0)
    speech.began(1.0)
    assert speech.is_unanswered(2.0)
    speech.answered()
    assert not speech.is_unanswered(2.0)


def test_a_cough_that_nothing_answers_is_forgotten() -> None:
    speech, _ = new()
    speech.began(1.0)
    speech.stopped(1.3, ended_s=1.3)
    assert speech.is_unanswered(1.3 + EXPIRES_S)
    assert not speech.is_unanswered(1.4 + EXPIRES_S)
