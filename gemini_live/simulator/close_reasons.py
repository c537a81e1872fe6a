"""Why the service closes a session: the close code, the reason in its own words, and the explanation for people.

The words are those that users of the service have reported; where none are known, ours in the same style. Pure.
"""

MAX_REASON_BYTES = 123
"""What fits into a close frame beside the code (RFC 6455, section 5.5)."""

_MAX_EXPLANATION = 500

NO_STATUS, ABNORMAL_CLOSURE = 1005, 1006
INVALID_PAYLOAD, POLICY_VIOLATION, INTERNAL_ERROR = 1007, 1008, 1011

INVALID_ARGUMENT = "Request contains an invalid argument."
NOT_SUPPORTED = "Operation is not implemented, or supported, or enabled."
ENTITY_NOT_FOUND = "Requested entity was not found."
KEY_NOT_VALID = "API key not valid. Please pass a valid API key."
KEY_MISSING = "Method doesn't allow unregistered callers. Please use API Key or other form of API consumer identity."
TOKEN_SPENT = "Token has been used too many times"
TOKEN_EXPIRED = "Token has expired"
TOKEN_EXPIRED_IN_SESSION = "auth token has expired"
DEADLINE = "Deadline expired before operation could complete."
ABORTED = "The operation was aborted."
INTERNAL = "Internal error encountered."


class Refusal(Exception):
    """The service ends the session because of what the client sent."""

    def __init__(self, code: int, reason: str, explanation: str = "") -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = cut_reason(reason)
        self.explanation = (explanation or reason)[:_MAX_EXPLANATION]
        """For the log and the verdict: what the client did wrong, where the service's words do not say it."""


def cut_reason(reason: str) -> str:
    """Return as much of `reason` as a close frame holds."""
    return reason.encode(errors="backslashreplace")[:MAX_REASON_BYTES].decode(errors="ignore")


def unknown_name(name: str, path: str) -> Refusal:
    """Return the refusal of a field that the message at `path` does not have."""
    where = f" at '{path}'" if path else ""
    return Refusal(INVALID_PAYLOAD, f'Invalid JSON payload received. Unknown name "{name}"{where}: Cannot find field.')


def invalid_value(path: str, type_name: str, value: object) -> Refusal:
    """Return the refusal of a value that the field at `path` cannot hold."""
    return Refusal(INVALID_PAYLOAD, f"Invalid value at '{path}' ({type_name}), {value!r}")


def not_for_this_model(what: str) -> Refusal:
    """Return the refusal of a setting that the model does not take, in the words of pydantic-ai's probes (Oct 2026)."""
    return Refusal(INVALID_PAYLOAD, f"{what} for this model.")


def invalid_argument(explanation: str) -> Refusal:
    """Return the refusal that says nothing, with what is known here about the reason."""
    return Refusal(INVALID_PAYLOAD, INVALID_ARGUMENT, explanation)


def not_supported(explanation: str) -> Refusal:
    """Return the refusal of a feature that the model does not have."""
    return Refusal(POLICY_VIOLATION, NOT_SUPPORTED, explanation)
