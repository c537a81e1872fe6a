"""The functions and the servers that the settings ask for."""

import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from gemini_live.choose_functions import Surroundings, load_library
from gemini_live.config import Config, McpOption
from gemini_live.errors import MissingExtraError
from gemini_live.output.events import Event


class Around:
    """What functions need, and what they did with it."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.secrets: list[str] = []
        self.lines: list[str] = []
        self.surroundings = Surroundings(
            environ={"TOKEN": "Bearer t0ken-of-nobody"},
            key="",
            withheld=[],
            emit=self.events.append,
            print_line=self.lines.append,
            end_line=lambda: None,
            keep_secrets=self._keep,
            is_interrupted=lambda: False,
        )

    def _keep(self, secrets: Iterable[str]) -> None:
        self.secrets += secrets


def test_nothing_is_loaded_unless_it_is_asked_for() -> None:
    assert load_library(Config(), Around().surroundings) is None


def test_files_alone_need_no_server(tmp_path: Path) -> None:
    file = tmp_path / "tools.py"
    file.write_text("def f() -> int: return 1\n")
    library = load_library(Config(import_functions=(file,)), Around().surroundings)
    assert library is not None
    assert not library.has_servers
    assert list(library.caller.sources) == ["f"]


def test_the_values_of_headers_are_masked_with_and_without_their_first_word() -> None:
    around = Around()
    config = Config(mcp=(McpOption("https://host/mcp", (("Authorization", "TOKEN"),)),))
    library = load_library(config, around.surroundings)
    assert library is not None
    assert library.has_servers
    assert around.secrets == ["Bearer t0ken-of-nobody", "t0ken-of-nobody"]


def test_without_the_extra_the_user_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mcp", None)
    monkeypatch.delitem(sys.modules, "gemini_live.functions.mcp", raising=False)
    with pytest.raises(MissingExtraError) as caught:
        load_library(Config(mcp=(McpOption("uvx mcp-server-time"),)), Around().surroundings)
    assert "--mcp" in str(caught.value)
    assert "gemini-live[mcp]" in str(caught.value)
