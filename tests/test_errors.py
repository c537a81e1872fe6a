"""The exception tree, its exit codes, and the sentences that explain a failure."""

import re

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
        "(likely cause: the API key or token is not accepted; check GOOGLE_API_KEY or GEMINI_API_KEY)",
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
        "(likely cause: the connection was lost without a close; check the network and try again)",
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


def test_a_wrong_functions_file_and_a_missing_extra_are_configuration_errors() -> None:
    assert issubclass(FunctionDeclarationError, ConfigError)
    assert issubclass(MissingExtraError, ConfigError)
    assert not issubclass(ProtocolError, ConfigError)


def test_every_error_of_the_module_is_in_the_tree_of_its_docstring() -> None:
    assert errors.__doc__ is not None
    drawn = set(re.findall(r"\b[A-Z]\w+(?:Error|Failed|Closed)\b", errors.__doc__))
    defined = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}
    # A missing extra is told there in words.
    assert defined - drawn == {"MissingExtraError"}
    assert drawn <= defined


def test_the_exit_codes_are_those_that_scripts_know() -> None:
    assert [code.value for code in ExitCode] == [0, 1, 2, 3, 4, 124, 129, 130, 141, 143]


def test_every_exit_code_has_a_meaning_of_one_line() -> None:
    assert set(EXIT_CODE_MEANINGS) == set(ExitCode)
    assert all(meaning and "\n" not in meaning for meaning in EXIT_CODE_MEANINGS.values())


@pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: f"{cause.code} {cause.words}")
def test_no_row_of_the_causes_is_hidden_by_one_before_it(cause: Cause) -> None:
    assert explain(cause.code, cause.words.upper()) is cause
    assert cause.words == cause.words.lower()
    assert cause.cause
    assert cause.advice


@pytest.mark.parametrize(
    ("code", "reason", "part"),
    [
        (1007, "API key not valid. Please pass a valid API key.", "the API key is wrong"),
        (1007, "API key expired. Please renew the API key.", "the API key has expired"),
        (1007, 'Invalid JSON payload received. Unknown name "x" at setup: Cannot find field.', "does not know a field"),
        (
            1007,
            "Invalid JSON payload received. Unknown name \"outputAudioTranscription\" at 'setup': Cannot find field.",
            "does not write down what the model says",
        ),
        (1007, "Request contains an invalid argument.", "a field or a value that it does not take"),
        (1007, "User location is not supported for the API use.", "not offered where you are"),
        (1008, "models/nope is not found for API version v1beta, or is not supported", "the model is unknown"),
        (1008, "Operation is not implemented, or supported, or enabled.", "the model lacks something"),
        (1008, "Requested entity was not found.", "the session to resume is gone"),
        (1011, "You exceeded your current quota, please check your plan", "the quota of this key is used up"),
        (1007, "Precondition check failed.", "does not take the setup"),
        (
            1007,
            "The requested combination of response modalities (TEXT) is not supported by the model",
            "in that modality",
        ),
        (1008, "Publisher model gemini-x was not found", "not offered at this address"),
        (1008, "Deadline expired before operation could complete.", "reached the end of its life"),
        (1008, "The operation was aborted", "broke off"),
        (1011, "Internal error occurred.", "the service failed"),
        (1011, "The service is currently unavailable.", "is not available"),
        (1011, "OVERLOADED_TOO_MANY_RETRIES_PER_REQUEST", "overloaded"),
        (1011, "keepalive ping timeout", "did not answer in time"),
        (1000, "", "politely"),
        (1001, "", "going away"),
        (1002, "", "broke the protocol"),
        (1005, "", "without a reason"),
        (1006, "", "lost without a close"),
        (1009, "", "too large"),
        (1012, "", "restarts"),
        (1013, "", "overloaded"),
        (400, "API key not valid. Please pass a valid API key.", "did not take the request"),
        (401, "", "is not accepted"),
        (403, "", "may not use this API"),
        (404, "", "no Live API at that address"),
        (503, "", "is not available"),
        (1011, "Deadline expired before operation could complete.", "reached the end of its life"),
        (1011, "Internal error encountered.", "the service failed"),
        (429, "", "too many requests"),
    ],
)
def test_the_servers_words_find_their_cause(code: int, reason: str, part: str) -> None:
    cause = explain(code, reason)
    assert cause is not None
    assert part in cause.cause


def test_an_unknown_code_is_left_unexplained() -> None:
    assert explain(4999, "anything") is None
