"""What can go wrong: exceptions that carry facts, the exit code of each, and the table that explains a failure.

    GeminiLiveError
    +-- ConfigError (2)              a wrong option, key, file, or a missing extra
    |   +-- FileContentError         a file of the user's that says something wrong, and where
    |       +-- FunctionDeclarationError  a functions file that cannot be offered to the model
    |       +-- RecordingError       a recording that cannot be read or written
    +-- DeviceError (3)              sound or screen that was asked for and is missing
    +-- ConnectionFailed (4)         no session could be opened
    +-- SessionClosed (4)            the service closed the session
    +-- NotAnsweredError (4)         the session ended well, but a question was not answered
    +-- ProtocolError                a message from the server that cannot be parsed; never ends a session

Each `str()` is one line for the user: what happened, the likely cause, what to do. Any other exception is a bug. The
file is long because of its table.
"""

from enum import IntEnum

from .frozen import Frozen


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
    ExitCode.DONE: "done: everything asked was answered and played (or --turns was reached)",
    ExitCode.BUG: "a bug in gemini-live; the traceback is printed",
    ExitCode.USAGE: "wrong usage or configuration: an option, the key, a file, a missing extra",
    ExitCode.DEVICE: "an audio device or the screen was asked for and is missing",
    ExitCode.SESSION: "the connection or session failed, or a question was not answered",
    ExitCode.TIMEOUT: "timed out (--timeout)",
    ExitCode.HANGUP: "the terminal was closed (SIGHUP)",
    ExitCode.INTERRUPTED: "interrupted (Ctrl-C)",
    ExitCode.CLOSED_STDOUT: "the reader of stdout closed it (SIGPIPE)",
    ExitCode.TERMINATED: "terminated (SIGTERM)",
}


class GeminiLiveError(Exception):
    """Base class of every error that a user can cause or meet."""

    exit_code = ExitCode.BUG


class ConfigError(GeminiLiveError):
    """The options, the environment or a file are wrong."""

    exit_code = ExitCode.USAGE


class MissingExtraError(ConfigError):
    """An option needs an extra that is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(what, extra)
        self.what, self.extra = what, extra

    def __str__(self) -> str:
        return f"{self.what} needs a part that is not installed: pip install 'gemini-live[{self.extra}]'"


class FileContentError(ConfigError):
    """A file that the user named says something wrong, at a line if that is known."""

    def __init__(self, file: str, line: int | None, reason: str) -> None:
        super().__init__(file, line, reason)
        self.file, self.line, self.reason = file, line, reason

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.reason}"


class FunctionDeclarationError(FileContentError):
    """A functions file, or a function in it, cannot be declared to the model."""


class RecordingError(FileContentError):
    """A recording cannot be read or written."""


class DeviceError(GeminiLiveError):
    """A sound device or the screen that the user asked for is missing or fails."""

    exit_code = ExitCode.DEVICE


class ProtocolError(GeminiLiveError):
    """A message from the server breaks the protocol. It is skipped, and the session continues."""


class Cause(Frozen):
    """Why the service refuses or closes a session, and what the user can do about it."""

    code: int | None
    """WebSocket close code, or HTTP status of a refused handshake; `None` matches any."""
    words: str
    """Part of the server's reason, in lower case; empty matches any."""
    is_final: bool
    """True if another connection cannot help, whenever the failure comes. `session.recovery` decides about the rest."""
    cause: str
    advice: str


_NEW_KEY = "make a new key at https://aistudio.google.com/apikey"
_RATE_LIMITS = "wait, or see https://ai.google.dev/gemini-api/docs/rate-limits"
_OTHER_MODEL = "choose another --model"

# Sources of the words: PYD = pydantic-ai's probes and recordings, Sep and Oct 2026; U = public reports; REST = the
# texts of Google's REST API, which share their wording with the Live API.
CAUSES: tuple[Cause, ...] = (
    # Whatever the code: the same words come with different codes.
    Cause(None, "api key expired", True, "the API key has expired", _NEW_KEY),  # 1007, U Apr 2026
    Cause(None, "reported as leaked", True, "Google blocked the API key because it became public", _NEW_KEY),  # 1008, U
    Cause(None, "api key not", True, "the API key is wrong", "check GOOGLE_API_KEY or GEMINI_API_KEY"),  # REST
    Cause(
        None,
        "unregistered callers",  # U Jun 2025: also a token at the address that is for keys
        True,
        "no API key reached the service",
        "check GOOGLE_API_KEY or GEMINI_API_KEY, and any proxy or gateway before --base-url",
    ),
    Cause(
        None,
        "token has been used",  # 1011, U Sep 2026
        True,
        "the ephemeral token is used up: each use starts one session",
        "make a new token, with more uses",
    ),
    Cause(None, "token has expired", True, "the ephemeral token has expired", "make a new token"),  # 1011, U Sep 2026
    Cause(
        None,
        "permission",  # REST
        True,
        "the key may not use this API or this model",
        "enable the Gemini API for the key's project, or use another key",
    ),
    Cause(
        None,
        "depleted",  # REST, U 2026
        True,
        "the prepaid credits of the key's project are used up",
        "add credits at https://ai.studio/projects, or use another key",
    ),
    Cause(None, "exceeded your current quota", True, "the quota of this key is used up", _RATE_LIMITS),
    Cause(
        None,
        "user location",
        True,
        "the Gemini API is not available where you are",
        "see https://ai.google.dev/gemini-api/docs/available-regions",
    ),
    Cause(
        None,
        "is not found",
        True,
        "the model is unknown, retired, or not available on the Live API",
        "choose another --model or --api-version",
    ),
    Cause(None, "publisher model", True, "the model is not available at this address", f"{_OTHER_MODEL} or --base-url"),
    Cause(None, "requested voice", True, "the model does not have this voice", "choose another --voice"),  # 1007, PYD
    Cause(
        None,
        'unknown name "outputaudiotranscription"',
        True,
        "the service cannot transcribe what the model says",
        "leave out --text-output and listen, or choose a --model that answers in text",
    ),
    Cause(
        None,
        'unknown name "proactivity"',  # 1007 on v1beta, four models, PYD 22 Oct 2026
        True,
        "this version of the API has no proactivity",
        "add --api-version v1alpha, or leave proactivity out of --setup",
    ),
    Cause(
        None,
        "unknown name",
        True,
        "the service does not know a field of the setup",
        "check --setup, or try another --api-version",
    ),
    Cause(
        None,
        "response modalities",
        True,
        "the model does not answer in this modality",
        f"leave responseModalities out of --setup, or {_OTHER_MODEL}",
    ),
    Cause(
        None,
        "thinking level must be specified",  # 1007 on extended thinking, which takes no budget; PYD
        True,
        "the model needs a thinking level, and accepts no thinking budget",
        'set {"generationConfig": {"thinkingConfig": {"thinkingLevel": "LOW"}}} in --setup',
    ),
    Cause(
        None,
        "thinking level is not supported",  # 1007 on 3.8; PYD
        True,
        "the model accepts no thinking level",
        f"leave thinkingConfig out of --setup, or {_OTHER_MODEL}",
    ),
    Cause(
        None,
        "thinking level",  # 1007 `Thinking level MINIMAL is not ...` on extended thinking; PYD
        True,
        "the model does not have this thinking level",
        "choose another thinkingLevel in --setup",
    ),
    Cause(
        None,
        "blocking function calls",  # 1007 on extended thinking; PYD
        True,
        "the model does not wait for the results of functions",
        f"declare the functions as NON_BLOCKING, or {_OTHER_MODEL}",
    ),
    Cause(
        None,
        "response scheduling",  # 1007 on extended thinking; PYD
        True,
        "the model accepts no scheduling in the result of a function",
        f"leave scheduling out of the functions, or {_OTHER_MODEL}",
    ),
    Cause(
        None,
        "code execution tool",  # 1007 on 2.5; PYD
        True,
        "the model does not execute code",
        f"leave out --code-execution, or {_OTHER_MODEL}",
    ),
    Cause(
        None,
        "function calling",  # two texts of REST; 2.5 cannot combine them, PYD
        True,
        "the model cannot combine search or code execution with functions",
        f"leave out --search and --code-execution, or --import-functions; or {_OTHER_MODEL}",
    ),
    Cause(
        1007,
        "precondition check failed",  # 2.5 with audio in the history, PYD; older form of a wrong modality
        True,
        "the model does not accept the setup or the history as it is",
        "check --setup and --model",
    ),
    Cause(1007, "invalid session handle", False, "the session to resume has expired", "start again"),  # U Sep 2026
    Cause(
        1007,
        "",
        False,
        "the service does not accept a field or a value, or the context is full",
        "check the options and --setup; leave context compression on",
    ),
    # Also the answer of 2.5 to audio that is sent while a function call is open: a new session works then.
    Cause(
        1008,
        "not implemented",
        False,
        "the model cannot do something that was asked of it",
        f"leave the option out, or {_OTHER_MODEL}",
    ),
    # After about two hours of a session in which nobody spoke, or with an old handle; U Sep 2026.
    Cause(1008, "session not found", False, "the service has dropped the session", "start again"),
    Cause(1008, "requested entity was not found", False, "the service has dropped the session", "start again"),
    Cause(1008, "deadline", False, "the connection reached its maximum duration", "start again"),
    # On 3.1, measured on 31 Aug 2026 and reported by several clients: after 150 s without any input.
    Cause(
        1008,
        "aborted",
        False,
        "the service stopped the session, perhaps because it received nothing for minutes",
        "start again",
    ),
    Cause(1008, "", False, "the service stopped the session for a reason that is not known here", "start again"),
    Cause(1000, "", False, "the server ended the session normally", "start again"),
    Cause(1001, "", False, "the server is shutting down", "try again"),
    Cause(1002, "", False, "one side broke the WebSocket protocol, or something between them did", "try again"),
    Cause(1003, "", False, "the server does not accept this kind of data", "check --base-url and --model"),
    Cause(1005, "", False, "the server closed the connection without a reason", "start again"),
    Cause(1006, "", False, "the connection was lost", "check the network and try again"),
    Cause(1009, "the server sent", False, "the server sent more than this program accepts", "try again"),
    Cause(1009, "", False, "a message was too large", "use a smaller --screen-size or a shorter line"),
    Cause(1011, "overloaded", False, "the service is overloaded", "try again in a while"),
    Cause(1011, "deadline", False, "the connection reached its maximum duration", "start again"),
    Cause(1011, "unavailable", False, "the service is not available", "try again in a while"),
    Cause(
        1011, "keepalive", False, "the network or the server did not answer in time", "check the network and try again"
    ),
    Cause(1011, "", False, "the service failed", "try again"),
    Cause(1012, "", False, "the server is restarting", "try again"),
    Cause(1013, "", False, "the service is overloaded", "try again in a while"),
    Cause(400, "", True, "the service did not accept the request", "check --base-url, --api-version and the key"),
    Cause(401, "", True, "the API key or token is not accepted", "check GOOGLE_API_KEY or GEMINI_API_KEY"),
    Cause(403, "", True, "the key may not use this API", "enable the Gemini API for its project, or use another key"),
    Cause(404, "", True, "there is no Live API at this address", "check --base-url and --api-version"),
    Cause(407, "", True, "the proxy wants a user name and a password", "put them into HTTPS_PROXY"),
    Cause(408, "", False, "the server took too long", "try again"),
    Cause(429, "", False, "too many requests, or the quota is used up", _RATE_LIMITS),
    Cause(500, "", False, "the service failed", "try again"),
    Cause(502, "", False, "a gateway in front of the service failed", "try again"),
    Cause(503, "", False, "the service is not available", "try again"),
    Cause(504, "", False, "a gateway in front of the service timed out", "try again"),
)
"""The first row that matches explains a failure. The docs' table is generated from it."""


_IDLE_ENDS = ("operation was aborted", "session not found", "requested entity was not found")
"""How the service closes a session in which nothing happens: after 150 s (measured on 3.1, 31 Aug 2026), or after about
two hours (reports of Sep 2026)."""


def explain(code: int, reason: str) -> Cause | None:
    """Return the row that matches a close code or an HTTP status and the server's words, or `None`."""
    words = reason.lower()
    return next((cause for cause in CAUSES if cause.code in (code, None) and cause.words in words), None)


def is_final(code: int, reason: str) -> bool:
    """Return True if another connection cannot help, whenever this failure comes."""
    cause = explain(code, reason)
    return cause is not None and cause.is_final


def format_causes() -> str:
    """Return the table of causes as Markdown, for the docs."""
    rows = [
        f"| {cause.code or 'any'} | {cause.words or 'anything else'} | {'yes' if cause.is_final else ''} "
        f"| {cause.cause} | {cause.advice} |"
        for cause in CAUSES
    ]
    return "\n".join(
        ["| code | the server's words | final | likely cause | what to do |", "|---|---|---|---|---|", *rows]
    )


def _sentence(what: str, code: int, reason: str) -> str:
    said = f": {reason}" if reason else ""
    cause = explain(code, reason)
    if cause is None:
        return f"{what}{said}"
    return f"{what}{said} (likely cause: {cause.cause}; {cause.advice})"


class ConnectionFailed(GeminiLiveError):
    """No session could be opened: the network failed, or the server refused or did not speak WebSocket."""

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
        """The server's Retry-After header, in seconds."""
        self.opened = opened
        """True if a WebSocket was open, but no session."""
        self.transient = transient
        """True if another try may succeed."""

    @property
    def summary(self) -> str:
        """What happened, without the cause and the advice."""
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
        """WebSocket close code; 1006 if there was no close frame."""
        self.reason = reason
        """The server's own words."""

    @property
    def is_final(self) -> bool:
        """True if another connection cannot help, whenever this happens."""
        return is_final(self.code, self.reason)

    @property
    def ends_idle_session(self) -> bool:
        """True if the service closes sessions so in which nothing has happened for minutes."""
        return self.code == 1008 and any(words in self.reason.lower() for words in _IDLE_ENDS)

    @property
    def summary(self) -> str:
        """What happened, without the cause and the advice."""
        # 1006 means that there was no close code.
        said = f"{self.code if self.code != 1006 else ''} {self.reason}".strip()
        return f"connection lost ({said})" if said else "connection lost"

    def __str__(self) -> str:
        return _sentence(f"the session was closed with code {self.code}", self.code, self.reason)


class NotAnsweredError(GeminiLiveError):
    """The session ended well, and some questions were not answered; each was reported when that was known."""

    exit_code = ExitCode.SESSION

    def __init__(self, n_unanswered: int) -> None:
        s = "" if n_unanswered == 1 else "s"
        super().__init__(f"{n_unanswered} question{s} had no answer; see the warnings above")
