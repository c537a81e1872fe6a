"""Reads a script of answers, a TOML file. A mistake in it becomes one line: file, line, what is wrong, what was meant.

tomllib does not tell where a key stands, so the places are looked up in the text (script_lines.py). Longer than the
script itself: most of it is checks.
"""

import difflib
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from gemini_live.errors import ConfigError

from .actions import Action, Call, Close, End, Say, Search, Silent, Think, Together, Wait, read_wav
from .close_reasons import ABNORMAL_CLOSURE
from .script import PLACEHOLDER, Rule, Script
from .script_lines import ScriptLines

MAX_SCRIPT_BYTES = 2**20
_MAX_WAIT_S = 3600.0

_CONDITIONS = ("text", "voice", "turn", "result", "returns")
_COMPANIONS = {
    "say": (),
    "play": ("words",),
    "call": ("args",),
    "think": (),
    "search": ("pages",),
    "wait": (),
    "silent": (),
    "end": (),
    "close": ("reason",),
}
"""The keys of actions, each with those that may stand beside it."""
_LAST = ("silent", "end", "close")
"""Actions after which nothing can follow."""
_REASONS = (
    *("", "MALFORMED_FUNCTION_CALL", "RESPONSE_REJECTED", "NEED_MORE_INPUT", "PROHIBITED_INPUT_CONTENT"),
    *("IMAGE_PROHIBITED_INPUT_CONTENT", "INPUT_TEXT_CONTAIN_PROMINENT_PERSON_PROHIBITED", "INPUT_IMAGE_CELEBRITY"),
    *("INPUT_IMAGE_PHOTO_REALISTIC_CHILD_PROHIBITED", "INPUT_TEXT_NCII_PROHIBITED", "INPUT_OTHER"),
    "INPUT_IP_PROHIBITED",
)
"""The values of turnCompleteReason about questions, by google-genai 3.6.1."""
_CLOSE_CODES = {*range(1000, 1004), *range(ABNORMAL_CLOSURE, 1015), *range(3000, 5000)}


def read_script(path: str | Path) -> Script:
    """Return the script in a file.

    Raises:
        ConfigError: One line on what is wrong with the file, and where.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_SCRIPT_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    if len(data) > MAX_SCRIPT_BYTES:
        raise ConfigError(f"{path}: larger than {MAX_SCRIPT_BYTES >> 20} MiB")
    try:
        text = data.decode()
        parsed = tomllib.loads(text)
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}:{data[: error.start].count(10) + 1}: not UTF-8 text") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(_place_syntax_error(path, text, error)) from error
    except RecursionError as error:
        raise ConfigError(f"{path}: nested too deeply") from error
    return _Reader(path, ScriptLines(text), parsed).read()


def _place_syntax_error(path: Path, text: str, error: tomllib.TOMLDecodeError) -> str:
    """Return the words of tomllib with the line in front."""
    words = str(error)
    at = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", words)
    line = int(at[1]) if at and at[1] else text.rstrip().count("\n") + 1
    what = words[: at.start()] if at else words
    return f"{path}:{line}: not TOML: {what[:1].lower()}{what[1:]}"


class _Reader:
    """Reads one file; knows which rule and which action it is at, for the errors."""

    def __init__(self, path: Path, lines: ScriptLines, parsed: dict[str, Any]) -> None:
        self._path, self._lines, self._parsed = path, lines, parsed
        self._rule = self._action = -1
        """Where the reader is: the index of a rule, and of an action in its `do`; -1: in none."""
        self._names: set[str] = set()
        """The names of all expressions."""

    def read(self) -> Script:
        self._check_keys(self._parsed, ("rule",), "the file")
        tables = self._parsed.get("rule")
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            self._fail("rule", "rules are written as [[rule]]" if tables is not None else "there is no [[rule]]")
        patterns = [self._read_pattern_of(i, table) for i, table in enumerate(tables)]
        self._names = {name for pattern in patterns if pattern for name in pattern.groupindex}
        return Script(tuple(self._read_rule(i, table, patterns[i]) for i, table in enumerate(tables)))

    def _fail(self, key: str, words: str) -> NoReturn:
        raise ConfigError(f"{self._path}:{self._lines.find(key, self._rule, self._action)}: {words}")

    def _check_keys(self, table: Mapping[str, Any], known: Iterable[str], where: str) -> None:
        known = list(known)
        for key in table:
            if key not in known:
                self._fail(key, f'unknown key "{key}" in {where}{_suggest(key, known)}')

    def _read_pattern_of(self, i: int, table: Mapping[str, Any]) -> re.Pattern[str] | None:
        self._rule, self._action = i, -1
        return self._read_pattern(table, "text")

    def _read_pattern(self, table: Mapping[str, Any], key: str) -> re.Pattern[str] | None:
        if key not in table:
            return None
        text = self._read_text(table, key)
        try:
            pattern = re.compile(text, re.IGNORECASE)
        except re.error as error:
            self._fail(key, f"{key}: not a regular expression: {error.msg} at position {error.pos}")
        except (OverflowError, RecursionError):
            self._fail(key, f"{key}: not a regular expression that can be used")
        if taken := {"text", "result"} & set(pattern.groupindex):
            self._fail(key, f"{key}: the name {min(taken)} has a meaning of its own; choose another")
        return pattern

    def _read_text(self, table: Mapping[str, Any], key: str) -> str:
        value = table[key]
        if not isinstance(value, str):
            self._fail(key, f"{key} is a text in quotation marks, not {_name(value)}")
        return value

    def _read_rule(self, i: int, table: Mapping[str, Any], text: re.Pattern[str] | None) -> Rule:
        self._rule, self._action = i, -1
        companions = [key for keys in _COMPANIONS.values() for key in keys]
        self._check_keys(table, (*_CONDITIONS, "heard", "do", *_COMPANIONS, *companions), "a rule")
        heard = self._read_words(table, "heard") if "heard" in table else ""
        result = self._read_text(table, "result") if "result" in table else None
        voice, turn = table.get("voice"), table.get("turn")
        if voice is not None and not isinstance(voice, bool):
            self._check_number(table, "voice")
        if turn is not None:
            self._check_number(table, "turn")
        if heard and (voice is False or result is not None):
            self._fail("heard", "heard is for spoken questions; this rule is for others")
        if "returns" in table and result is None:
            self._fail("returns", 'returns needs result = "NAME OF A FUNCTION"')
        actions = self._read_actions(table, has_result=result is not None)
        if actions is None and not heard:
            self._fail("", f"a rule needs an action: do or one of {', '.join(_COMPANIONS)}")
        return Rule(actions, text, voice, turn, result, self._read_returns(table), heard)

    def _read_words(self, table: Mapping[str, Any], key: str) -> str:
        words = self._read_text(table, key)
        if not words.strip():
            self._fail(key, f"{key} is empty")
        return words

    def _check_number(self, table: Mapping[str, Any], key: str) -> None:
        value = table[key]
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            kinds = "true, false or a number from 1" if key == "voice" else "a number from 1"
            self._fail(key, f"{key} is {kinds}, not {_name(value)}")

    def _read_returns(self, table: Mapping[str, Any]) -> re.Pattern[str] | Mapping[str, Any] | None:
        returns = table.get("returns")
        if returns is None or isinstance(returns, dict):
            return returns
        if not isinstance(returns, str):
            self._fail("returns", f"returns is an expression or a table, not {_name(returns)}")
        return self._read_pattern(table, "returns")

    def _read_actions(self, table: Mapping[str, Any], *, has_result: bool) -> tuple[Action, ...] | None:
        """Return the actions of a rule, whether they stand in `do` or beside the conditions."""
        beside = {key: value for key, value in table.items() if key not in (*_CONDITIONS, "heard", "do")}
        if "do" not in table:
            return (self._read_action(beside, has_result=has_result),) if beside else None
        if beside:
            key = next(iter(beside))
            self._fail(key, f'"{key}" stands beside do; put it into do')
        items = table["do"]
        if not isinstance(items, list) or not items or not all(isinstance(item, dict) for item in items):
            self._fail("do", 'do is a list of actions: do = [{ say = "Hello" }, { wait = 1 }]')
        actions = []
        for i, item in enumerate(items):
            self._action = i
            actions.append(self._read_action(item, has_result=has_result))
            if i < len(items) - 1 and (last := next((key for key in _LAST if key in item), None)):
                self._fail(last, f"nothing can follow {last}")
        self._action = -1
        return tuple(actions)

    def _read_action(self, table: Mapping[str, Any], *, has_result: bool) -> Action:
        kinds = [key for key in table if key in _COMPANIONS]
        known = {*_COMPANIONS, *(key for keys in _COMPANIONS.values() for key in keys)}
        self._check_keys(table, sorted(known), "an action")
        if not kinds:
            key = next(iter(table), "do")
            owner = next((kind for kind, keys in _COMPANIONS.items() if key in keys), "say")
            self._fail(key, f'"{key}" needs "{owner}" beside it')
        if len(kinds) > 1:
            self._fail(kinds[1], f"an action has {' and '.join(kinds)}; several actions are a list: do = [...]")
        (kind,) = kinds
        for key in table:
            if key != kind and key not in _COMPANIONS[kind]:
                self._fail(key, f'"{key}" does not belong to "{kind}"')
        readers: dict[str, Callable[[Mapping[str, Any]], Action]] = {
            "say": lambda table: Say(self._read_words(table, "say")),
            "play": self._read_play,
            "call": self._read_call,
            "think": lambda table: Think(self._read_words(table, "think")),
            "search": self._read_search,
            "wait": self._read_wait,
            "silent": self._read_silent,
            "end": self._read_end,
            "close": self._read_close,
        }
        action = readers[kind](table)
        self._check_placeholders(kind, table, has_result=has_result)
        return action

    def _read_play(self, table: Mapping[str, Any]) -> Action:
        words = self._read_text(table, "words") if "words" in table else ""
        try:
            return Say(words, read_wav(self._path.parent / self._read_words(table, "play")))
        except ConfigError as error:
            if str(error).startswith(f"{self._path}:"):
                raise
            self._fail("play", f"play: {error}")

    def _read_call(self, table: Mapping[str, Any]) -> Action:
        called = table["call"]
        if isinstance(called, list):
            if "args" in table:
                self._fail("args", "args stand inside each of several calls")
            if not called or not all(isinstance(item, dict) for item in called):
                self._fail("call", 'several calls are written as call = [{ name = "f", args = {} }, { name = "g" }]')
            return Together(*(self._read_one_call(item, "name") for item in called))
        return self._read_one_call(table, "call")

    def _read_one_call(self, table: Mapping[str, Any], key: str) -> Call:
        if key == "name":
            self._check_keys(table, ("name", "args"), "a call")
            if "name" not in table:
                self._fail("call", "a call has no name")
        args = table.get("args")
        if args is not None and not isinstance(args, dict):
            self._fail("args", f'args is a table, as in args = {{ city = "Oslo" }}, not {_name(args)}')
        if args is not None and (wrong := _find_date(args)) is not None:
            self._fail("args", f"args: JSON has no {_name(wrong)}; put it in quotation marks")
        return Call(self._read_words(table, key), args)

    def _read_search(self, table: Mapping[str, Any]) -> Action:
        pages = []
        for page in table.get("pages", []) if isinstance(table.get("pages", []), list) else [None]:
            if not isinstance(page, dict) or not isinstance(page.get("url"), str):
                self._fail("pages", 'pages are written as pages = [{ url = "https://...", title = "..." }]')
            self._check_keys(page, ("url", "title"), "a page")
            pages.append((page["url"], self._read_text(page, "title") if "title" in page else page["url"]))
        return Search(self._read_words(table, "search"), tuple(pages))

    def _read_wait(self, table: Mapping[str, Any]) -> Action:
        value = table["wait"]
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= _MAX_WAIT_S:
            self._fail("wait", f"wait is a number of seconds up to {_MAX_WAIT_S:g}, not {_name(value)}")
        return Wait(float(value))

    def _read_silent(self, table: Mapping[str, Any]) -> Action:
        if table["silent"] is not True:
            self._fail("silent", f"silent is true, not {_name(table['silent'])}")
        return Silent()

    def _read_end(self, table: Mapping[str, Any]) -> Action:
        reason = self._read_text(table, "end")
        if reason not in _REASONS:
            self._fail("end", f"unknown reason {reason}{_suggest(reason, _REASONS)}")
        return End(reason)

    def _read_close(self, table: Mapping[str, Any]) -> Action:
        code = table["close"]
        if not isinstance(code, int) or isinstance(code, bool) or code not in _CLOSE_CODES - {1015}:
            self._fail("close", f"close is the code of a close frame, such as 1011, not {_name(code)}")
        return Close(code, self._read_text(table, "reason") if "reason" in table else "")

    def _check_placeholders(self, key: str, table: Mapping[str, Any], *, has_result: bool) -> None:
        for name in _find_placeholders(table):
            first = name.partition(".")[0]
            if first == "result" and not has_result:
                self._fail(key, f"{{{name}}}: only a rule with result has a result")
            if first not in ("text", "result") and name not in self._names:
                known = sorted({*self._names, "text", *(["result"] if has_result else [])})
                self._fail(key, f"{{{name}}}: no expression has this name{_suggest(name, known)}")


def _find_placeholders(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield from (match[1] for match in PLACEHOLDER.finditer(value))
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _find_placeholders(item)
    elif isinstance(value, list):
        for item in value:
            yield from _find_placeholders(item)


def _find_date(value: Any) -> Any:
    """Return a date or a time inside a value, which JSON cannot hold; None if there is none."""
    if isinstance(value, Mapping | list):
        items = value.values() if isinstance(value, Mapping) else value
        return next((found for item in items if (found := _find_date(item)) is not None), None)
    return None if isinstance(value, str | int | float | bool) else value


def _suggest(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word.lower(), [name.lower() for name in known], n=1, cutoff=0.6)
    meant = next((name for name in known if close and name.lower() == close[0]), "")
    return f'; did you mean "{meant}"?' if meant else ""


def _name(value: Any) -> str:
    """Return a value as the file shows it, short."""
    match value:
        case bool():
            return "true" if value else "false"
        case dict():
            return "a table"
        case list():
            return "a list"
        case str():
            return f'"{value[:40]}"'
        case int() | float():
            return f"{value:g}" if isinstance(value, float) else str(value)[:40]
    return "date or time"
