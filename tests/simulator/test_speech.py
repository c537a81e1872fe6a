"""speech.py: how many voices speak at once, what is kept, and what becomes of a voice that misbehaves."""

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gemini_live.simulator import speech
from gemini_live.simulator.speech import Synthesizer, tones


async def test_sounds_are_kept_up_to_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speech, "MAX_CACHED_BYTES", 1_000_000)
    synthesizer = Synthesizer(espeak=False)
    sounds = [await synthesizer.say(f"word number {number}", "Kore") for number in range(100)]
    assert synthesizer._n_cached_bytes == sum(len(sound.data) for sound in synthesizer._said.values()) <= 1_000_000
    assert await synthesizer.say("word number 99", "Kore") is sounds[99]
    assert await synthesizer.say("word number 0", "Kore") is not sounds[0]


async def test_a_few_voices_speak_at_once_and_the_others_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: sys.executable)
    n_running = n_most = 0

    async def run(self: Synthesizer, program: str, words: str, voice: str) -> speech.Sound:
        nonlocal n_running, n_most
        n_running += 1
        n_most = max(n_most, n_running)
        for _ in range(5):
            await asyncio.sleep(0)
        n_running -= 1
        return tones(words)

    monkeypatch.setattr(Synthesizer, "_run_espeak", run)
    synthesizer = Synthesizer(espeak=True)
    sounds = await asyncio.gather(*(synthesizer.say(f"{number}", "Kore") for number in range(150)))
    assert sounds == [tones(f"{number}") for number in range(150)]
    assert n_most == speech.MAX_VOICES


@pytest.fixture
def voice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """A function that puts a shell script in the place of espeak-ng, and returns a path that it knows as `$FILE`."""
    if os.name != "posix":
        pytest.skip("the voice is a shell script")

    def install(script: str) -> Path:
        program = tmp_path / "espeak-ng"
        program.write_text(f"#!/bin/sh\nFILE='{tmp_path / 'file'}'\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
        return tmp_path / "file"

    return install


async def test_a_voice_does_not_get_the_key(voice: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GOOGLE_API_KEY", "GEMINI_API_KEY"):
        monkeypatch.setenv(name, "AIza-not-a-real-key")
    environ = voice('env > "$FILE"')
    assert await Synthesizer(espeak=True).say("Hello", "") == tones("Hello")
    assert "PATH=" in environ.read_text()
    assert "AIza" not in environ.read_text()


async def test_a_voice_that_never_ends_is_cut_and_killed(
    voice: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speech, "MAX_SOUND_BYTES", 1_000_000)
    pid = voice('echo $$ > "$FILE"; exec yes')
    sound = await Synthesizer(espeak=True).say("Hello", "")
    assert 900_000 < len(sound.data) < 1_300_000
    await _end_of(int(pid.read_text()))


async def test_a_voice_whose_listener_has_gone_is_killed_though_nobody_reads_it(voice: Callable[[str], Path]) -> None:
    pid = voice('yes | head -c 10000000; echo $$ > "$FILE"; exec sleep 1000')
    saying = asyncio.create_task(Synthesizer(espeak=True).say("Hello", ""))
    async with asyncio.timeout(20):
        while not pid.exists() or not pid.read_text():  # noqa: ASYNC110 - a file
            await asyncio.sleep(0.01)
        saying.cancel()
        with pytest.raises(asyncio.CancelledError):
            await saying
    await _end_of(int(pid.read_text()))


async def _end_of(pid: int) -> None:
    """Wait until a process has ended."""
    async with asyncio.timeout(20):
        while True:
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                return
            await asyncio.sleep(0.01)
