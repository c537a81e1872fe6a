"""What can go wrong, as exceptions that carry facts, and the exit code that each stands for.

    GeminiLiveError
    +-- ConfigError (2)              a wrong option, key, file, or a missing extra
    |   +-- FunctionDeclarationError a functions file that cannot be offered to the model
    +-- DeviceError (3)              sound or screen that was demanded and is not there
    +-- ConnectionFailed (4)         no session came about
    +-- SessionClosed (4)            the service ended the session
    +-- ProtocolError                a message from the server that cannot be understood; never ends a session

Each `str()` is one line for the user: what happened, the likely cause, what to do. Anything else that escapes is a bug.
"""

from dataclasses import dataclass
from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes of the command."""

    DONE = 0
    BUG = 1
    USAGE = 2
    DEVICE = 3
    SESSION = 4
    TIMEOUT = 124
    HANGUP = 129
    INTERRUPTED = 130
    CLOSED_STDOUT = 141
    TERMINATED = 143


EXIT_CODE_MEANINGS: dict[ExitCode, str] = {
    ExitCode.DONE: "done: all that was asked is answered and played (or --turns reached)",
    ExitCode.BUG: "a bug in gemini-live; its traceback is printed",
    ExitCode.USAGE: "usage or configuration: an option, the key, a file, a missing extra",
    ExitCode.DEVICE: "an audio device or the screen was asked for and is not there",
    ExitCode.SESSION: "the connection or the session failed; the server's words are printed",
    ExitCode.TIMEOUT: "--timeout ran out",
    ExitCode.HANGUP: "SIGHUP: the terminal was closed",
    ExitCode.INTERRUPTED: "Ctrl-C",
    ExitCode.CLOSED_STDOUT: "whoever read stdout closed it",
    ExitCode.TERMINATED: "SIGTERM",
}


class GeminiLiveError(Exception):
    """Root of every error that a user can cause or meet."""

    exit_code = ExitCode.BUG


class ConfigError(GeminiLiveError):
    """What the user asked for cannot be done as it was asked."""

    exit_code = ExitCode.USAGE


class MissingExtraError(ConfigError):
    """An option needs a part of gemini-live that is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(what, extra)
        self.what, self.extra = what, extra

    def __str__(self) -> str:
        return f"{self.what} needs a part that is not installed: pip install 'gemini-live[{self.extra}]'"


class FunctionDeclarationError(ConfigError):
    """A functions file, or a function in it, cannot be offered to the model."""

    def __init__(self, file: str, line: int | None, reason: str) -> None:
        super().__init__(file, line, reason)
        self.file, self.line, self.reason = file, line, reason

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.reason}"


class DeviceError(GeminiLiveError):
    """A sound device or the screen that the user demanded is missing or refuses."""

    exit_code = ExitCode.DEVICE


class ProtocolError(GeminiLiveError):
    """A message from the server that is not what the protocol says; it is skipped, and the session goes on."""


@dataclass(frozen=True)
class Cause:
    """Why the service refuses or ends a session, and what to do about it."""

    code: int
    """WebSocket close code, or HTTP status of a refused handshake."""
    words: str
    """Part of the server's reason, in lower case; empty matches any."""
    cause: str
    advice: str


CAUSES: tuple[Cause, ...] = (
    Cause(1000, "", "the server ended the session politely", "start it again"),
    Cause(1001, "", "the server is going away", "try again"),
    Cause(1002, "", "one side broke the protocol, or something between them broke its bytes", "try again"),
    Cause(1003, "", "the server does not take this kind of data", "check --base-url and --model"),
    Cause(1005, "", "the server ended the session without a reason", "start it again"),
    Cause(1006, "", "the connection was lost without a close", "check the network and try again"),
    Cause(1007, "api key not valid", "the API key is wrong", "check GOOGLE_API_KEY or GEMINI_API_KEY"),
    Cause(1007, "precondition check failed", "the model does not take the setup as it is", "check --setup and --model"),
    Cause(1007, "api key expired", "the API key has expired", "make a new one at https://aistudio.google.com/apikey"),
    Cause(
        1007,
        'unknown name "outputaudiotranscription"',
        "the service does not write down what the model says",
        "leave out --text-output and listen, or choose a --model that answers in text",
    ),
    Cause(
        1007,
        "unknown name",
        "the service does not know a field of the setup",
        "check --setup, or try another --api-version",
    ),
    Cause(
        1007,
        "response modalities",
        "the model does not answer in that modality",
        "leave responseModalities out of --setup, or choose another --model",
    ),
    Cause(
        1007,
        "user location",
        "the Gemini API is not offered where you are",
        "see https://ai.google.dev/gemini-api/docs/available-regions",
    ),
    Cause(
        1007,
        "",
        "the service found a field or a value that it does not take, or the context is full",
        "check the options and --setup; leave context compression on",
    ),
    Cause(
        1008,
        "not found for api version",
        "the model is unknown, retired, or not offered on the Live API",
        "choose another --model, or another --api-version",
    ),
    Cause(
        1008,
        "not implemented",
        "the model lacks something that was asked of it",
        "leave the option out, or choose another --model",
    ),
    Cause(1008, "requested entity was not found", "the session to resume is gone", "start a new one"),
    Cause(1008, "not found", "the model is not offered at this address", "choose another --model, or check --base-url"),
    Cause(1008, "deadline", "the connection reached the end of its life", "start it again"),
    Cause(1008, "aborted", "the service broke off, and does not say why", "try again"),
    Cause(1008, "", "the service refused to go on", "start it again"),
    Cause(1009, "", "a message was too large", "use a smaller --screen-size or a shorter line"),
    Cause(
        1011,
        "quota",
        "the quota of this key is used up",
        "wait, or see https://ai.google.dev/gemini-api/docs/rate-limits",
    ),
    Cause(1011, "overloaded", "the service is overloaded", "try again in a while"),
    Cause(1011, "deadline", "the connection reached the end of its life", "start it again"),
    Cause(1011, "unavailable", "the service is not available", "try again in a while"),
    Cause(1011, "keepalive", "the network or the server did not answer in time", "check the network and try again"),
    Cause(1011, "", "the service failed", "try again"),
    Cause(1012, "", "the server restarts", "try again"),
    Cause(1013, "", "the service is overloaded", "try again in a while"),
    Cause(400, "", "the service did not take the request", "check --base-url, --api-version and the key"),
    Cause(401, "", "the API key or token is not accepted", "check GOOGLE_API_KEY or GEMINI_API_KEY"),
    Cause(403, "", "the key may not use this API", "enable the Gemini API for its project, or use another key"),
    Cause(404, "", "there is no Live API at that address", "check --base-url and --api-version"),
    Cause(407, "", "the proxy wants a user name and a password", "put them into HTTPS_PROXY"),
    Cause(408, "", "the server took too long", "try again"),
    Cause(
        429,
        "",
        "too many requests, or the quota is used up",
        "wait, or see https://ai.google.dev/gemini-api/docs/rate-limits",
    ),
    Cause(500, "", "the service failed", "try again"),
    Cause(502, "", "a gateway before the service failed", "try again"),
    Cause(503, "", "the service is not available", "try again"),
    Cause(504, "", "a gateway before the service timed out", "try again"),
)
"""The first row that fits explains a failure. The README's table is made of it."""


def explain(code: int, reason: str) -> Cause | None:
    """Return the row that fits a close code or an HTTP status and the server's words, if any does."""
    words = reason.lower()
    return next((cause for cause in CAUSES if cause.code == code and cause.words in words), None)


def _sentence(what: str, code: int, reason: str) -> str:
    said = f": {reason}" if reason else ""
    cause = explain(code, reason)
    if cause is None:
        return f"{what}{said}"
    return f"{what}{said} (likely cause: {cause.cause}; {cause.advice})"


class ConnectionFailed(GeminiLiveError):
    """No session came about: the network, the handshake, or an answer that is none."""

    exit_code = ExitCode.SESSION

    def __init__(
        self,
        reason: str,
        *,
        http_status: int | None = None,
        retry_after_s: float | None = None,
        opened: bool = False,
        transient: bool = False,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.http_status = http_status
        self.retry_after_s = retry_after_s
        """What the server's Retry-After header asked for, in seconds."""
        self.opened = opened
        """Whether there was a WebSocket, but no session."""
        self.transient = transient
        """Whether another try may succeed."""

    @property
    def summary(self) -> str:
        """What happened, without its cause and what to do."""
        said = f"HTTP {self.http_status} {self.reason}".strip() if self.http_status else self.reason
        return f"no connection ({said})"

    def __str__(self) -> str:
        if self.http_status is None:
            return f"could not connect: {self.reason}"
        wait = "" if self.retry_after_s is None else f" and asks to wait {self.retry_after_s:.0f} s"
        return _sentence(
            f"could not connect: the server answered HTTP {self.http_status}{wait}", self.http_status, self.reason
        )


class SessionClosed(GeminiLiveError):
    """The server closed the session, or the connection was lost."""

    exit_code = ExitCode.SESSION

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        """WebSocket close code; 1006 where there was no close frame."""
        self.reason = reason
        """The server's own words."""

    @property
    def summary(self) -> str:
        """What happened, without its cause and what to do."""
        # 1006 stands for no code at all.
        said = f"{self.code if self.code != 1006 else ''} {self.reason}".strip()
        return f"connection lost ({said})" if said else "connection lost"

    def __str__(self) -> str:
        return _sentence(f"the session was closed with code {self.code}", self.code, self.reason)
