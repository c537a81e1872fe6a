"""Checks a schema against the OpenAPI subset in which `parameters` are declared, for tests.

The fields and their types are those of the message `Schema` in Google's protos (google-ai-generativelanguage 0.12.1);
which fields go with which type is what the comments of that message say, and what the service refuses besides
(an empty value of an enum, an enum of anything but strings, an array without `items`).
"""

from typing import Any

from google.ai.generativelanguage_v1beta.types import content

_FIELDS = {field.json_name for field in content.Schema.pb(content.Schema()).DESCRIPTOR.fields}
_COMMON = {"type", "title", "description", "nullable", "default", "example", "format"}
_BY_TYPE = {
    "STRING": _COMMON | {"enum", "minLength", "maxLength", "pattern"},
    "INTEGER": _COMMON | {"minimum", "maximum"},
    "NUMBER": _COMMON | {"minimum", "maximum"},
    "BOOLEAN": _COMMON,
    "ARRAY": _COMMON | {"items", "minItems", "maxItems"},
    "OBJECT": _COMMON | {"properties", "required", "minProperties", "maxProperties", "propertyOrdering"},
}
_FORMATS = {"STRING": {"enum", "date-time"}, "INTEGER": {"int32", "int64"}, "NUMBER": {"float", "double"}}


def check_schema(schema: Any, place: str = "schema") -> None:
    """Raise AssertionError, with the place, if `schema` is outside the subset."""
    assert isinstance(schema, dict), f"{place} is no object"
    assert set(schema) <= _FIELDS, f"{place}: the proto has no {set(schema) - _FIELDS}"
    for field in ("title", "description", "pattern", "format"):
        assert isinstance(schema.get(field, "x"), str), f"{place}.{field}"
        assert schema.get(field, "x"), f"{place}.{field} is empty"
    assert schema.get("nullable", True) is True, f"{place}.nullable"
    if "anyOf" in schema:
        assert set(schema) <= {"anyOf", "nullable", "default", "description", "title", "example"}, f"{place}: {schema}"
        assert isinstance(schema["anyOf"], list), f"{place}.anyOf"
        assert len(schema["anyOf"]) > 1, f"{place}.anyOf has one member"
        for index, choice in enumerate(schema["anyOf"]):
            check_schema(choice, f"{place}.anyOf[{index}]")
        return
    kind = schema.get("type")
    assert kind in _BY_TYPE, f"{place}.type is {kind!r}"
    assert set(schema) <= _BY_TYPE[kind], f"{place}: {kind} has no {set(schema) - _BY_TYPE[kind]}"
    if "format" in schema:
        assert schema["format"] in _FORMATS.get(kind, set()), f"{place}.format is {schema['format']!r}"
    _check_bounds(schema, place)
    if "enum" in schema:
        assert schema["format"] == "enum", f"{place}: an enum has the format enum"
        assert schema["enum"], f"{place}.enum is empty"
        assert all(isinstance(value, str) and value for value in schema["enum"]), f"{place}.enum: {schema['enum']}"
        assert len(set(schema["enum"])) == len(schema["enum"]), f"{place}.enum has a value twice"
        assert schema.get("default") in (None, *schema["enum"]), f"{place}.default"
    if kind == "ARRAY":
        check_schema(schema.get("items"), f"{place}.items")
    if kind == "OBJECT":
        properties = schema.get("properties", {"x": {"type": "STRING"}})
        assert isinstance(properties, dict), f"{place}.properties"
        for name, part in properties.items():
            check_schema(part, f"{place}.properties[{name!r}]")
        assert set(schema.get("required", [])) <= set(schema.get("properties", {})), f"{place}.required"


def _check_bounds(schema: dict[str, Any], place: str) -> None:
    for lower, upper in (("minItems", "maxItems"), ("minLength", "maxLength"), ("minProperties", "maxProperties")):
        for field in (lower, upper):
            assert type(schema.get(field, 0)) is int, f"{place}.{field}"
            assert schema.get(field, 0) >= 0, f"{place}.{field} is negative"
    for field in ("minimum", "maximum"):
        assert type(schema.get(field, 0)) in (int, float), f"{place}.{field}"
