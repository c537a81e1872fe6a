"""Lists everything that the simulator can do wrong on demand, and tells which of it is due. Pure.

Longer than 300 lines: it is one table and its reader.
"""

import re
from dataclasses import dataclass
from enum import Enum
from random import Random

from gemini_live.errors import ConfigError

from .close_reasons import ABORTED, DEADLINE, ENTITY_NOT_FOUND, INTERNAL_ERROR, POLICY_VIOLATION


class Scope(Enum):
    """When a fault without a moment happens, and what a moment means to it."""

    HANDSHAKE = "at every connection"
    SETUP = "at every setup"
    MOMENT = "in the middle of every turn"
    TURN = "in every turn"
    STATE = "from the start of a session to its end"


@dataclass(frozen=True)
class FaultKind:
    """One row of the table."""

    name: str
    argument: str
    """What may follow the colon; empty: nothing."""
    default: str
    scope: Scope
    meaning: str


FAULT_KINDS: tuple[FaultKind, ...] = (
    FaultKind("refuse", "STATUS[:SECONDS]", "503", Scope.HANDSHAKE, "answers HTTP STATUS, with Retry-After: SECONDS"),
    FaultKind("hang", "", "", Scope.HANDSHAKE, "takes the connection and never answers the handshake"),
    FaultKind("no-setup-complete", "", "", Scope.SETUP, "never answers the setup"),
    FaultKind("slow-setup", "SECONDS", "3", Scope.SETUP, "answers the setup late"),
    FaultKind(
        "unknown-name",
        "FIELD",
        "outputAudioTranscription",
        Scope.SETUP,
        "closes with 1007 if the setup has FIELD, as a service that does not know it",
    ),
    FaultKind("stale-handle", "", "", Scope.SETUP, "closes with 1008 if the setup resumes a session"),
    FaultKind("poisoned-handle", "", "", Scope.SETUP, "closes with 1011 if the setup resumes a session, for ever"),
    FaultKind("refused-history-config", "", "", Scope.SETUP, "closes with 1007 if the setup has historyConfig"),
    FaultKind("lost-seed", "", "", Scope.SETUP, "resumes a session without the history that the client gave it"),
    FaultKind("close", "CODE[:REASON]", "1011", Scope.MOMENT, "closes with CODE; 1006 drops the connection"),
    FaultKind(
        "end",
        "CAUSE",
        "aborted",
        Scope.MOMENT,
        "closes with the service's words for CAUSE",
    ),
    FaultKind("reset", "", "", Scope.MOMENT, "resets the TCP connection"),
    FaultKind("error", "CODE[:MESSAGE]", "500", Scope.MOMENT, "sends a message with a top-level error"),
    FaultKind("flat-error", "CODE[:MESSAGE]", "500", Scope.MOMENT, "sends a message that is an error, code at the top"),
    FaultKind("go-away", "SECONDS", "5", Scope.MOMENT, "sends goAway and closes with 1008 after SECONDS"),
    FaultKind("stall", "SECONDS", "5", Scope.MOMENT, "sends nothing for SECONDS, then all at once"),
    FaultKind("malformed", "", "", Scope.MOMENT, "sends half a JSON message"),
    FaultKind("huge", "MEBIBYTES", "1.5", Scope.MOMENT, "sends a message of that size (a thought that nobody reads)"),
    FaultKind("interrupted", "", "", Scope.MOMENT, "cuts its answer off though nobody spoke, and ends the turn"),
    FaultKind("late-turn-complete", "SECONDS", "10", Scope.TURN, "sends turnComplete late"),
    FaultKind("no-turn-complete", "", "", Scope.TURN, "sends generationComplete, never turnComplete"),
    FaultKind("no-turn-end", "", "", Scope.TURN, "sends neither generationComplete nor turnComplete"),
    FaultKind("early-turn-complete", "", "", Scope.TURN, "sends turnComplete in mid-sentence, and another at the end"),
    FaultKind("empty-turn", "", "", Scope.TURN, "answers with turnComplete and nothing else"),
    FaultKind("empty-after-result", "", "", Scope.TURN, "sends an empty turn between a function result and its answer"),
    FaultKind("rejected", "", "", Scope.TURN, "answers with turnComplete and the reason RESPONSE_REJECTED"),
    FaultKind("no-answer", "", "", Scope.TURN, "does not answer at all, and lets the next question wait"),
    FaultKind("ignored-text", "", "", Scope.TURN, "ignores a question by realtimeInput.text"),
    FaultKind("late-words", "", "", Scope.TURN, "sends the last words of the transcript after turnComplete"),
    FaultKind("stray-text", "", "", Scope.TURN, "sends text that it does not speak, not marked as a thought"),
    FaultKind("repeated-sentence", "", "", Scope.TURN, "says its sentence three times"),
    FaultKind("near-silent", "", "", Scope.TURN, "speaks at near zero amplitude"),
    FaultKind(
        "filler-without-status", "", "", Scope.TURN, "extended thinking: ends the filler plainly and calls 2 s later"
    ),
    FaultKind("repeated-call", "", "", Scope.TURN, "makes a call again, with a new id, after its answer"),
    FaultKind("duplicate-call", "", "", Scope.TURN, "sends the tool call twice, with the same ids"),
    FaultKind("cancel-call", "SECONDS", "0", Scope.TURN, "cancels the tool call after SECONDS"),
    FaultKind("mute-resume", "", "", Scope.STATE, "transcribes in a resumed session and generates nothing"),
    FaultKind("many-parts", "", "", Scope.STATE, "sends up to three audio parts in a message"),
    FaultKind("silence", "", "", Scope.STATE, "sends nothing any more; the connection lives"),
    FaultKind("drip", "BYTES", "2000", Scope.STATE, "sends only BYTES a second, in fragments of a tenth of that"),
    FaultKind("slow-pong", "SECONDS", "10", Scope.STATE, "answers pings late"),
    FaultKind("no-pong", "", "", Scope.STATE, "does not answer pings"),
    FaultKind("text-frames", "", "", Scope.STATE, "sends text frames instead of binary ones"),
    FaultKind("unknown-fields", "", "", Scope.STATE, "adds fields that nobody knows to every message"),
    FaultKind("wrong-rate", "HZ", "16000", Scope.STATE, "speaks at another rate than 24 kHz, and says so"),
    FaultKind("odd-chunks", "", "", Scope.STATE, "cuts its audio at odd bytes, in the middle of samples"),
    FaultKind(
        "chaos",
        "RATE",
        "0.01",
        Scope.STATE,
        "before each message, with the probability RATE, one of the faults of a moment",
    ),
)

_BY_NAME = {kind.name: kind for kind in FAULT_KINDS}

CHAOS = ("close:1011", "reset", "stall:1", "malformed", "huge:1.2", "interrupted", "error:500")
"""What chaos chooses from: only what a client can survive."""

_CREDITS_DEPLETED = (
    "Your prepayment credits are depleted. Please go to AI Studio at https://ai.studio/projects to manage your project "
    "and billing."
)
END_CAUSES: dict[str, tuple[int, str]] = {
    "aborted": (POLICY_VIOLATION, ABORTED),
    "session-not-found": (POLICY_VIOLATION, "Session not found"),
    "not-found": (POLICY_VIOLATION, ENTITY_NOT_FOUND),
    "deadline": (INTERNAL_ERROR, DEADLINE),
    "unavailable": (INTERNAL_ERROR, "The service is currently unavailable."),
    "quota": (INTERNAL_ERROR, "You exceeded your current quota, please check your plan and billing details."),
    "credits": (INTERNAL_ERROR, _CREDITS_DEPLETED),
    "token-spent": (INTERNAL_ERROR, "Token has been used too many times"),
    "token-expired": (INTERNAL_ERROR, "Token has expired"),
}
"""The code and the words of the fault `end`, as users of the service reported them."""

_SPEC = re.compile(
    r"(?P<kind>[a-z-]+)(?::(?P<argument>.*?))?(?:@(?P<when>\d+(?:\.\d+)?s|turn\d+|message\d+))?(?:\*(?P<times>\d+))?",
    re.DOTALL,
)
_NUMBER = {"SECONDS": (0.0, 86_400.0), "BYTES": (10.0, 1e9), "MEBIBYTES": (0.0, 64.0), "RATE": (0.0, 1.0)}
_CLOSE_CODES = {1000, 1001, 1002, 1003, 1006, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014}


@dataclass(frozen=True)
class Moment:
    """Where in a session a fault is due; at most one is set."""

    elapsed_s: float | None = None
    turn: int | None = None
    message: int | None = None
    """A count of the messages that the server sent."""


@dataclass(frozen=True)
class Fault:
    """One --fault."""

    kind: FaultKind
    argument: str
    moment: Moment | None = None
    """None: as the scope of its kind says."""
    times: int | None = None
    """How often it happens in the life of the server; None: in every session."""

    @property
    def number(self) -> float:
        """The argument as a number: seconds, bytes, a status, a code, a rate."""
        return float(self.argument.partition(":")[0])

    @property
    def text(self) -> str:
        """What follows the number."""
        return self.argument.partition(":")[2]


_OF_THE_WIRE = {"silence", "drip", "slow-pong", "no-pong", "text-frames", "unknown-fields"}
_AT_A_MESSAGE = {"close", "end", "reset", "error", "flat-error", "stall", "malformed", "huge"}


def is_of_the_connection(fault: Fault) -> bool:
    """True if a fault concerns connections and messages, not what a model does: a replay can have it too."""
    if fault.kind.scope is Scope.HANDSHAKE or fault.kind.name in _OF_THE_WIRE:
        return True
    return fault.kind.name in _AT_A_MESSAGE and fault.moment is not None and fault.moment.turn is None


def parse_fault(spec: str) -> Fault:
    """Return the fault that `KIND[:ARG][@WHEN][*TIMES]` names.

    Raises:
        ConfigError: It names none.
    """
    match = _SPEC.fullmatch(spec)
    kind = _BY_NAME.get(match["kind"]) if match else None
    if match is None or kind is None:
        raise ConfigError(f"--fault {spec}: not KIND[:ARG][@WHEN][*TIMES] with a KIND of {', '.join(_BY_NAME)}")
    argument = match["argument"] if match["argument"] is not None else kind.default
    if argument and not kind.argument:
        raise ConfigError(f"--fault {spec}: {kind.name} takes no argument")
    _check_argument(spec, kind, argument)
    if match["when"] and kind.scope in (Scope.HANDSHAKE, Scope.SETUP):
        raise ConfigError(f"--fault {spec}: {kind.name} happens {kind.scope.value}, it takes no @WHEN (but *TIMES)")
    times = int(match["times"]) if match["times"] else None
    return Fault(kind, argument, _parse_moment(match["when"]), times)


def _parse_moment(when: str | None) -> Moment | None:
    if not when:
        return None
    if when.startswith("turn"):
        return Moment(turn=int(when.removeprefix("turn")))
    if when.startswith("message"):
        return Moment(message=int(when.removeprefix("message")))
    return Moment(elapsed_s=float(when.removesuffix("s")))


def _check_argument(spec: str, kind: FaultKind, argument: str) -> None:
    if not kind.argument or kind.argument == "FIELD":
        return
    if kind.argument == "CAUSE":
        if argument not in END_CAUSES:
            raise ConfigError(f"--fault {spec}: {argument!r} is not one of {', '.join(END_CAUSES)}")
        return
    first, _, rest = argument.partition(":")
    try:
        number = float(first)
    except ValueError:
        raise ConfigError(f"--fault {spec}: {first!r} is not a number") from None
    name = kind.argument.partition("[")[0]
    low, high = _NUMBER.get(name, (0.0, 1e9))
    wrong = not low <= number <= high
    if name == "STATUS":
        wrong = not 300 <= number <= 599 or not (rest == "" or rest.isdigit())
    elif kind.name == "close":
        wrong = number not in _CLOSE_CODES and not 3000 <= number <= 4999
    elif name in ("HZ", "CODE"):
        wrong = not 100 <= number <= 192_000 or not number.is_integer()
    if wrong:
        raise ConfigError(f"--fault {spec}: {argument!r} is out of range for {kind.argument}")


class FaultPlan:
    """The faults of a server, and how often each has happened."""

    def __init__(self, faults: tuple[Fault, ...], seed: int) -> None:
        self.faults = faults
        self.seed = seed
        self._counts = [0] * len(faults)

    def take(self, name: str) -> Fault | None:
        """Return the fault of that name if it is to happen now, at a connection or a setup, and count it."""
        return next((fault for i, fault in enumerate(self.faults) if fault.kind.name == name and self.spend(i)), None)

    def spend(self, index: int) -> bool:
        """Count one more happening of a fault; False where it has happened as often as it may."""
        times = self.faults[index].times
        if times is not None and self._counts[index] >= times:
            return False
        self._counts[index] += 1
        return True


class SessionFaults:
    """Which faults are due in one session."""

    def __init__(self, plan: FaultPlan, session: int) -> None:
        self._plan = plan
        self._random = Random(f"chaos {plan.seed} {session}")
        self.elapsed_s = 0.0
        self.turn = 0
        self.n_sent = 0
        self._spent: set[int] = set()
        self._last_turn: dict[int, int] = {}
        self._states: dict[str, Fault] = {}

    def __bool__(self) -> bool:
        return bool(self._plan.faults)

    @property
    def timed(self) -> list[float]:
        """Seconds after which something is due by the clock."""
        moments = [fault.moment.elapsed_s for fault in self._plan.faults if fault.moment]
        return [elapsed_s for elapsed_s in moments if elapsed_s is not None]

    def at_turn(self, name: str) -> Fault | None:
        """Return the fault of that name if this turn has it."""
        for i, fault in enumerate(self._plan.faults):
            if fault.kind.name == name and self._is_due(i, fault, by_turn=True):
                return fault
        return None

    def moments(self, *, by_turn: bool) -> list[Fault]:
        """Return what is due at this moment, or in the middle of this turn."""
        return [
            fault
            for i, fault in enumerate(self._plan.faults)
            if fault.kind.scope is Scope.MOMENT and self._is_due(i, fault, by_turn=by_turn)
        ]

    def state(self, name: str) -> Fault | None:
        """Return the fault of that name if it has begun."""
        if name not in self._states:
            for i, fault in enumerate(self._plan.faults):
                if fault.kind.name == name and self._is_due(i, fault, by_turn=True, state=True):
                    self._states[name] = fault
        return self._states.get(name)

    def chaos(self) -> Fault | None:
        """Return what chaos does before the next message, if anything."""
        chaos = self.state("chaos")
        if chaos is None or self._random.random() >= chaos.number:
            return None
        return parse_fault(self._random.choice(CHAOS))

    def _is_due(self, index: int, fault: Fault, *, by_turn: bool, state: bool = False) -> bool:
        moment = fault.moment
        if moment is None:
            # In every turn once; a state from the start on.
            due = state or (by_turn and self._last_turn.get(index) != self.turn)
        elif index in self._spent:
            return False
        elif moment.turn is not None:
            due = by_turn and self.turn >= moment.turn
        elif moment.message is not None:
            due = self.n_sent + 1 >= moment.message
        else:
            due = moment.elapsed_s is not None and self.elapsed_s >= moment.elapsed_s
        if not due or not self._plan.spend(index):
            return False
        self._last_turn[index] = self.turn
        self._spent.add(index)
        return True
