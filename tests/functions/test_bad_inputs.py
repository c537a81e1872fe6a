"""What each bad input prints: files of functions that are wrong, and results that cannot be written."""

import re

import pytest

from tests.functions.loading import Write, load_file, refusal_of

TOOL = "from gemini_live.functions import tool\n"
WRITE_OUT = (
    "but the model must be told each argument: write out the parameters (in a decorator, put "
    "@functools.wraps(function) above the inner function)"
)
NO_NAME = "has a name that the API forbids: use letters, digits and underscores, at most 64"
NO_TYPE = (
    "of a type that JSON cannot carry: use str, int, float, bool, list, dict, an enum, a dataclass or a pydantic model"
)
FILES: dict[str, str] = {
    "def f(: pass\n": "tools.py:1: cannot be imported: invalid syntax",
    "def f(): pass\0\n": "tools.py: cannot be imported: source code string cannot contain null bytes",
    "import nothing_of_this_name\n": "tools.py:1: cannot be imported: ModuleNotFoundError: No module named "
    "'nothing_of_this_name'",
    "import sys\nsys.exit(3)\n": "tools.py:2: cannot be imported: SystemExit: 3",
    "import os\nos.close(1)\n": "tools.py: cannot be imported: it closes stdout",
    "x = 1\n": "tools.py: defines no public function: write one with `def`",
    "def f(a): pass\n": "tools.py:1: `f` has a parameter `a` without a type annotation: write for example `a: str`",
    "def f(*args: int): pass\n": f"tools.py:1: `f` takes `*args: int`, {WRITE_OUT}",
    "def f(**kwargs: int): pass\n": f"tools.py:1: `f` takes `**kwargs: int`, {WRITE_OUT}",
    "def f(a: int, /): pass\n": "tools.py:1: `f` has a positional-only parameter `a`, but the model passes arguments "
    "by name: remove the `/`",
    "def f():\n    yield 1\n": "tools.py:1: `f` is a generator, but a call has one result: return a list, or write "
    "`async def`",
    "import socket\ndef f(s: socket.socket): pass\n": f"tools.py:2: `f` has a parameter `s` {NO_TYPE} "
    "(PydanticSchemaGenerationError: Unable to generate pydantic-core schema for <class 'socket.socket'>)",
    "def f(a: 'Nothing'): pass\n": "tools.py:1: `f` has annotations that cannot be read: NameError: name 'Nothing' is "
    "not defined",
    "def _d(f): return 3\n@_d\ndef f(): pass\n": "tools.py:3: `f` is no longer a function but of type int: return a "
    "function from its decorator, or begin its name with an underscore",
    "from pydantic import Field\ndef f(a: int = Field(3)): pass\n": "tools.py:2: `f` has a `Field` as the default of "
    "`a`: write `a: Annotated[type, Field(...)] = value`",
    "def größe(): pass\n": f"tools.py:1: `größe` {NO_NAME}",
    f"def {'f' * 65}(): pass\n": f"tools.py:1: `{'f' * 65}` {NO_NAME}",
    "def f(ä: int): pass\n": "tools.py:1: `f` has a parameter `ä`, a name that the API forbids: use letters, digits "
    "and underscores, at most 64",
    "def f(): pass\nf.__doc__ = '\\ud83d'\n": "tools.py:1: `f` cannot be declared: the declaration['description'] is "
    "not valid Unicode",
    TOOL + "@tool(behavior='LATER')\ndef f(): pass\n": "tools.py:2: cannot be imported: ValueError: tool: behavior is "
    "BLOCKING or NON_BLOCKING, not 'LATER'",
    TOOL + "@tool(confrim=True)\ndef f(): pass\n": "tools.py:2: cannot be imported: TypeError: tool: there is no "
    "option confrim; the options are behavior, scheduling, confirm, name, timeout_s",
    TOOL + "@tool(name='a b')\ndef f(): pass\n": f"tools.py:3: `f` {NO_NAME}",
    TOOL + "@tool(timeout_s=-1)\ndef f(): pass\n": "tools.py:2: cannot be imported: ValueError: tool: timeout_s is a "
    "number of seconds above 0, not -1",
    TOOL + "@tool(scheduling='SILENT')\ndef f(): pass\n": "tools.py:2: cannot be imported: ValueError: tool: "
    "scheduling needs behavior='NON_BLOCKING': a model that waits reacts at once",
}
RESULTS: dict[str, str] = {
    "object()": "the result is of type object (PydanticSerializationError: Unable to serialize unknown type: <class "
    "'object'>)",
    "(i for i in [1])": "the result is of type generator: return a list",
    "(lambda l: (l.append(l), l)[1])([])": "the result[0] contains itself",
    "eval('[' * 80 + ']' * 80)": "the result is nested more than 64 levels deep",
    "'\\ud83d'": "the result is not valid Unicode",
    "{'a': [10**400]}": "the result['a'][0] is too large a number",
    "{1: 1, '1': 2}": "the result has two keys that JSON writes as '1'",
    "{object(): 1}": "the result has a key of type object (PydanticSerializationError: Unable to serialize unknown "
    "type: <class 'object'>)",
}


@pytest.mark.parametrize("source", FILES, ids=lambda source: source[:40])
def test_a_wrong_file_is_told_in_one_line(write: Write, source: str) -> None:
    # Before 3.11.4 a null byte was a ValueError, since then it is a SyntaxError, whose name is not told.
    message = str(refusal_of(write(source))).replace("ValueError: source code", "source code")
    assert message[message.index("tools.py") :] == FILES[source]


@pytest.mark.parametrize("expression", RESULTS)
async def test_a_result_that_cannot_be_written_is_told_to_the_model(write: Write, expression: str) -> None:
    result = await load_file(write(f"def f():\n    return {expression}\n")).call("f", {})
    assert result.response == {"error": f"the function returned a value that JSON cannot hold: {RESULTS[expression]}"}


def test_a_default_that_the_service_could_not_read_is_left_out(write: Write) -> None:
    declared = load_file(write("def f(a: int = 10**400, b: str = '\\ud83d', c: int = 1): pass\n")).declarations[0]
    defaults = re.findall(r"'default': [^}]*", str(declared))
    assert defaults == ["'default': 1"]
