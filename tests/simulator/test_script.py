"""script.py, script_lines.py, script_file.py: rules, placeholders, and what the errors of a script say."""

from pathlib import Path
from typing import Any

import pytest

from gemini_live.errors import ConfigError
from gemini_live.simulator import Call, Close, End, Say, Search, Silent, Simulator, Think, Together, Wait
from gemini_live.simulator.actions import Action, FunctionResult, Question
from gemini_live.simulator.script import Script
from gemini_live.simulator.script_file import MAX_SCRIPT_BYTES, read_script

from .peer import declare, session
from .test_actions import respond, write_wav


def script_of(tmp_path: Path, text: str) -> Script:
    path = tmp_path / "s.toml"
    path.write_text(text, encoding="utf-8")
    return read_script(path)


def asks(text: str = "", **fields: Any) -> Question:
    return Question(**{"text": text, "spoken": False, "turn": 1, "spoken_turn": 0, **fields})


async def answer(script: Script, question: Question, known: dict[str, str] | None = None) -> tuple[Action, ...] | None:
    return await script.answer(question, known if known is not None else {})


ACTIONS = r"""
[[rule]]
text = 'everything'
do = [
  { think = "Hm." }, { say = "Words" },
  { call = "f", args = { a = [1, "{text}"] } },
  { call = [{ name = "f", args = {} }, { name = "g" }] },
  { search = "birds", pages = [{ url = "https://a.test", title = "A" }, { url = "https://b.test" }] },
  { wait = 1 }, { close = 1011, reason = "gone" },
]
[[rule]]
text = 'quiet'
silent = true
[[rule]]
text = 'end'
end = "RESPONSE_REJECTED"
"""


async def test_every_action_can_be_written(tmp_path: Path) -> None:
    script = script_of(tmp_path, ACTIONS)
    assert await answer(script, asks("Everything!")) == (
        Think("Hm."),
        Say("Words"),
        Call("f", {"a": [1, "Everything!"]}),
        Together(Call("f", {}), Call("g")),
        Search("birds", (("https://a.test", "A"), ("https://b.test", "https://b.test"))),
        Wait(1.0),
        Close(1011, "gone"),
    )
    assert await answer(script, asks("quiet, please")) == (Silent(),)
    assert await answer(script, asks("the end")) == (End("RESPONSE_REJECTED"),)
    assert await answer(script, asks("anything else")) is None


async def test_sound_is_found_beside_the_script(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav")
    (said,) = await answer(script_of(tmp_path, '[[rule]]\nplay = "a.wav"\nwords = "Listen"'), asks()) or ()
    assert isinstance(said, Say) and said.words == "Listen" and said.sound and said.sound.duration_s == 0.1


CONDITIONS = """
[[rule]]
voice = 2
say = "second spoken"
[[rule]]
turn = 3
say = "third"
[[rule]]
voice = true
text = 'weather'
say = "spoken weather"
[[rule]]
voice = false
text = 'weather'
say = "typed weather"
[[rule]]
heard = "as heard"
voice = 4
"""


@pytest.mark.parametrize(
    ("question", "words"),
    [
        (asks("x", spoken=True, turn=9, spoken_turn=2), "second spoken"),
        (asks("x", turn=9, spoken_turn=2), None),
        (asks("x", turn=3), "third"),
        (asks("the weather", spoken=True, turn=9, spoken_turn=1), "spoken weather"),
        (asks("the WEATHER"), "typed weather"),
        (asks("x", spoken=True, turn=9, spoken_turn=4), None),
        (asks("x", results=(FunctionResult("f", {}),), turn=3), None),
    ],
)
async def test_conditions_hold_together(question: Question, words: str | None, tmp_path: Path) -> None:
    expected = (Say(words),) if words else None
    assert await answer(script_of(tmp_path, CONDITIONS), question) == expected


def test_transcript_comes_from_the_first_rule_for_that_speech(tmp_path: Path) -> None:
    script = script_of(
        tmp_path,
        '[[rule]]\nvoice = 2\nheard = "two"\n[[rule]]\nturn = 5\nheard = "five"\n[[rule]]\nheard = "any"\nsay="x"',
    )
    assert [script.heard(*numbers) for numbers in ((1, 1), (2, 2), (5, 4), (5, 2))] == ["any", "two", "five", "two"]
    assert script_of(tmp_path, '[[rule]]\nsay = "x"').heard(1, 1) == ""


RETURNS = """
[[rule]]
result = "f"
returns = { ok = true, list = { n = 1 } }
say = "part"
[[rule]]
result = "f"
returns = '"n": 2'
say = "text"
[[rule]]
result = "f"
say = "any {result} {result.list.n} {result.items.1} {result.none}"
"""


@pytest.mark.parametrize(
    ("name", "response", "words"),
    [
        ("f", {"ok": True, "list": {"n": 1, "m": 2}}, "part"),
        ("f", {"output": {"ok": True, "list": {"n": 1}}}, "part"),
        ("f", {"ok": 1, "list": {"n": 2}}, "text"),
        ("f", {"output": "plain"}, "any plain {result.list.n} {result.items.1} {result.none}"),
        ("f", {"list": {"n": 3}, "items": ["a", "b"]}, 'any {"list": {"n": 3}, "items": ["a", "b"]} 3 b {result.none}'),
        ("g", {"ok": True}, None),
    ],
)
async def test_results_are_looked_at(name: str, response: dict[str, Any], words: str | None, tmp_path: Path) -> None:
    question = asks(results=(FunctionResult(name, response),))
    assert await answer(script_of(tmp_path, RETURNS), question) == ((Say(words),) if words else None)


async def test_names_stay_known_in_the_conversation(tmp_path: Path) -> None:
    text = """
[[rule]]
text = 'I am (?P<name>\\w+)( and (?P<age>\\d+))?'
say = "Hello {name}, {age}."
[[rule]]
say = "Bye {name}."
"""
    script, known = script_of(tmp_path, text), dict[str, str]()
    assert await answer(script, asks("I am Ada and 36"), known) == (Say("Hello Ada, 36."),)
    assert await answer(script, asks("bye"), known) == (Say("Bye Ada."),)
    assert await answer(script, asks("bye"), {}) == (Say("Bye {name}."),)


async def test_script_drives_a_session_on_the_wire(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text(
        """
[[rule]]
text = 'two (?P<n>\\d+)'
do = [{ call = [{ name = "f", args = { n = "{n}" } }, { name = "g" }] }]
[[rule]]
result = "g"
say = "g says {result}"
""",
        encoding="utf-8",
    )
    tools = declare("f", "g")
    tools[0]["functionDeclarations"][0]["parameters"] = {"type": "OBJECT", "properties": {"n": {"type": "INTEGER"}}}
    async with Simulator(pace=0, espeak=False, script=path) as server, session(server, tools=tools) as peer:
        await peer.say("two 12")
        await respond(peer, f=1, g="hi")
        assert (await peer.turn()).words == "g says hi"
        assert (await peer.ask("no rule for this")).words == "no rule for this"
    assert [call.args for call in server.sessions[0].calls.values()] == [{"n": 12}, {}]


MISTAKES = [
    ("[[rule]]\nsay = 'a'\ntext = ", 3, "not TOML: invalid value"),
    ("[[rule]]\nsay = 'a\n", 2, "not TOML: "),
    ("", 1, "there is no [[rule]]"),
    ("[rule]\nsay = 'a'", 1, "rules are written as [[rule]]"),
    ("# [[rule]]\n[[rules]]\nsay = 'a'", 2, 'unknown key "rules" in the file; did you mean "rule"?'),
    ("[[rule]]\nsay = 'a'\n[[rule]]\n\nsya = 'say = 1'", 5, 'unknown key "sya" in a rule; did you mean "say"?'),
    ("[[rule]]\n'sya' = 'a'", 2, 'unknown key "sya" in a rule; did you mean "say"?'),
    ("[[rule]]\nzebra = 1", 2, 'unknown key "zebra" in a rule'),
    ("[[rule]]\ntext = 'a'", 1, "a rule needs an action: do or one of say, play, call"),
    ("[[rule]]\nsay = 5", 2, "say is a text in quotation marks, not 5"),
    ("[[rule]]\nsay = ' '", 2, "say is empty"),
    ("[[rule]]\ntext = '('\nsay = 'a'", 2, "text: not a regular expression: missing ), unterminated subpattern"),
    ("[[rule]]\ntext = '(?P<text>a)'\nsay = 'a'", 2, "text: the name text has a meaning of its own"),
    ("[[rule]]\nvoice = 0\nsay = 'a'", 2, "voice is true, false or a number from 1, not 0"),
    ("[[rule]]\nturn = true\nsay = 'a'", 2, "turn is a number from 1, not true"),
    ("[[rule]]\nvoice = false\nheard = 'a'", 3, "heard is for spoken questions"),
    ("[[rule]]\nreturns = 'a'\nsay = 'a'", 2, 'returns needs result = "NAME OF A FUNCTION"'),
    ("[[rule]]\nresult = 'f'\nreturns = 1\nsay = 'a'", 3, "returns is an expression or a table, not 1"),
    ("[[rule]]\nsay = 'a'\ncall = 'f'", 3, "an action has say and call; several actions are a list"),
    ("[[rule]]\nargs = { a = 1 }", 2, '"args" needs "call" beside it'),
    ("[[rule]]\nsay = 'a'\nargs = { a = 1 }", 3, '"args" does not belong to "say"'),
    ("[[rule]]\ncall = 'f'\nargs = 5", 3, "args is a table, as in args = "),
    ("[[rule]]\ncall = 'f'\nargs = { a = [2026-11-28] }", 3, "args: JSON has no date or time"),
    ("[[rule]]\ncall = []", 2, "several calls are written as call = "),
    ("[[rule]]\ncall = [{ args = {} }]", 2, "a call has no name"),
    ("[[rule]]\ncall = [{ name = 'f', arg = {} }]", 2, 'unknown key "arg" in a call; did you mean "args"?'),
    ("[[rule]]\nsearch = 'x'\npages = ['a']", 3, "pages are written as pages = "),
    ("[[rule]]\nwait = -1", 2, "wait is a number of seconds up to 3600, not -1"),
    ("[[rule]]\nsilent = false", 2, "silent is true, not false"),
    ("[[rule]]\nend = 'REJECTED'", 2, 'unknown reason REJECTED; did you mean "RESPONSE_REJECTED"?'),
    ("[[rule]]\nclose = 5", 2, "close is the code of a close frame, such as 1011, not 5"),
    ("[[rule]]\nplay = 'no.wav'", 2, "no.wav: No such file or directory"),
    ("[[rule]]\nsay = 'a'\ndo = [{ wait = 1 }]", 2, '"say" stands beside do; put it into do'),
    ("[[rule]]\ndo = 'a'", 2, "do is a list of actions"),
    ("[[rule]]\ndo = [\n  { say = 'a' },\n  { say = 'b' },\n  { say = 7 },\n]", 5, "say is a text in quotation marks"),
    (
        "[[rule]]\ndo = [\n  { say = '{' },\n  { sya = 'b' },\n]",
        4,
        'unknown key "sya" in an action; did you mean "say"?',
    ),
    ("[[rule]]\ndo = [\n  { close = 1011 },\n  { say = 'b' },\n]", 3, "nothing can follow close"),
    ("[[rule]]\nsay = '{result}'", 2, "{result}: only a rule with result has a result"),
    ("[[rule]]\ntext = '(?P<name>a)'\nsay = 'Hi {nam}'", 3, '{nam}: no expression has this name; did you mean "name"?'),
]


@pytest.mark.parametrize(("text", "line", "words"), MISTAKES)
def test_mistake_is_told_with_its_line(text: str, line: int, words: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        script_of(tmp_path, text)
    told = str(raised.value)
    assert told.startswith(f"{tmp_path / 's.toml'}:{line}: ")
    assert words in told and "\n" not in told


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (None, "s.toml: No such file or directory"),
        (b"[[rule]]\n# \xff\n", "s.toml:2: not UTF-8 text"),
        (b"#" * (MAX_SCRIPT_BYTES + 1), "s.toml: larger than 1 MiB"),
        (b"a = " + b"[" * 100_000, "s.toml: nested too deeply"),
    ],
)
def test_file_that_is_no_script(data: bytes | None, words: str, tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(ConfigError) as raised:
        read_script(path)
    assert str(raised.value).endswith(words)
