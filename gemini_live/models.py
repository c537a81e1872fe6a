"""Describes each model of the Live API as data: what a client may ask for, and how the service behaves.

`ModelCapabilities` holds what Google's model pages and the SDKs say as of November 2026: the client builds its requests
and its warnings from it. `ObservedBehavior` holds what recordings and probes of the service show, each fact with its
source: client and simulator act on it. The server has the last word. Pure. Longer than 300 lines: it is one table.
"""

from dataclasses import replace
from enum import StrEnum

from .frozen import Frozen

# fmt: off
VOICES = (
    "Achernar", "Achird", "Algenib", "Algieba", "Alnilam", "Aoede",
    "Autonoe", "Callirrhoe", "Charon", "Despina", "Enceladus", "Erinome",
    "Fenrir", "Gacrux", "Iapetus", "Kore", "Laomedeia", "Leda",
    "Orus", "Puck", "Pulcherrima", "Rasalgethi", "Sadachbia", "Sadaltager",
    "Schedar", "Sulafat", "Umbriel", "Vindemiatrix", "Zephyr", "Zubenelgenubi",
)
# fmt: on
"""The prebuilt voices. The service may know others: a name outside this list is worth a warning, no more."""


class Modality(StrEnum):
    """What a model answers in."""

    AUDIO = "AUDIO"
    TEXT = "TEXT"


class TypedTurn(StrEnum):
    """How a line that the user typed is sent."""

    REALTIME_TEXT = "realtimeInput.text"
    CLIENT_CONTENT = "clientContent"
    NOT_SUPPORTED = "not supported"


class History(StrEnum):
    """How an earlier conversation is given to a new session."""

    HISTORY_CONFIG = "clientContent announced by historyConfig"
    CLIENT_CONTENT = "clientContent"
    NOT_SUPPORTED = "not supported"


class Thinking(StrEnum):
    """Which field of thinkingConfig a model takes."""

    NONE = "none"
    LEVEL = "thinkingLevel"
    BUDGET = "thinkingBudget"


class Behavior(StrEnum):
    """Whether the model waits for a function's result."""

    BLOCKING = "BLOCKING"
    NON_BLOCKING = "NON_BLOCKING"


class StreamEnd(StrEnum):
    """What `audioStreamEnd` does to an utterance that is still open."""

    ENDS_TURN = "ends the turn"
    ENDS_NOTHING = "ends nothing"


class UserTranscript(StrEnum):
    """How the transcript of the user's speech arrives."""

    WHOLE = "one message at the end of the speech"
    DELTAS = "pieces during the speech, broken inside words"


class EmptyMessages(StrEnum):
    """Which messages without content the service sends."""

    NONE = "none"
    CONTENT = "serverContent: {}"
    BARE = "serverContent: {}, and {} before nearly every other message of an answer"


class Handles(StrEnum):
    """When the service sends a handle for resuming the session."""

    AT_SETUP = "one, unasked, right after setupComplete"
    WHILE_RUNNING = "unasked, after a function response and while the microphone streams"
    IF_ASKED = "if asked for, after setupComplete and after each turn"


class Coverage(StrEnum):
    """What a session that resumes with a handle knows."""

    EVERYTHING = "all that the service had received when the connection ended"
    SNAPSHOT = "what was said before the service sent the handle"


class MidAnswer(StrEnum):
    """What clientContent and toolResponse do to an answer in progress."""

    CUT = "end it"
    CUT_AND_CANCEL = "end it and cancel its open calls"
    WAIT = "wait for its end"


class StaleCalls(StrEnum):
    """What the calls that were open when a connection dropped do to the session that resumes."""

    SWALLOW_AN_INPUT = "the next input, or error answers to all of them, bring an empty turn"
    MUTE = "an answer to one of them silences the session"
    IGNORED = "answers to them are ignored"


class UnansweredCall(StrEnum):
    """What a new input does while a blocking call is not answered."""

    CANCELLED = "cancels the call"
    REPEATED = "makes the model call again"
    BLOCKS = "stays unanswered"


class AffectiveDialog(StrEnum):
    """What becomes of `enableAffectiveDialog: true`."""

    TAKEN = "accepted on v1alpha"
    REFUSED = "refused at the setup"
    CLOSES_AT_FIRST_INPUT = "accepted, and the session closes at the first input"


class CallId(StrEnum):
    """How the id of a function call begins."""

    FC = "fc_"
    CALL = "call_"
    CALL_FC = "call_N_fc_"
    FUNCTION_CALL = "function-call-"


class ObservedBehavior(Frozen, kw_only=True):
    """How the service behaves with one model, as recordings and dated probes show; the defaults are those of 3.8."""

    stream_end: StreamEnd = StreamEnd.ENDS_NOTHING
    """OpenClaw's raw tap, 19-21 Sep 2026. An open utterance merges with the next one."""
    user_transcript: UserTranscript = UserTranscript.WHOLE
    """pydantic-ai's recordings, Aug-Oct 2026."""
    transcribes_unasked: bool = True
    """True if the user's transcript comes without `inputAudioTranscription`. pydantic-ai's recordings, Aug 2026."""
    voice_activity: bool = True
    """True if speech is announced by `voiceActivity`. pydantic-ai's recordings, Aug 2026; missing in one of them."""
    empty_messages: EmptyMessages = EmptyMessages.BARE
    """pydantic-ai's recordings, Aug-Oct 2026."""
    handles: Handles = Handles.AT_SETUP
    """pydantic-ai's recordings, Aug-Oct 2026: 1 to 27 ms after setupComplete, none later."""
    handle_covers: Coverage = Coverage.EVERYTHING
    """A LiveKit fork's measurements and pydantic-ai's probes, Oct 2026."""
    settles_s: float = 1.0
    """Time after audio during which a resume is closed with 1011; the same handle works later. The client waits for
    so long before it resumes. A LiveKit fork's measurements, Oct 2026: "a moment"."""
    mid_answer: MidAnswer = MidAnswer.CUT
    """pydantic-ai's probes, 19 and 20 Oct 2026."""
    unset_behavior: Behavior = Behavior.NON_BLOCKING
    """What a declaration without `behavior` means. pydantic-ai's probe, 16 Sep 2026."""
    stale_calls: StaleCalls = StaleCalls.SWALLOW_AN_INPUT
    """pydantic-ai's probes, Sep-Oct 2026. Owed again at each resume until a handle is newer than the answer."""
    unanswered_call: UnansweredCall = UnansweredCall.REPEATED
    """pydantic-ai's probes, Sep-Oct 2026."""
    speaks_during_calls: bool = False
    """True if a turn with a NON_BLOCKING call goes on to speak. 3.8 ends it within 20 ms of the call and answers the
    result in a turn of its own (pydantic-ai's probe, 16 Sep, and recordings, Oct 2026)."""
    non_blocking_waits: bool = False
    """True if the model stays silent until the result of a NON_BLOCKING call. pydantic-ai's probes, Oct 2026."""
    takes_scheduling: bool = True
    """pydantic-ai's probes, Oct 2026."""
    takes_progress: bool = True
    """True if a NON_BLOCKING call may be answered bit by bit (`willContinue`). Google's reference, Nov 2026; the last
    answer must not say that more follows, or the call stays open (Pipecat's source, 2026)."""
    sees_result_pictures: bool = True
    """True if the model sees PNG, JPEG and WebP pictures in a result's `parts`. pydantic-ai's probes, 28 Sep 2026."""
    call_id: CallId = CallId.FC
    """Of a BLOCKING call. pydantic-ai's recordings, Aug-Oct 2026."""
    async_call_id: CallId = CallId.CALL
    """Of a NON_BLOCKING call. pydantic-ai's recordings, Oct 2026."""
    reads_json_schema: bool = True
    """True if `parametersJsonSchema` reaches the model. livekit/agents#7302, Oct 2026."""
    takes_json_schema: bool = True
    """True if a setup with `parametersJsonSchema` is accepted. livekit/agents#7302, Oct 2026."""
    requires_role: bool = True
    """True if each Content must name its role. livekit-plugins-google 1.8.9."""
    takes_history_config: bool = True
    """pydantic-ai's recordings, Oct 2026."""
    seeds_audio: bool = True
    """True if earlier turns may hold sound. pydantic-ai's probes, 28 Sep 2026."""
    seeds_functions: bool = True
    """True if earlier turns may hold function calls and results. pydantic-ai's probes, 28 Sep 2026."""
    media_chunks: bool = True
    """True if the deprecated `realtimeInput.mediaChunks` is accepted; 3.8 does not read them. mastra, Oct 2026."""
    typed_turn_sees_frames: bool = False
    """True if a typed turn sees the frames sent by realtimeInput. pydantic-ai's probes, 25 Sep and 27 Oct 2026: no
    model does; an image part inside the turn is seen."""
    echoes_typed_text: bool = False
    """True if `realtimeInput.text` comes back as the user's transcript. Voiceclaw in production, Jun 2026 (3.1)."""
    thinks_unasked: bool = False
    """True if thought parts come without `includeThoughts`. pydantic-ai's recordings, Aug 2026 (2.5)."""
    affective_dialog: AffectiveDialog = AffectiveDialog.CLOSES_AT_FIRST_INPUT
    """pydantic-ai's probes, 25 Sep 2026."""
    ignores_code_execution: bool = False
    """True if `codeExecution` is accepted and does nothing. pydantic-ai's probes, Sep 2026 (3.1)."""
    role_in_model_turn: bool = True
    """True if modelTurn names its role. pydantic-ai's recordings, Aug-Oct 2026."""
    transcript_in_audio: bool = True
    """True if the answer's transcript rides in the messages with its sound. pydantic-ai's recordings, Aug-Oct 2026."""
    words_a_piece: tuple[int, int] = (2, 4)
    """Fewest and most words in one piece of the answer's transcript. pydantic-ai's recordings, Aug-Oct 2026."""
    audio_message_s: float = 0.2
    """Sound in one message, about. pydantic-ai's recordings, Aug-Oct 2026."""
    tiny_first_part: float = 0.25
    """Share of the answers whose first audio part is 2 bytes. pydantic-ai's recordings, Aug-Oct 2026."""
    words_trail_s: float = 0.13
    """How long words of the answer are awaited after `turnComplete`. On 3.x they ride in the messages with sound, and
    none came after `turnComplete` (pydantic-ai's recordings, Aug-Oct 2026)."""
    loses_seeded_history: bool = True
    """True if a session that was told the conversation may have lost it when it is resumed. livekit/agents-js#2507,
    15 Sep 2026: in two of three runs."""
    writes_text_as_transcript: bool = False
    """True if an answer in TEXT arrives as outputTranscription. pydantic-ai's probe, 22 Oct 2026 (robotics-er-2)."""


_OBSERVED_3_8 = ObservedBehavior()
_OBSERVED_THINKING = replace(
    _OBSERVED_3_8,
    async_call_id=CallId.CALL_FC,  # pydantic-ai's recording, Oct 2026
    takes_scheduling=False,  # pydantic-ai's probes, Oct 2026: 1007
    takes_progress=False,  # OpenClaw's probes, Sep 2026: the last answer is never spoken
    takes_json_schema=False,  # aiden-firmware, 2026
)
_OBSERVED_3_1 = replace(
    _OBSERVED_3_8,
    stream_end=StreamEnd.ENDS_TURN,  # OpenClaw's raw tap, 19-21 Sep 2026
    empty_messages=EmptyMessages.CONTENT,  # pydantic-ai's recordings, Aug-Oct 2026
    handles=Handles.WHILE_RUNNING,  # the same: first 0.33 to 0.37 s after a toolResponse, or in a spoken answer
    handle_covers=Coverage.SNAPSHOT,  # the same LiveKit fork, Oct 2026
    settles_s=0.0,  # not known
    mid_answer=MidAnswer.CUT_AND_CANCEL,  # pydantic-ai's probes, 19 and 20 Oct 2026
    unset_behavior=Behavior.BLOCKING,  # pydantic-ai's recordings, Oct 2026
    stale_calls=StaleCalls.MUTE,  # pipecat#5497, 30 Aug 2026
    unanswered_call=UnansweredCall.CANCELLED,  # pydantic-ai's probes, Oct 2026
    non_blocking_waits=True,  # the same
    takes_progress=False,  # the same: it stays silent until the result
    async_call_id=CallId.FC,  # pydantic-ai's recordings, Oct 2026
    media_chunks=False,  # sokuji, 2026: the session is closed
    echoes_typed_text=True,  # voiceclaw in production, Jun 2026
    affective_dialog=AffectiveDialog.REFUSED,  # pydantic-ai's probes, 25 Sep 2026
    ignores_code_execution=True,  # the same
    loses_seeded_history=False,  # no report
    role_in_model_turn=False,  # pydantic-ai's recordings, Aug-Oct 2026
    words_a_piece=(1, 2),  # the same
    audio_message_s=0.16,  # the same
    tiny_first_part=0.75,  # the same
)
_OBSERVED_2_5 = replace(
    _OBSERVED_3_8,
    stream_end=StreamEnd.ENDS_TURN,  # Google's documentation, Nov 2026
    user_transcript=UserTranscript.DELTAS,  # pydantic-ai's recordings, Aug-Oct 2026
    transcribes_unasked=False,  # the same
    voice_activity=False,  # the same
    empty_messages=EmptyMessages.NONE,  # the same
    handles=Handles.IF_ASKED,  # the same
    handle_covers=Coverage.SNAPSHOT,  # pydantic-ai's probes, Oct 2026: withheld while a typed turn runs
    settles_s=0.0,  # not known
    mid_answer=MidAnswer.WAIT,  # pydantic-ai's probes, 19 and 20 Oct 2026
    unset_behavior=Behavior.BLOCKING,  # pydantic-ai's recordings, Aug 2026
    stale_calls=StaleCalls.IGNORED,  # pydantic-ai's probes, Oct 2026
    unanswered_call=UnansweredCall.BLOCKS,  # the same
    speaks_during_calls=True,  # pydantic-ai's recordings, Aug 2026
    sees_result_pictures=False,  # pydantic-ai's probes, 28 Sep 2026: it guesses what they show
    call_id=CallId.FUNCTION_CALL,  # the same
    async_call_id=CallId.FUNCTION_CALL,
    reads_json_schema=False,  # python-genai#1147, livekit/agents#2940: empty arguments
    requires_role=False,  # js-genai's recordings, Aug 2026
    takes_history_config=False,  # pipecat 1.14: the seed is never answered
    seeds_audio=False,  # pydantic-ai's probes, 28 Sep 2026: 1007
    seeds_functions=False,  # the same
    thinks_unasked=True,  # pydantic-ai's recordings, Aug 2026
    affective_dialog=AffectiveDialog.TAKEN,  # pydantic-ai's probes, 25 Sep 2026
    role_in_model_turn=False,  # pydantic-ai's recordings, Aug 2026
    transcript_in_audio=False,  # the same
    words_trail_s=0.5,  # words have messages of their own; a LiveKit plugin of 2025 reports some after turnComplete
    loses_seeded_history=False,  # no report
    words_a_piece=(1, 2),  # the same
    audio_message_s=0.04,  # the same
    tiny_first_part=0.0,  # the same
)
_OBSERVED_ROBOTICS = replace(
    _OBSERVED_3_8,
    unset_behavior=Behavior.BLOCKING,  # Google's robotics guide, Nov 2026: physical actions are BLOCKING
    empty_messages=EmptyMessages.NONE,  # not known
    voice_activity=False,  # not known
    writes_text_as_transcript=True,  # pydantic-ai's probe, 22 Oct 2026
)
_OBSERVED_INTERPRETER = replace(
    _OBSERVED_2_5,
    stream_end=StreamEnd.ENDS_TURN,  # livekit-plugins-google 1.8.9: final words 0.25 to 0.28 s later
    user_transcript=UserTranscript.WHOLE,  # the same
    transcribes_unasked=True,  # the same
    thinks_unasked=False,
    words_trail_s=1.0,  # final words come up to 0.28 s after the end of the stream (livekit-plugins-google 1.8.9)
)


class ModelCapabilities(Frozen, kw_only=True):
    """One row of the table: what a model takes and gives."""

    output: tuple[Modality, ...] = (Modality.AUDIO,)
    typed_turn: TypedTurn = TypedTurn.REALTIME_TEXT
    repeated_turn: TypedTurn = TypedTurn.CLIENT_CONTENT
    """How a line is sent once more, on the same connection, because nothing came of it."""
    history: History = History.HISTORY_CONFIG
    thinking: Thinking = Thinking.NONE
    required_thinking_level: str | None = None
    """Sent where the model insists on a level; `--setup` may name another."""
    behaviors: tuple[Behavior, ...] = (Behavior.BLOCKING, Behavior.NON_BLOCKING)
    """Which a function declaration may name; empty: the model calls no functions."""
    declares_behavior: bool = True
    """Whether declarations may carry the `behavior` field at all."""
    search: bool = True
    code_execution: bool = False
    video_input: bool = True
    system_instruction: bool = True
    speech_config: bool = True
    transcription: bool = True
    """Whether the session's transcription fields may be set."""
    translates: bool = False
    """Whether the model wants `translationConfig`."""
    hears_during_calls: bool = True
    """Whether audio may be sent while a function call is open; a session is closed for it otherwise."""
    transcript_is_answer: bool = False
    """Whether the model's product is the transcript of what it hears."""
    interaction_status: bool = False
    """Whether a turn ends by `interactionStatus`: filler speech completes a generation, not the answer."""
    ends_turns: bool = True
    """False if no `turnComplete` is to be expected: quiet ends an answer. interpretab's notes on translate, 2026."""

    observed: ObservedBehavior = _OBSERVED_3_8
    """How the service behaves with this model."""

    def modality(self, *, text_only: bool) -> Modality:
        """Return what to ask the model to answer in: text where it can and only text is wanted, else speech."""
        if Modality.AUDIO not in self.output or (text_only and Modality.TEXT in self.output):
            return Modality.TEXT
        return Modality.AUDIO


_LIVE_3_8 = ModelCapabilities()
_LIVE_2_5 = ModelCapabilities(
    typed_turn=TypedTurn.CLIENT_CONTENT,
    history=History.CLIENT_CONTENT,
    thinking=Thinking.BUDGET,
    hears_during_calls=False,
    observed=_OBSERVED_2_5,
)

MODELS: dict[str, ModelCapabilities] = {
    "gemini-3.8-live": _LIVE_3_8,
    "gemini-3.8-live-extended-thinking": ModelCapabilities(
        thinking=Thinking.LEVEL,
        required_thinking_level="LOW",
        behaviors=(Behavior.NON_BLOCKING,),
        interaction_status=True,
        observed=_OBSERVED_THINKING,
    ),
    "gemini-3.1-flash-live-preview": ModelCapabilities(
        repeated_turn=TypedTurn.REALTIME_TEXT,  # a turn of clientContent closed sessions until Jun 2026 (livekit#5238)
        thinking=Thinking.LEVEL,
        behaviors=(Behavior.BLOCKING,),
        declares_behavior=False,
        observed=_OBSERVED_3_1,
    ),
    "gemini-2.5-flash-native-audio-preview-12-2025": _LIVE_2_5,
    "gemini-2.5-flash-native-audio-latest": _LIVE_2_5,
    "gemini-robotics-er-2-streaming-preview": ModelCapabilities(
        output=(Modality.TEXT,), thinking=Thinking.LEVEL, speech_config=False, observed=_OBSERVED_ROBOTICS
    ),
    "gemini-3.5-live-translate-preview": ModelCapabilities(
        typed_turn=TypedTurn.NOT_SUPPORTED,
        history=History.NOT_SUPPORTED,
        behaviors=(),
        search=False,
        video_input=False,
        system_instruction=False,
        translates=True,
        ends_turns=False,
        observed=_OBSERVED_INTERPRETER,
    ),
    "gemini-3.5-transcribe-live": ModelCapabilities(
        output=(Modality.TEXT,),
        typed_turn=TypedTurn.NOT_SUPPORTED,
        history=History.NOT_SUPPORTED,
        behaviors=(),
        search=False,
        video_input=False,
        system_instruction=False,
        speech_config=False,
        transcript_is_answer=True,
        observed=_OBSERVED_INTERPRETER,
    ),
}


def capabilities_of(model: str) -> ModelCapabilities:
    """Return the row of `model` (with or without `models/`); an unknown model gets that of 3.8."""
    return MODELS.get(model.removeprefix("models/"), _LIVE_3_8)
