"""Half duplex: silence while the model is heard, and a loud voice that breaks in."""

import struct

import pytest

from gemini_live.audio.half_duplex import BREAK_IN_DB, TAIL_S, HalfDuplex

SILENCE = bytes(640)


def chunk(dbfs: float, number: int = 0) -> bytes:
    """Return a chunk of a level that can be told from others by its first sample."""
    return struct.pack("<h", number) + struct.pack("<h", round(32768 * 10 ** (dbfs / 20))) * 319


class Gate:
    def __init__(self) -> None:
        self.half_duplex = HalfDuplex()
        self.now_s = 100.0

    def hear(
        self,
        sound: bytes,
        *,
        cleaned: bytes | None = None,
        is_playing: bool = True,
        expected_dbfs: float | None = -30.0,
    ) -> list[bytes]:
        self.now_s += 0.02
        return self.half_duplex.process(
            sound, cleaned or sound, self.now_s, is_playing=is_playing, is_echo_due=False, expected_dbfs=expected_dbfs
        )


def test_the_microphone_is_open_while_nothing_is_played() -> None:
    gate, voice = Gate(), chunk(-26)
    assert [gate.hear(voice, is_playing=False) for _ in range(100)] == [[voice]] * 100
    assert not gate.half_duplex.is_closed


def test_it_is_silent_while_the_model_is_heard_and_for_the_tail_after() -> None:
    gate, echo = Gate(), chunk(-30)
    assert [gate.hear(echo) for _ in range(50)] == [[SILENCE]] * 50
    assert gate.half_duplex.is_closed
    after = [gate.hear(echo, is_playing=False) for _ in range(50)]
    n_tail = round(TAIL_S / 0.02)
    assert after[: n_tail - 1] == [[SILENCE]] * (n_tail - 1)
    assert after[n_tail + 1 :] == [[echo]] * (50 - n_tail - 1)
    assert not gate.half_duplex.is_closed


@pytest.mark.parametrize(("dbfs", "breaks_in"), [(-30 + BREAK_IN_DB - 1, False), (-30 + BREAK_IN_DB + 1, True)])
def test_a_voice_breaks_in_if_it_stands_out_of_the_echo(dbfs: float, breaks_in: bool) -> None:
    gate = Gate()
    for _ in range(50):
        gate.hear(chunk(-30))
    sent = [piece for _ in range(20) for piece in gate.hear(chunk(dbfs))]
    assert (chunk(dbfs) in sent) is breaks_in


def test_the_beginning_of_a_voice_that_breaks_in_is_sent_too_and_nothing_twice() -> None:
    gate = Gate()
    for number in range(50):
        gate.hear(chunk(-32, number))
    sent = [piece for number in range(50, 80) for piece in gate.hear(chunk(-20, number))]
    numbers = [struct.unpack("<h", piece[:2])[0] for piece in sent if piece != SILENCE]
    assert numbers == list(range(numbers[0], 80))
    assert 40 <= numbers[0] <= 47  # 0.2 s before the voice at least


def test_between_the_words_of_a_voice_that_broke_in_the_cleaned_audio_is_sent() -> None:
    gate, loud, echo, cleaned = Gate(), chunk(-20), chunk(-35), chunk(-60)
    for _ in range(20):
        gate.hear(loud)
    assert gate.hear(echo, cleaned=cleaned) == [cleaned]
    assert gate.hear(loud, cleaned=cleaned) == [loud]


def test_a_click_does_not_break_in() -> None:
    gate = Gate()
    for number in range(200):
        assert gate.hear(chunk(-5 if number % 25 < 4 else -40)) == [SILENCE]


def test_the_microphone_closes_again_half_a_second_after_the_voice() -> None:
    gate = Gate()
    for _ in range(20):
        gate.hear(chunk(-10))
    sent = [gate.hear(chunk(-40)) for _ in range(50)]
    n_open = sum(pieces != [SILENCE] for pieces in sent)
    assert 23 <= n_open <= 27
    assert sent[n_open:] == [[SILENCE]] * (50 - n_open)


def test_nothing_breaks_in_if_an_echo_cannot_be_told_from_a_voice() -> None:
    gate = Gate()
    assert {tuple(gate.hear(chunk(-1), expected_dbfs=None)) for _ in range(50)} == {(SILENCE,)}
