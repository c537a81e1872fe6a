"""Fragments become text, with the spaces that their script wants."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gemini_live.output.stitching import begins_sentence, find_word_end, stitch

IDEOGRAPHIC_SPACE = "\u3000"
CURLY = ("\u201c", "\u201d")


@pytest.mark.parametrize(
    ("text", "fragment", "whole"),
    [
        ("", "Hello", "Hello"),
        ("", " Hello ", "Hello "),
        ("", "\n\n  Hello", "Hello"),
        ("", " ", ""),
        ("Hel", "lo", "Hello"),
        ("Hello", " world", "Hello world"),
        ("Hello ", "world", "Hello world"),
        ("Hello ", " world", "Hello world"),
        ("Hello\t", "  world", "Hello\tworld"),
        ("Hello ", "", "Hello "),
        (" ", "x", " x"),
    ],
)
def test_fragments_are_joined_with_one_space_or_none(text: str, fragment: str, whole: str) -> None:
    assert stitch(text, fragment) == whole


@pytest.mark.parametrize(
    ("text", "fragment", "whole"),
    [
        ("It is.", "Then", "It is. Then"),
        ("Is it?", "Yes", "Is it? Yes"),
        ("It is!", " Then", "It is! Then"),
        ('"It is."', "Then", '"It is." Then'),
        ("(it is.)", "Then", "(it is.) Then"),
        (f"it is.{CURLY[1]}", f"{CURLY[0]}Then", f"it is.{CURLY[1]} {CURLY[0]}Then"),
        ("It is.", "'Then'", "It is. 'Then'"),
        ("Das ist gut.", "Über", "Das ist gut. Über"),
        ("Да.", "Нет", "Да. Нет"),
        ("It is", "Then", "It isThen"),
    ],
)
def test_a_sentence_is_set_off_from_the_next(text: str, fragment: str, whole: str) -> None:
    assert stitch(text, fragment) == whole


@pytest.mark.parametrize(
    ("text", "fragment", "whole"),
    [
        ("3.", "5", "3.5"),
        ("3.", "Five", "3.Five"),
        ("v1.", "x", "v1.x"),
        ("U.", "S.", "U.S."),
        ("example.", "com", "example.com"),
        ("it is.", '"', 'it is."'),
        ("it is.", ")", "it is.)"),
        ("it is.", ".", "it is.."),
        ("snake_.", "Case", "snake_.Case"),
    ],
)
def test_a_dot_within_a_word_or_number_ends_no_sentence(text: str, fragment: str, whole: str) -> None:
    assert stitch(text, fragment) == whole


@pytest.mark.parametrize(
    ("text", "fragment", "whole"),
    [
        ("x:\n", "    code", "x:\n    code"),
        ("x:", "\n    code", "x:\n    code"),
        ("x:\n\n", "\tcode", "x:\n\n\tcode"),
        ("x:\n    ", "code", "x:\n    code"),
        ("It is.", "\n- Then", "It is.\n- Then"),
        ("日\n", "  本", "日\n  本"),
        ("日", "\n  本", "日\n  本"),
        ("日\n  ", "本", "日\n  本"),
    ],
)
def test_the_indentation_of_a_line_stays(text: str, fragment: str, whole: str) -> None:
    assert stitch(text, fragment) == whole


@pytest.mark.parametrize(
    ("text", "fragment", "whole"),
    [
        ("", "今 日 は", "今日は"),
        ("你好", " 世界", "你好世界"),
        ("你好 ", "世界", "你好世界"),
        ("你好 ", " \t世 界", "你好世界"),
        ("你好", ",世界", "你好,世界"),
        ("你好", " 。", "你好。"),
        ("こん", " にちは", "こんにちは"),
        ("カタ ", "カナ", "カタカナ"),
        ("ﾊﾝ", " ｶｸ", "ﾊﾝｶｸ"),
        ("「はい。」", " 「いいえ。」", "「はい。」「いいえ。」"),
        ("ㄅ", " ㄆ", "ㄅㄆ"),
        ("𠮷", " 野", "𠮷野"),
        ("東京", f"{IDEOGRAPHIC_SPACE}大阪", f"東京{IDEOGRAPHIC_SPACE}大阪"),
    ],
)
def test_scripts_without_spaces_get_none(text: str, fragment: str, whole: str) -> None:
    assert stitch(text, fragment) == whole


@pytest.mark.parametrize(
    ("text", "fragment", "whole"),
    [
        ("안녕", " 하세요", "안녕 하세요"),
        ("안녕 ", " 하세요", "안녕 하세요"),
        ("", "안녕 하세요", "안녕 하세요"),
        ("네.", "그래요", "네. 그래요"),
        ("日本", " GPU", "日本 GPU"),
        ("GPU ", "日本", "GPU 日本"),
        ("日本", " 한국", "日本 한국"),
        ("สวัสดี", " ครับ", "สวัสดี ครับ"),
    ],
)
def test_other_scripts_keep_theirs(text: str, fragment: str, whole: str) -> None:
    assert stitch(text, fragment) == whole


@pytest.mark.parametrize(
    ("text", "fragment", "whole"),
    [
        ("x:\n  ", "  code", "x:\n    code"),
        ("Hello.\n", "World", "Hello.\nWorld"),
        ("Wow!!", "That", "Wow!! That"),
        ("です!", "はい", "です!はい"),
    ],
)
def test_the_start_of_a_line_doubled_marks_and_marks_among_scripts_without_spaces_are_seen(
    text: str, fragment: str, whole: str
) -> None:
    assert stitch(text, fragment) == whole


@settings(deadline=None)
@given(st.text(max_size=20), st.lists(st.text(max_size=8), max_size=8))
def test_stitching_changes_nothing_but_spaces(text: str, fragments: list[str]) -> None:
    whole = text
    for fragment in fragments:
        whole = stitch(whole, fragment)
    assert "".join(whole.split()) == "".join((text + "".join(fragments)).split())


@settings(deadline=None)
@given(st.text(), st.text())
def test_stitching_leaves_whole_lines_alone(text: str, fragment: str) -> None:
    lines = text[: text.rfind("\n") + 1]
    assert stitch(text, fragment).startswith(lines)


@pytest.mark.parametrize(
    ("text", "fragment", "begins"),
    [
        ("It is.", "Then", True),
        ('"It is." ', "then", True),
        ("\u662f\u3002", "\u4e0d", True),
        ("It is", "\nThen", True),
        ("It is", "Then", False),
        ("", "Then", False),
    ],
)
def test_a_sentence_begins_after_a_full_stop_or_on_a_new_line(text: str, fragment: str, begins: bool) -> None:
    assert begins_sentence(text, fragment) is begins


@pytest.mark.parametrize(("n", "end"), [(0, 0), (1, 3), (3, 3), (4, 7), (8, 8), (9, 9), (10, 9)])
def test_a_word_is_taken_whole_and_a_character_of_a_script_without_spaces_is_one(n: int, end: int) -> None:
    assert find_word_end("One two\u4e00\u4e8c", n) == end
