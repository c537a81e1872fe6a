"""The exception tree, its exit codes, and the sentences that explain a failure."""

import re
from pathlib import Path

import pytest

from gemini_live import errors
from gemini_live.errors import (
    CAUSES,
    EXIT_CODE_MEANINGS,
    Cause,
    ConfigError,
    ConnectionFailed,
    DeviceError,
    ExitCode,
    FunctionDeclarationError,
    GeminiLiveError,
    MissingExtraError,
    ProtocolError,
    SessionClosed,
    explain,
    format_causes,
)

SENTENCES: list[tuple[GeminiLiveError, ExitCode, str]] = [
    (GeminiLiveError("something new"), ExitCode.BUG, "something new"),
    (ConfigError("no key"), ExitCode.USAGE, "no key"),
    (
        MissingExtraError("--input-file", "files"),
        ExitCode.USAGE,
        "--input-file needs a part that is not installed: pip install 'gemini-live[files]'",
    ),
    (FunctionDeclarationError("tools.py", 3, "bad"), ExitCode.USAGE, "tools.py:3: bad"),
    (FunctionDeclarationError("tools.py", None, "bad"), ExitCode.USAGE, "tools.py: bad"),
    (DeviceError("no microphone"), ExitCode.DEVICE, "no microphone"),
    (ConnectionFailed("name not known"), ExitCode.SESSION, "could not connect: name not known"),
    (
        ConnectionFailed("API key expired", http_status=401),
        ExitCode.SESSION,
        "could not connect: the server answered HTTP 401: API key expired "
        "(likely cause: the API key has expired; make a new key at https://aistudio.google.com/apikey)",
    ),
    (
        ConnectionFailed("", http_status=418),
        ExitCode.SESSION,
        "could not connect: the server answered HTTP 418",
    ),
    (
        SessionClosed(1007, "API key not valid. Please pass a valid API key."),
        ExitCode.SESSION,
        "the session was closed with code 1007: API key not valid. Please pass a valid API key. "
        "(likely cause: the API key is wrong; check GOOGLE_API_KEY or GEMINI_API_KEY)",
    ),
    (
        SessionClosed(1006, ""),
        ExitCode.SESSION,
        "the session was closed with code 1006 "
        "(likely cause: the connection was lost; check the network and try again)",
    ),
    (SessionClosed(4999, "odd"), ExitCode.SESSION, "the session was closed with code 4999: odd"),
]


@pytest.mark.parametrize(("error", "exit_code", "sentence"), SENTENCES, ids=lambda value: type(value).__name__)
def test_an_error_is_one_line_and_has_an_exit_code(error: GeminiLiveError, exit_code: ExitCode, sentence: str) -> None:
    assert error.exit_code == exit_code
    assert str(error) == sentence
    assert "\n" not in sentence


def test_the_facts_stay_readable_on_the_error() -> None:
    declaration = FunctionDeclarationError("tools.py", 3, "bad")
    assert (declaration.file, declaration.line, declaration.reason) == ("tools.py", 3, "bad")
    missing = MissingExtraError("--input-file", "files")
    assert (missing.what, missing.extra) == ("--input-file", "files")
    closed = SessionClosed(1008, "gone")
    assert (closed.code, closed.reason) == (1008, "gone")
    failed = ConnectionFailed("busy", http_status=503, retry_after_s=2.5, transient=True)
    assert (failed.reason, failed.http_status, failed.retry_after_s, failed.transient) == ("busy", 503, 2.5, True)
    assert str(failed).startswith("could not connect: the server answered HTTP 503 and asks to wait 2 s: busy")
    plain = ConnectionFailed("no route")
    assert (plain.http_status, plain.retry_after_s, plain.transient) == (None, None, False)


@pytest.mark.parametrize(
    ("failure", "summary"),
    [
        (ConnectionFailed("refused"), "no connection (refused)"),
        (ConnectionFailed("busy", http_status=503), "no connection (HTTP 503 busy)"),
        (ConnectionFailed("", http_status=503), "no connection (HTTP 503)"),
        (SessionClosed(1011, "Internal error."), "connection lost (1011 Internal error.)"),
        (SessionClosed(1001, ""), "connection lost (1001)"),
        (SessionClosed(1006, ""), "connection lost"),
    ],
)
def test_a_summary_says_what_happened_without_the_advice(
    failure: ConnectionFailed | SessionClosed, summary: str
) -> None:
    assert failure.summary == summary


def test_a_wrong_functions_file_and_a_missing_extra_are_configuration_errors() -> None:
    assert issubclass(FunctionDeclarationError, ConfigError)
    assert issubclass(MissingExtraError, ConfigError)
    assert not issubclass(ProtocolError, ConfigError)


def test_every_error_of_the_module_is_in_the_tree_of_its_docstring() -> None:
    assert errors.__doc__ is not None
    drawn = set(re.findall(r"\b[A-Z]\w+(?:Error|Failed|Closed)\b", errors.__doc__))
    defined = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}
    # The docstring mentions missing extras in words.
    assert defined - drawn == {"MissingExtraError"}
    assert drawn <= defined


def test_the_exit_codes_are_those_that_scripts_know() -> None:
    assert [code.value for code in ExitCode] == [0, 1, 2, 3, 4, 124, 129, 130, 141, 143]


def test_every_exit_code_has_a_meaning_of_one_line() -> None:
    assert set(EXIT_CODE_MEANINGS) == set(ExitCode)
    assert all(meaning and "\n" not in meaning for meaning in EXIT_CODE_MEANINGS.values())


@pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: f"{cause.code} {cause.words}")
def test_no_row_is_hidden_by_one_before_it(cause: Cause) -> None:
    assert explain(cause.code or 1011, cause.words.upper()) is cause
    assert cause.words == cause.words.lower()
    assert cause.cause
    assert cause.advice
    assert "|" not in f"{cause.words}{cause.cause}{cause.advice}"  # would break the docs' table


FINAL, NOT_FINAL = True, False
ANY = (1007, 1008, 1011, 400, 403, 429)
"""The same words come with different codes."""
SERVER_WORDS = [
    # (codes, the server's words, final, part of the cause, part of the advice)
    (ANY, "API key not valid. Please pass a valid API key.", FINAL, "the API key is wrong", "GEMINI_API_KEY"),
    (ANY, "API Key not found. Please pass a valid API key.", FINAL, "the API key is wrong", "GEMINI_API_KEY"),
    (ANY, "API key expired. Please renew the API key.", FINAL, "the API key has expired", "apikey"),
    (ANY, "Your API key was reported as leaked. Please use another API key.", FINAL, "became public", "new key"),
    (
        ANY,
        "Method doesn't allow unregistered callers (callers without established identity). Please use API Key or other",
        FINAL,
        "no API key reached the service",
        "GEMINI_API_KEY",
    ),
    ((1011,), "Token has been used too many times", FINAL, "token is used up", "new token"),
    ((1011,), "auth token has expired", FINAL, "token has expired", "new token"),
    ((1011,), "Token has expired", FINAL, "token has expired", "new token"),
    (ANY, "The caller does not have permission", FINAL, "may not use this API", "enable the Gemini API"),
    (ANY, "PERMISSION_DENIED", FINAL, "may not use this API", "enable the Gemini API"),
    (
        ANY,
        "Your prepayment credits are depleted. Please go to AI Studio at https://ai.studio/projects to manage your",
        FINAL,
        "credits",
        "add credits",
    ),
    (
        ANY,
        "You exceeded your current quota, please check your plan and billing details.",
        FINAL,
        "quota",
        "rate-limits",
    ),
    (ANY, "User location is not supported for the API use.", FINAL, "not available where you are", "regions"),
    (
        (1008, 404),
        "models/nope is not found for API version v1beta, or is not supported for bidiGenerateContent. Call ListModels",
        FINAL,
        "the model is unknown",
        "--model",
    ),
    ((1008,), "models/nope is not found", FINAL, "the model is unknown", "--model"),
    ((1008,), "Publisher model gemini-x was not found", FINAL, "not available at this address", "--base-url"),
    ((1007,), "Requested voice api_name 'alloy' is not available for model models/x", FINAL, "voice", "--voice"),
    (
        (1007,),
        "Invalid JSON payload received. Unknown name \"proactivity\" at 'setup': Cannot find field.",
        FINAL,
        "no proactivity",
        "--api-version v1alpha",
    ),
    (
        (1007,),
        "Invalid JSON payload received. Unknown name \"outputAudioTranscription\" at 'setup': Cannot find field.",
        FINAL,
        "cannot transcribe",
        "--text-output",
    ),
    (
        (1007,),
        'Invalid JSON payload received. Unknown name "x" at setup: Cannot find field.',
        FINAL,
        "does not know a field",
        "--setup",
    ),
    (
        (1007,),
        "The requested combination of response modalities (TEXT) is not supported by the model",
        FINAL,
        "this modality",
        "responseModalities",
    ),
    ((1007,), "Thinking level is not supported for this model", FINAL, "no thinking level", "leave thinkingConfig out"),
    ((1007,), "Thinking level must be specified for this model", FINAL, "needs a thinking level", "thinkingLevel"),
    ((1007,), "Thinking level MINIMAL is not supported for this model", FINAL, "this thinking level", "another"),
    ((1007,), "BLOCKING function calls are not supported for this model", FINAL, "does not wait", "NON_BLOCKING"),
    ((1007,), "Function response scheduling is not supported for this model", FINAL, "scheduling", "leave scheduling"),
    ((1007,), "Code Execution tool is not supported for this model", FINAL, "execute code", "--code-execution"),
    ((1007,), "Tool use with function calling is unsupported", FINAL, "cannot combine search", "leave out --search"),
    (
        (1007, 400),
        "Built-in tools ({google_search}) and Function Calling cannot be combined in the same request.",
        FINAL,
        "cannot combine search",
        "leave out --search",
    ),
    ((1007,), "Precondition check failed.", FINAL, "does not accept the setup", "--setup"),
    ((1007,), "Invalid session handle", NOT_FINAL, "has expired", "start again"),
    ((1007,), "Request contains an invalid argument.", NOT_FINAL, "does not accept a field", "context compression"),
    ((1008,), "Operation is not implemented, or supported, or enabled.", NOT_FINAL, "cannot do", "leave the option"),
    ((1008,), "BidiGenerateContent session not found", NOT_FINAL, "dropped the session", "start again"),
    ((1008,), "Requested entity was not found.", NOT_FINAL, "dropped the session", "start again"),
    ((1008,), "The operation was aborted.", NOT_FINAL, "stopped the session", "start again"),
    ((1008,), "Deadline expired before operation could complete.", NOT_FINAL, "maximum duration", "start again"),
    ((1008,), "words that nobody knows", NOT_FINAL, "not known here", "start again"),
    ((1008,), "", NOT_FINAL, "not known here", "start again"),
    ((1011,), "Internal error occurred.", NOT_FINAL, "the service failed", "try again"),
    ((1011,), "Internal error encountered.", NOT_FINAL, "the service failed", "try again"),
    ((1011,), "The service is currently unavailable.", NOT_FINAL, "is not available", "try again"),
    ((1011,), "OVERLOADED_TOO_MANY_RETRIES_PER_REQUEST", NOT_FINAL, "overloaded", "try again"),
    ((1011,), "Deadline expired before operation could complete.", NOT_FINAL, "maximum duration", "start again"),
    ((1011,), "keepalive ping timeout", NOT_FINAL, "did not answer in time", "network"),
    ((1000,), "", NOT_FINAL, "normally", "start again"),
    ((1001,), "", NOT_FINAL, "shutting down", "try again"),
    ((1002,), "", NOT_FINAL, "WebSocket protocol", "try again"),
    ((1003,), "", NOT_FINAL, "kind of data", "--base-url"),
    ((1005,), "", NOT_FINAL, "without a reason", "start again"),
    ((1006,), "", NOT_FINAL, "was lost", "network"),
    ((1009,), "the server sent a message of more than 16 MiB", NOT_FINAL, "more than this program", "try again"),
    ((1009,), "", NOT_FINAL, "too large", "--screen-size"),
    ((1012,), "", NOT_FINAL, "restarting", "try again"),
    ((1013,), "", NOT_FINAL, "overloaded", "try again"),
    ((400,), "", FINAL, "did not accept the request", "--base-url"),
    ((401,), "", FINAL, "is not accepted", "GEMINI_API_KEY"),
    ((403,), "", FINAL, "may not use this API", "another key"),
    ((404,), "", FINAL, "no Live API at this address", "--base-url"),
    ((407,), "", FINAL, "user name", "HTTPS_PROXY"),
    ((408, 500, 502, 503, 504), "", NOT_FINAL, "", "try again"),
    ((429,), "Too many requests", NOT_FINAL, "too many requests", "rate-limits"),
]


@pytest.mark.parametrize(("codes", "reason", "final", "cause", "advice"), SERVER_WORDS)
def test_the_servers_words_find_their_cause(
    codes: tuple[int, ...], reason: str, final: bool, cause: str, advice: str
) -> None:
    for code in codes:
        # A close frame holds no more than 123 bytes of reason.
        for words in (reason, reason.upper(), reason.encode()[:123].decode()):
            row = explain(code, words)
            assert row is not None
            assert cause in row.cause
            assert advice in row.advice
            assert row.is_final is SessionClosed(code, words).is_final is final


def test_every_row_has_an_example_of_the_servers_words() -> None:
    tested = {explain(code, reason) for codes, reason, *_ in SERVER_WORDS for code in codes}
    assert [cause for cause in CAUSES if cause not in tested] == []


def test_the_docs_show_the_table() -> None:
    root = Path(__file__).parent.parent
    pages = [root / "README.md", *sorted((root / "docs").glob("*.md"))]
    block = re.compile("<!-- causes: begin -->\n(.*?)\n<!-- causes: end -->", re.DOTALL)
    shown = [table for page in pages for table in block.findall(page.read_text(encoding="utf-8"))]
    assert shown == [format_causes()]


def test_an_unknown_code_is_left_unexplained() -> None:
    assert explain(4999, "anything") is None
    assert not SessionClosed(4999, "anything").is_final


@pytest.mark.parametrize(("number", "ends"), [(1008, True), (1011, False)])
def test_an_idle_session_is_ended_with_1008_and_certain_words(number: int, ends: bool) -> None:
    assert SessionClosed(number, "The operation was aborted.").ends_idle_session is ends
    assert not SessionClosed(number, "no reason").ends_idle_session
