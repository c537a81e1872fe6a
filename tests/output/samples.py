"""One event of each kind, with a text of the test's choice wherever text from outside goes."""

from gemini_live.audio.report import AudioReport
from gemini_live.conversation.outcomes import (
    Answered,
    LateWords,
    ModelSaid,
    QuestionComplete,
    Restarted,
    SpeechLost,
    Unfinished,
    UserSaid,
)
from gemini_live.output import events
from gemini_live.output.events import Event
from gemini_live.session.stats import Stats

NASTY = "".join(map(chr, (*range(0x20), *range(0x7F, 0xA0)))) + "\x1b[2J\x9b31m\x1b]0;title\x07\u202e\u2028\ud83d"
"""Every C0 and C1 control character, DEL, sequences made of them, an override, a separator, and half a character."""


STARTED = events.SessionStarted(
    model="gemini-x",
    voice="Puck",
    tools=["search", "f"],
    screen="screen 1 at 1 fps",
    sound=["microphone A", "speaker B"],
)
START_LINE = "gemini-x; voice Puck; tools: search, f; screen 1 at 1 fps; microphone A; speaker B"


def is_harmless(text: str) -> bool:
    """True if no terminal obeys anything of `text` except newlines and tabs, and it can be encoded."""
    text.encode()
    harmful = {*"\u2028\u2029\u202d\u202e", *map(chr, range(0x7F, 0xA0))}
    return all(character in "\n\t" or (character >= " " and character not in harmful) for character in text)


def sample_events(text: str) -> list[Event]:
    """Return a session in which every event comes, in an order in which they may come."""
    return [
        events.Connecting(1, text),
        events.SessionStarted(model=text, voice=text, tools=[text], screen=text, sound=[text], server=text),
        events.Asked(1, text, typed=False),
        UserSaid(1, text),
        QuestionComplete(1),
        events.Thought(1, text),
        ModelSaid(1, text),
        Restarted(1, text),
        ModelSaid(1, text),
        events.Silenced(),
        Answered(1, text, asked=True, cut_off=True, reason=text),
        LateWords(1, text),
        SpeechLost(2),
        events.Code(1, text, text),
        events.CodeResult(1, text, text),
        events.Sources(1, [text], [events.Source(text, text)]),
        events.ToolCall(1, text, text, {text: text, "list": [text]}),
        events.FunctionOutput(text),
        events.ToolResult(1, text, text, {text: text}, failed=True),
        events.ToolCancelled(1, text, text),
        events.Usage(prompt_by_modality={text: 1}),
        events.Status(text),
        events.Warning(text),
        events.Detail(text),
        events.Commanded(text),
        events.Reply(text),
        events.Stopped(2),
        Unfinished(2, text),
        events.Error(text),
        Stats(0.0).summary(1.0),
        AudioReport(text, 16_000, text, 24_000, -65.0, 0.1, -8.0, 35.0, 3.0, 0, text, text),
        events.SoundModeChanged("half duplex", -8.0, 3.5),
        events.SessionEnded(0),
    ]
