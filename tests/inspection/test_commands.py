"""`gemini-live inspect` and `gemini-live diff`, as they are called: outputs, files, exit codes, hostile recordings."""

import errno
import importlib.util
import json
import os
import stat
import sys
import threading
import wave
import xml.etree.ElementTree as ET
from io import StringIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from gemini_live.cli import main
from gemini_live.inspection import wave_file
from gemini_live.inspection.report import format_report
from gemini_live.inspection.style import TextLayout, columns_of, fold, wrap
from gemini_live.process.streams import Streams

from ..recording.test_read import DAMAGED
from .tape import Tape, conversation


class Result(NamedTuple):
    code: int
    out: str
    err: str


def run(*argv: str | Path) -> Result:
    """Run the command."""
    out, err = StringIO(), StringIO()
    code = main([str(argument) for argument in argv], {}, Streams(None, out, err))
    return Result(code, out.getvalue(), err.getvalue())


class FullDisk(StringIO):
    """A stream on a disk that has no room."""

    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return conversation().save(tmp_path / "a.jsonl")


# inspect


def test_the_report_shows_the_time_line_the_turns_and_the_percentiles(path: Path) -> None:
    done = run("inspect", path)
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0] == (
        "gemini-3.8-live; 2026-11-28 21:15:00 UTC; 0:10; 2 connections; setup 0.00 s; "
        "recorded by gemini-live 9 (client)"
    )
    assert lines[2:16] == [
        "   0.00  connect  host",
        "   1.00  you      What is the weather?",
        '   1.50  [call]   weather(city="Oslo")  (answered after 0.26 s, ran 0.25 s)',
        '   1.76  [result] weather: {"sky": "clear"}',
        "   2.05  gemini   It is sunny in Oslo.",
        "   3.90  you      tell me a story",
        "   5.66  gemini   Once upon a time [interrupted]",
        "   7.00  you      stop",
        "   7.55  silence  0.55 s after the interruption",
        "   8.50  closed   by the server: 1011 overloaded",
        "   8.90  connect  host",
        "   9.26  gemini   Stopped.",
        "  10.00  closed   by the client: 1000",
        "",
    ]
    assert lines[16].split() == (
        [
            "turn",
            "asked",
            "first",
            "byte",
            "first",
            "sound",
            "length",
            "heard",
            "to",
            "silence",
            "talk-over",
            "tokens",
            "in",
            "out",
            "cost",
            "ending",
        ]
    )
    assert [line.split() for line in lines[17:20]] == [
        ["1", "typed", "0.50", "1.05", "1.50", "1.50", "-", "-", "100", "40", "$0.0006", "complete"],
        ["2", "spoken", "0.60", "0.66", "4.00", "1.89", "0.55", "0.55", "200", "60", "$0.0009", "interrupted"],
        ["3", "spoken", "1.40", "1.46", "0.50", "0.50", "-", "-", "300", "10", "$0.0003", "complete"],
    ]
    assert " ".join(lines[22].split()) == "end of question to first byte 3 0.60 1.40 1.40 1.40 1.40"
    assert lines[-1] == "tokens, all turns: in 600 (other 600); out 110 (audio 110); cost $0.0018"


def test_the_analysis_as_json(path: Path) -> None:
    done = run("inspect", path, "--json")
    found = json.loads(done.out)
    assert found["v"] == 1
    assert found["turns"][0]["calls"][0]["ran_s"] == 0.25
    assert found["turns"][1]["silent_after_s"] == 0.55
    assert found["percentiles"]["first_byte_after_s"]["p50"] == 0.6
    assert found["user_speech"] == [[3.9, 5.0], [7.0, 7.8]]


def test_without_prices_the_report_says_how_to_get_them(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert run("inspect", path).out.splitlines()[-1] == "no costs: pip install 'gemini-live[cost]' brings the prices"


def test_a_model_without_a_price_is_named(tmp_path: Path) -> None:
    tape = Tape(model="models/gemini-99").connect().at(1).type("Go").at(2).words("Yes").usage(1, 1).done()
    assert run("inspect", tape.save(tmp_path / "a.jsonl")).out.endswith(
        "no costs: genai-prices does not know gemini-99\n"
    )


@pytest.mark.parametrize("width", [30, 60, 80, 132])
def test_no_line_is_wider_than_the_terminal(tmp_path: Path, width: int) -> None:
    words = "日本語のとても長い文章です。" * 5 + " and " + "x" * 200
    session = conversation(answer=words).analyse(tmp_path)
    lines = format_report(session, TextLayout(width)).splitlines()
    table = next(index for index, line in enumerate(lines) if line.startswith("in seconds"))
    assert max(columns_of(line) for line in lines[:table]) <= width
    assert "日本語" in "".join(lines)


def test_colours_are_used_only_if_they_are_wanted(path: Path) -> None:
    assert "\x1b" not in run("inspect", path).out
    assert "\x1b[36myou" in run("inspect", path, "--color", "always").out


@pytest.mark.parametrize("text", ["\x1b[2J\x1b]0;title\x07", "\x9b31m", "a\u202eb", "\ud800", "\r\rfake", "\u2066x"])
def test_hostile_words_do_not_reach_the_terminal(tmp_path: Path, text: str) -> None:
    tape = Tape(model=text).connect().at(1).type(text).at(2).heard(text).words(text).call(text, {text: text})
    tape.result(text, {text: text}).local(text, x=text).done(turnCompleteReason=text)
    tape.lines[0]["program"] = text
    tape.server({"error": {"message": text}, "goAway": {"timeLeft": text}})
    tape.server({"usageMetadata": {"promptTokensDetails": [{"modality": text, "tokenCount": 1}]}})
    tape.close(1011, text, "server")
    first, second = tape.save(tmp_path / "a.jsonl"), conversation().save(tmp_path / "b.jsonl")
    argvs: list[list[str | Path]] = [
        ["inspect", first],
        ["inspect", first, "--json"],
        ["diff", first, second],
        ["diff", second, first],
    ]
    for argv in argvs:
        out = run(*argv).out
        assert not {"\x1b", "\x9b", "\r", "\x07", "\u202e" if argv[0] == "diff" else "\x9c", "\ud800"} & set(out)


@pytest.mark.parametrize("content", [content for content, _ in DAMAGED.values()], ids=DAMAGED.keys())
def test_a_damaged_recording_is_one_line_and_exit_code_2(tmp_path: Path, content: bytes, path: Path) -> None:
    damaged = tmp_path / "damaged.jsonl"
    damaged.write_bytes(content)
    argvs: list[list[str | Path]] = [["inspect", damaged], ["diff", path, damaged]]
    for argv in argvs:
        done = run(*argv)
        assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
        assert done.err.startswith(f"gemini-live: error: {damaged}:")
        assert "\x1b" not in done.err


def test_both_voices_are_written_on_one_time_line(tmp_path: Path) -> None:
    tape = Tape(role="proxy").connect().microphone(1.0).microphone(1.5, 9_000).microphone(2.0)
    tape.at(2.5).sound(2.0).at(3.5).content(interrupted=True)
    path = tape.at(6).close().save(tmp_path / "a.jsonl")
    done = run("inspect", path, "--wav", tmp_path / "out.wav")
    assert (done.code, done.out) == (0, "")
    with wave.open(str(tmp_path / "out.wav")) as file:
        assert (file.getnchannels(), file.getframerate()) == (2, 24_000)
        both = np.frombuffer(file.readframes(10**7), np.int16).reshape(-1, 2)
    assert len(both) / 24_000 == pytest.approx(6.0, abs=0.01)
    loud = [np.flatnonzero(np.abs(both[:, channel].astype(int)) > 500) / 24_000 for channel in (0, 1)]
    assert [loud[0][0], loud[0][-1]] == pytest.approx([1.0, 1.5], abs=0.02)
    assert [loud[1][0], loud[1][-1]] == pytest.approx([2.5, 3.5], abs=0.01)  # cut at the interruption
    assert stat.S_IMODE((tmp_path / "out.wav").stat().st_mode) == 0o600


def test_a_session_that_is_too_long_for_a_wave_file_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wave_file, "MAX_DURATION_S", 3)
    done = run("inspect", path, "--wav", path.with_name("out.wav"))
    assert (done.code, path.with_name("out.wav").exists()) == (2, False)
    assert list(path.parent.glob(".*")) == []


@pytest.mark.parametrize("option", ["--wav"])
def test_a_file_of_somebody_elses_is_not_overwritten(tmp_path: Path, path: Path, option: str) -> None:
    out = tmp_path / "mine"
    out.write_text("mine")
    done = run("inspect", path, option, out)
    assert (done.code, out.read_text()) == (2, "mine")
    assert "add --force" in done.err
    assert run("inspect", path, option, out, "--force").code == 0
    before = path.read_bytes()
    os.symlink(path, tmp_path / "link")
    assert run("inspect", path, option, tmp_path / "link", "--force").code == 2
    assert path.read_bytes() == before


# diff


def changed(path: Path, old: str, new: str) -> Path:
    other = path.with_name("b.jsonl")
    text = path.read_text()
    assert old in text
    other.write_text(text.replace(old, new))
    return other


def test_the_same_session_has_no_differences(path: Path) -> None:
    done = run("diff", path, path)
    assert done.code == 0
    assert done.out.startswith("no differences in 3 turns\n\nmedian, in seconds")


@pytest.mark.parametrize(
    ("old", "new", "kind", "said"),
    [
        ("sunny in", "cloudy in", "words", "turn 1: What is the weather?|answer: It is [-sunny-] {+cloudy+} in Oslo."),
        ('"city": "Oslo"', '"city": "Rome"', "arguments", 'weather.city: "Oslo" became "Rome"'),
        ('"sky": "clear"', '"sky": "grey"', "results", 'weather.sky: "clear" became "grey"'),
        ('"name": "weather", "args"', '"name": "time", "args"', "calls", "weather became time"),
        ("3.8-live", "9-live", "setup", 'model: "models/gemini-3.8-live" became "models/gemini-9-live"'),
        ("What is the weather?", "What is the time?", "questions", "question: What is the [-weather?-] {+time?+}"),
        ('"interrupted": true', '"interrupted": false', "endings", "interrupted became complete"),
        ('"turnComplete": true', '"turnComplete": true, "turnCompleteReason": "SAFETY"', "endings", "complete: SAFETY"),
    ],
    ids=["words", "arguments", "results", "calls", "setup", "questions", "endings", "reasons"],
)
def test_each_kind_of_difference_is_told_and_can_be_ignored(
    path: Path, old: str, new: str, kind: str, said: str
) -> None:
    other = changed(path, old, new)
    done = run("diff", path, other)
    assert done.code == 1
    for part in said.split("|"):
        assert part in done.out
    found = json.loads(run("diff", path, other, "--json").out)
    assert {difference["kind"] for difference in found["differences"]} >= {kind}
    assert found["same"] is False
    kinds = {difference["kind"] for difference in found["differences"]}
    assert run("diff", path, other, *(f"--ignore={each}" for each in kinds)).code == 0


def test_recordings_of_a_proxy_differ_in_the_setup_too(path: Path) -> None:
    """A proxy does not know the setup when it writes its header: the first setup that was sent counts."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines[0] |= {"role": "proxy", "model": None, "setup": None}
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    done = run("diff", path, changed(path, "3.8-live", "9-live"))
    assert done.code == 1
    assert 'model: "models/gemini-3.8-live" became "models/gemini-9-live"' in done.out
    assert run("inspect", path).out.startswith("gemini-3.8-live; ")


def test_a_missing_turn_is_told_and_the_others_are_still_compared(tmp_path: Path) -> None:
    def tape(*lines: str) -> Tape:
        made = Tape().connect()
        for line in lines:
            made.at(made.t_s + 1).type(line).at(made.t_s + 1).words(f"about {line}").done()
        return made

    first = tape("one", "two", "three").save(tmp_path / "a.jsonl")
    second = tape("one", "three", "four").save(tmp_path / "b.jsonl")
    found = json.loads(run("diff", first, second, "--json").out)["differences"]
    assert [(d["kind"], d["turn"], d["text"]) for d in found] == [
        ("turns", 2, "the second session has no such turn: two"),
        ("turns", 3, "the first session has no such turn: four"),
    ]


def test_the_order_of_calls_and_speech_is_compared(tmp_path: Path) -> None:
    first = Tape().connect().at(1).type("Go").at(2).words("Wait").call("f", {}).at(3).result("f", {}).done()
    second = Tape().connect().at(1).type("Go").at(2).call("f", {}).words("Wait").at(3).result("f", {}).done()
    done = run("diff", first.save(tmp_path / "a.jsonl"), second.save(tmp_path / "b.jsonl"))
    assert "speaks, call f, result f became call f, speaks, result f" in done.out


def test_limits_of_latency_are_part_of_the_verdict_only_if_asked_for(tmp_path: Path, path: Path) -> None:
    slow = conversation()
    for line in slow.lines[1:]:
        line["t_s"] *= 1.5
    other = slow.save(tmp_path / "b.jsonl")
    assert run("diff", path, other).code == 0
    assert run("diff", path, other, "--max-slower", "60").code == 0
    done = run("diff", path, other, "--max-slower", "20")
    assert done.code == 1
    assert "end of question to first byte: median 0.60 s became 0.80 s, 33 % slower (--max-slower 20)" in done.out
    assert run("diff", path, path, "--max-first-sound", "1.5").code == 0
    done = run("diff", path, path, "--max-first-sound", "1.2")
    assert done.code == 1
    assert "turn 3: stop" in done.out
    assert "first sound after 1.46 s, more than 1.2 s (--max-first-sound)" in done.out


def test_a_junit_report_has_a_case_for_each_turn(tmp_path: Path, path: Path) -> None:
    other = changed(path, "sunny in Oslo", "<b>\\u001b[2J & ]]> in Oslo")
    report = tmp_path / "report.xml"
    for _ in range(2):  # its own file is overwritten
        assert run("diff", path, other, "--junit", report).code == 1
    suite = ET.parse(report).getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("4", "1")
    cases = list(suite)
    assert [case.get("name") for case in cases][:2] == ["session", "turn 1: What is the weather?"]
    (failure,) = cases[1]
    assert failure.text == "words: answer: It is [-sunny-] {+<b>\\x1b[2J & ]]>+} in Oslo."
    assert run("diff", path, path, "--junit", path).code == 2


# The command line


@pytest.mark.parametrize("command", ["inspect", "diff"])
def test_each_command_has_its_own_help_and_errors(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(command, "--help").code == 0
    assert f"usage: gemini-live {command}" in capsys.readouterr().out
    assert run(command).code == 2
    assert run(command, "--voice", "Puck").code == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 2
    assert err.startswith(f"gemini-live {command}: error: the following arguments are required")


def test_the_help_of_the_program_names_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--help").code == 0
    out = capsys.readouterr().out
    assert "inspect FILE" in out
    assert "diff A B" in out


def test_inspecting_loads_nothing_that_a_session_needs(path: Path) -> None:
    import subprocess

    code = (
        "import sys\nfrom io import StringIO\nfrom gemini_live.cli import main\n"
        "from gemini_live.process.streams import Streams\n"
        f"main(['inspect', {str(path)!r}], {{}}, Streams(None, StringIO(), StringIO()))\n"
        "print(*{'websockets', 'asyncio.sslproto', 'prompt_toolkit', 'numpy', 'pyaudio'} & set(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) <= {"asyncio.sslproto"}


def test_text_is_wrapped_and_folded_by_columns() -> None:
    assert list(wrap("one two  three", 7)) == ["one two", "three"]
    assert list(wrap("abcdefgh", 3)) == ["abc", "def", "gh"]
    assert list(wrap("日本語", 4)) == ["日本", "語"]
    assert fold("日本語です", 5) == "日本…"


def test_replay_says_what_is_missing(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "add --record FILE.jsonl" in run("replay", path).err
    assert "which is replayed" in run("replay", path, "--record", path).err
    assert run("replay", path, "--voice", "Puck", "--record", "x.jsonl").code == 2
    assert run("replay", "--help").code == 0
    assert "usage: gemini-live replay" in capsys.readouterr().out
    done = run("replay", path.with_name("missing.jsonl"), "--record", path.with_name("x.jsonl"), "--simulate")
    assert (done.code, done.err.count("cannot be read")) == (2, 1)
    empty = Tape().save(path.with_name("empty.jsonl"))
    done = run("replay", empty, "--record", path.with_name("x.jsonl"), "--simulate")
    assert (done.code, done.err.count("\n"), done.err.count("there is nothing to replay")) == (2, 1, 1)
    assert not path.with_name("x.jsonl").exists()


def test_differences_that_cannot_be_written_are_an_error(tmp_path: Path, path: Path) -> None:
    err = StringIO()
    other = conversation(city="Bergen").save(tmp_path / "b.jsonl")
    code = main(["diff", str(path), str(other)], {}, Streams(None, FullDisk(), err))
    assert (code, err.getvalue()) == (
        2,
        "gemini-live: error: stdout cannot be written to: No space left on device\n",
    )


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes in folders")
def test_a_recording_is_read_from_a_pipe_once(tmp_path: Path) -> None:
    text = Tape().connect().at(1.0).microphone(2.0).save(tmp_path / "a.jsonl").read_text()
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=[text], daemon=True)
    writer.start()
    assert run("inspect", pipe) == run("inspect", tmp_path / "a.jsonl")
    writer.join()
    refused = f"gemini-live: error: {pipe} is not a file: --html reads the recording twice; save it in a file first\n"
    assert run("inspect", pipe, "--html", tmp_path / "page.html") == (2, "", refused)
