"""Writes the simulator's schema.json: every client message of the Live API, field by field, from google-genai's types.

Run `python tests/simulator/generate_schema.py` when google-genai moves; a test compares what it makes with the file.
"""

import enum
import json
import sys
import types as python_types
import typing
from pathlib import Path
from typing import Any

import pydantic
from google.genai import types

SCHEMA_PATH = Path(__file__).parents[2] / "gemini_live/simulator/schema.json"

_ROOT = types.LiveClientMessage

_ADDED: dict[str, dict[str, Any]] = {
    # The SDK holds these in its connect configuration and writes them into the setup, so its setup type lacks them.
    "LiveClientSetup": {"realtimeInputConfig": types.RealtimeInputConfig},
}

_ABSENT = {
    "LiveClientSetup": {"explicitVadSignal", "avatarConfig"},
    "SessionResumptionConfig": {"transparent"},
    "GenerationConfig": {"routingConfig", "modelSelectionConfig", "audioTimestamp"},
    "Tool": {"retrieval", "enterpriseWebSearch", "parallelAiSearch", "exaAiSearch"},
    "Blob": {"displayName"},
    "FileData": {"displayName"},
    "Schema": {"additionalProperties", "defs", "ref"},
}
"""What the SDK refuses to send to the Developer API or converts only for the Enterprise platform, and what the
published protos lack though the SDK's type of the same message has it."""

_SCALARS = {str: "string", bytes: "bytes", int: "int", float: "number", bool: "bool"}


class _Builder:
    """Walks the types from the root and names each message and enumeration that it meets."""

    def __init__(self) -> None:
        self.messages: dict[str, dict[str, str]] = {}
        self.enums: dict[str, list[str]] = {}

    def add_message(self, model: type[pydantic.BaseModel]) -> str:
        name = model.__name__
        if name not in self.messages:
            fields = self.messages[name] = {}
            for field_name, field in model.model_fields.items():
                camel = field.alias or field_name
                if camel not in _ABSENT.get(name, ()):
                    fields[camel] = self.describe(field.annotation)
            for camel, annotation in _ADDED.get(name, {}).items():
                fields[camel] = self.describe(annotation)
        return name

    def describe(self, annotation: Any) -> str:
        """Return the type of a field: a scalar, `any`, `struct`, `map:`, `enum:`, a message; `[]` for many."""
        origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
        if origin is typing.Annotated:
            # The only annotated list is that of the tools, which in Python may also be functions.
            described = "[]" + self.add_message(types.Tool) if arguments[0] is list else self.describe(arguments[0])
        elif origin in (typing.Union, python_types.UnionType):
            described = self._describe_union([member for member in arguments if member is not type(None)])
        elif origin is list:
            described = "[]" + self.describe(arguments[0])
        elif origin is dict:
            described = "struct" if arguments[1] is Any else f"map:{self.describe(arguments[1])}"
        else:
            described = _SCALARS.get(annotation) or self._describe_class(annotation)
        return described

    def _describe_class(self, annotation: Any) -> str:
        if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
            self.enums[annotation.__name__] = [str(member.value) for member in annotation]
            return f"enum:{annotation.__name__}"
        if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
            return self.add_message(annotation)
        return "any"

    def _describe_union(self, members: list[Any]) -> str:
        # The SDK takes many Python forms for a Content; only the message itself travels.
        if types.Content in members:
            return self.add_message(types.Content)
        return self.describe(members[0]) if len(members) == 1 else "any"


def build_schema() -> dict[str, Any]:
    """Return the schema of every client message, reachable from the root."""
    builder = _Builder()
    root = builder.add_message(_ROOT)
    return {
        "root": root,
        "messages": dict(sorted(builder.messages.items())),
        "enums": dict(sorted(builder.enums.items())),
    }


def format_schema() -> str:
    """Return the text of schema.json."""
    return json.dumps(build_schema(), indent=1) + "\n"


if __name__ == "__main__":
    SCHEMA_PATH.write_text(format_schema(), encoding="utf-8")
    sys.stdout.write(f"wrote {SCHEMA_PATH}\n")
