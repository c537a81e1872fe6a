"""`@tool`: how a function wants to be declared and run."""

import subprocess
import sys

import pytest

from gemini_live.functions import tool
from gemini_live.functions.tool import ToolOptions, options_of
from gemini_live.models import MODELS, Behavior
from tests.functions.loading import Write, load_file, refusal_of


def test_importing_it_is_cheap() -> None:
    code = "import sys; from gemini_live.functions import tool; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"pydantic", "asyncio", "google", "websockets"} & set(modules)


def test_a_function_stays_what_it_is() -> None:
    def f(a: int) -> int:
        return a

    assert tool(f) is f
    assert options_of(f) == ToolOptions()
    assert tool(confirm=True, timeout_s=2)(f) is f
    assert options_of(f) == ToolOptions(confirm=True, timeout_s=2)
    assert options_of(len) == ToolOptions()


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ("behavior='FAST'", "ValueError: tool: behavior is BLOCKING or NON_BLOCKING, not 'FAST'"),
        (
            "behavior='NON_BLOCKING', scheduling='soon'",
            "ValueError: tool: scheduling is SILENT, WHEN_IDLE or INTERRUPT, not 'soon'",
        ),
        ("scheduling='SILENT'", "ValueError: tool: scheduling needs behavior='NON_BLOCKING'"),
        ("confirm='yes'", "TypeError: tool: confirm is True or False, not 'yes'"),
        ("name=5", "TypeError: tool: name is a string, not 5"),
        ("timeout_s=0", "ValueError: tool: timeout_s is a number of seconds above 0, not 0"),
        ("timeout_s=True", "ValueError: tool: timeout_s is a number of seconds above 0, not True"),
        ("colour='red'", "tool: there is no option colour; the options are behavior, "),
    ],
)
def test_a_wrong_option_is_refused_with_its_line(write: Write, options: str, error: str) -> None:
    refusal = refusal_of(write(f"from gemini_live.functions import tool\n@tool({options})\ndef f() -> None: ...\n"))
    assert refusal.line == 2
    assert error in refusal.reason


FILE = """
    import asyncio, functools
    from gemini_live.functions import tool

    def _logged(function):
        @functools.wraps(function)
        def wrapper(**arguments):
            return function(**arguments)
        return wrapper

    @_logged
    @tool(name="buy", behavior="NON_BLOCKING", scheduling="SILENT", confirm=True)
    def purchase(item: str) -> dict:
        return {"bought": item}

    @tool(timeout_s=0.01)
    async def wait() -> None:
        await asyncio.Event().wait()

    @tool(behavior="NON_BLOCKING", scheduling="SILENT")
    def own(how: str) -> dict:
        return {"scheduling": how}

    @tool
    def plain() -> str:
        return "x"
"""


async def test_a_function_is_declared_and_run_as_it_wants(write: Write) -> None:
    functions = load_file(write(FILE))
    assert [(each["name"], each["behavior"]) for each in functions.declarations] == [
        ("buy", "NON_BLOCKING"),
        ("wait", "BLOCKING"),
        ("own", "NON_BLOCKING"),
        ("plain", "BLOCKING"),
    ]
    assert functions.warnings == []
    result = await functions.call("buy", {"item": "tea"})
    assert (result.response, result.scheduling) == ({"bought": "tea"}, "SILENT")
    result = await functions.call("wait", {})
    assert result.response == {"error": "TimeoutError: wait did not finish within 0.01 s"}
    assert (await functions.call("own", {"how": "INTERRUPT"})).scheduling == "INTERRUPT"
    assert (await functions.call("plain", {})).scheduling is None
    wanted = [name for name in ("buy", "wait", "own", "plain", "none") if functions.wants_confirmation(name)]
    assert wanted == ["buy"]


@pytest.mark.parametrize(
    ("model", "wanted", "only"),
    [
        ("gemini-3.1-flash-live-preview", Behavior.NON_BLOCKING, Behavior.BLOCKING),
        ("gemini-3.8-live-extended-thinking", Behavior.BLOCKING, Behavior.NON_BLOCKING),
    ],
)
def test_what_a_model_cannot_do_is_left_out_with_a_warning(
    write: Write, model: str, wanted: Behavior, only: Behavior
) -> None:
    source = "from gemini_live.functions import tool\n@tool(behavior={!r})\ndef f() -> None: ...\n"
    path = write(source.format(wanted.value))
    functions = load_file(path, MODELS[model])
    assert functions.declarations == [{"name": "f"}]
    assert functions.warnings == [
        f"{path}:3: `f` wants behavior {wanted.value}, but with this model every call is {only.value}"
    ]
    assert load_file(write(source.format(only.value)), MODELS[model]).warnings == []


def test_a_name_that_the_api_forbids_is_refused(write: Write) -> None:
    refusal = refusal_of(write("from gemini_live.functions import tool\n@tool(name='a b')\ndef f() -> None: ...\n"))
    assert "has a name that the API forbids" in refusal.reason


def test_two_functions_cannot_have_one_name(write: Write) -> None:
    refusal = refusal_of(
        write("from gemini_live.functions import tool\ndef g(): ...\n@tool(name='g')\ndef f() -> None: ...\n")
    )
    assert (refusal.line, refusal.reason.split(":")[0]) == (4, "`g` is already defined in " + refusal.file)
