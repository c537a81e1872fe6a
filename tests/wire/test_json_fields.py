"""Reading fields by type: what is taken, what is noted, what is left."""

from typing import Any

import pytest

from gemini_live.wire.json_fields import MAX_DEPTH, MAX_ITEMS, MAX_NOTE_CHARACTERS, MAX_NOTES, Findings, JsonObject


def read(fields: dict[str, Any]) -> tuple[JsonObject, Findings]:
    findings = Findings()
    return JsonObject(fields, findings), findings


@pytest.mark.parametrize("value", [None, 5, True, [], {}])
def test_what_is_not_a_string_is_an_empty_one(value: Any) -> None:
    fields, findings = read({"a": value})
    assert fields.text("a") == ""
    assert findings.problems() == (() if value is None else ("a is not a string",))


@pytest.mark.parametrize(
    ("value", "flag", "n_problems"), [(True, True, 0), (False, False, 0), (None, False, 0), (1, False, 1)]
)
def test_only_true_is_true(value: Any, flag: bool, n_problems: int) -> None:
    fields, findings = read({"a": value})
    assert fields.flag("a") is flag
    assert len(findings.problems()) == n_problems


@pytest.mark.parametrize(
    ("value", "integer"),
    [(None, None), (5, 5), ("-5", -5), (5.0, 5), ("9" * 19, int("9" * 19)), (2**64 - 1, 2**64 - 1)],
)
def test_integers_may_be_numbers_or_strings(value: Any, integer: int | None) -> None:
    fields, findings = read({"a": value})
    assert fields.integer("a") == integer
    assert findings.problems() == ()


@pytest.mark.parametrize("value", [True, 5.5, float("inf"), float("nan"), 2**64, "5.0", " 5", "+5", "9" * 20, [], {}])
def test_what_is_no_integer_is_none(value: Any) -> None:
    fields, findings = read({"a": value})
    assert fields.integer("a") is None
    assert findings.problems() == ("a is not an integer",)


@pytest.mark.parametrize(
    ("value", "duration_s"), [("50s", 50.0), ("-1.5s", -1.5), ("0.000000001s", 1e-9), (None, None)]
)
def test_durations_are_seconds(value: Any, duration_s: float | None) -> None:
    fields, findings = read({"a": value})
    assert fields.duration_s("a") == duration_s
    assert findings.problems() == ()


@pytest.mark.parametrize("value", ["_-8=", "/+8=", "_-8", "/+8", "_+8"])
def test_bytes_are_base64_in_either_alphabet_padded_or_not(value: str) -> None:
    fields, findings = read({"a": value, "b": None})
    assert fields.data("a") == b"\xff\xef"
    assert fields.data("b") == b""
    assert findings.problems() == ()


@pytest.mark.parametrize("value", ["50", 50, "s", "1e3s", "\u0663s", " 5s", "5s\n", "9" * 13 + "s", {}])
def test_what_is_no_duration_is_none(value: Any) -> None:
    fields, findings = read({"a": value})
    assert fields.duration_s("a") is None
    assert findings.problems() == ("a is not a duration",)


@pytest.mark.parametrize(("depth", "is_taken"), [(MAX_DEPTH - 1, True), (MAX_DEPTH, False)])
def test_a_free_form_object_has_a_bounded_depth(depth: int, is_taken: bool) -> None:
    value: Any = 0
    for _ in range(depth):
        value = [value]
    fields, findings = read({"args": {"a": value}})
    assert (fields.struct("args") is not None) is is_taken
    assert findings.problems() == (() if is_taken else ("args is nested too deeply",))


@pytest.mark.parametrize("value", ["AAA=A", "A", "A\n==", "*", "é", 5, []])
def test_what_is_no_base64_is_no_bytes(value: Any) -> None:
    fields, findings = read({"a": value})
    assert fields.data("a") == b""
    assert findings.problems() == ("a is not base64",)


@pytest.mark.parametrize("item", [{}, "id"])
def test_only_the_first_items_of_a_huge_list_are_read(item: object) -> None:
    findings = Findings()
    fields = JsonObject({"list": [item] * 330_000}, findings)
    read = fields.children("list") if item == {} else fields.strings("list")
    assert len(read) == MAX_ITEMS
    assert findings.problems() == ("list holds 330,000 items, of which the first 1,000 are read",)


def test_the_good_items_of_a_list_are_kept() -> None:
    fields, findings = read({"a": ["x", 5, None, "y"], "b": [{"c": "z"}, [], {}], "d": {}, "e": ["x"]})
    assert fields.strings("a") == ("x", "y")
    assert [item.text("c") for item in fields.children("b")] == ["z", ""]
    assert fields.strings("d") == fields.strings("absent") == ()
    assert fields.strings("e") == ("x",)
    assert fields.children("absent") == []
    assert findings.problems() == ("a holds what is not a string", "b holds what is not an object", "d is not a list")


def test_a_free_form_object_is_copied_with_its_keys() -> None:
    value = {"a_b": [{"c": None}, 1.5, True, "\ud800"], "\udc00": {}}
    fields, findings = read({"args": value, "absent": None})
    assert fields.struct("args") == {"a_b": [{"c": None}, 1.5, True, "\ufffd"], "\ufffd": {}}
    assert fields.struct("absent") == {}
    assert findings.problems() == ()


@pytest.mark.parametrize("value", [[], "x", {"a": float("nan")}, {"a": [float("-inf")]}])
def test_a_free_form_object_that_cannot_be_handled_is_none(value: Any) -> None:
    fields, findings = read({"args": value})
    assert fields.struct("args") is None
    assert len(findings.problems()) == 1


def test_a_child_s_findings_carry_its_path() -> None:
    fields, findings = read({"a": {"b": {"c": 5, "d": 1}}, "e": 2, "f": None})
    inner = fields.child_or_empty("a").child_or_empty("b")
    inner.text("c")
    inner.unknown("kind", "NEW")
    assert findings.problems() == ("a.b.c is not a string",)
    assert findings.unknown() == ("a.b.kind (NEW)", "e", "a.b.d")


def test_an_absent_child_is_none_or_empty() -> None:
    fields, findings = read({"wrong": 5})
    assert fields.child("absent") is None
    assert fields.child_or_empty("absent").text("x") == ""
    assert fields.child("wrong") is None
    assert findings.problems() == ("wrong is not an object",)


def test_a_string_can_stand_for_an_object() -> None:
    fields, _ = read({"error": "no", "other": {"message": "yes"}})
    for name, words in (("error", "no"), ("other", "yes")):
        child = fields.child_or_text(name, "message")
        assert child is not None
        assert child.text("message") == words


def test_skipped_fields_are_not_reported() -> None:
    fields, findings = read({"a": 1, "b": 2})
    assert fields.has("x", "a")
    assert not fields.has("x", "y")
    fields.skip("a", "x")
    assert findings.unknown() == ("b",)


def test_findings_are_short_and_few_and_each_only_once() -> None:
    _, findings = read({f"{i} {'x' * 10**5}": i for i in range(100)})
    for i in range(100):
        findings.add_problem(f"{i // 2} \ud800")
    assert len(findings.unknown()) == len(findings.problems()) == MAX_NOTES
    assert max(map(len, findings.unknown())) <= MAX_NOTE_CHARACTERS + len("...")
    assert findings.problems()[:2] == ("0 \ufffd", "1 \ufffd")
