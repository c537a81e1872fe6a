"""Completions of a line that begins with a slash."""

from pathlib import Path

import pytest
from prompt_toolkit.completion import CompleteEvent, Completion
from prompt_toolkit.document import Document

from gemini_live.output.help import COMMANDS
from gemini_live.prompt.completer import CommandCompleter

TABLE = {
    "/call NAME JSON": "call a function",
    "/image FILE": "show a picture",
    "/mute [on|off]": "mute",
    "/quit": "leave",
    "/save FILE": "write a file",
    "/screen on|off": "show the screen",
    "//": "a slash",
}


def completions(text: str, cursor: int | None = None) -> list[Completion]:
    """Return what is offered with the cursor at the end, or where it is said to be."""
    return list(CommandCompleter(TABLE).get_completions(Document(text, cursor), CompleteEvent(text_inserted=True)))


def offered(text: str, cursor: int | None = None) -> list[str]:
    """Return what the text before the cursor may become."""
    before = text[:cursor]
    return [before[: len(before) + item.start_position] + item.text for item in completions(text, cursor)]


# Commands


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        ("/", ["/call", "/image", "/mute", "/quit", "/save", "/screen"]),
        ("/s", ["/save", "/screen"]),
        ("/sa", ["/save"]),
        ("/save", ["/save"]),
        ("/saved", []),
        ("/x", []),
    ],
)
def test_commands_with_the_typed_prefix_are_offered(text: str, becomes: list[str]) -> None:
    assert offered(text) == becomes


@pytest.mark.parametrize("text", ["", "hello", "hello /s", " /s", "say /quit ", "/s\nmore", "/screen on\n/s", "\n/s"])
def test_a_line_that_is_not_a_command_gets_no_completions(text: str) -> None:
    assert offered(text) == []


def test_several_lines_get_no_completions() -> None:
    assert offered("/s\nmore", 2) == []


@pytest.mark.parametrize("text", ["//", "//s", "// on"])
def test_a_line_that_begins_with_two_slashes_gets_no_completions(text: str) -> None:
    assert offered(text) == []


def test_text_after_the_cursor_does_not_matter() -> None:
    assert offered("/sxyz", 2) == ["/save", "/screen"]
    assert offered("/screen offside", 9) == ["/screen on", "/screen off"]
    assert offered("/s on", 2) == ["/save", "/screen"]


def test_a_command_is_shown_with_its_usage_and_what_it_does() -> None:
    shown = [(item.text, item.display_text, item.display_meta_text) for item in completions("/s")]
    assert shown == [("/save", "/save FILE", "write a file"), ("/screen", "/screen on|off", "show the screen")]


def test_all_our_commands_are_offered() -> None:
    offers = CommandCompleter(COMMANDS).get_completions(Document("/"), CompleteEvent())
    names = [usage.split(" ")[0] for usage in COMMANDS]
    assert [item.text for item in offers] == [name for name in names if name != "//"]


# What they take


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        ("/screen ", ["/screen on", "/screen off"]),
        ("/screen o", ["/screen on", "/screen off"]),
        ("/screen of", ["/screen off"]),
        ("/screen off", ["/screen off"]),
        ("/screen offs", []),
        ("/mute o", ["/mute on", "/mute off"]),
        ("/screen on off", []),
        ("/scree o", []),
    ],
)
def test_words_with_the_typed_prefix_are_offered(text: str, becomes: list[str]) -> None:
    assert offered(text) == becomes


@pytest.mark.parametrize("text", ["/quit ", "/quit now", "/nothing "])
def test_a_command_without_arguments_gets_no_completions(text: str) -> None:
    assert offered(text) == []


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with files in it, where the command runs."""
    for name in ("cat.png", "cat two.png", "dog.png"):
        (tmp_path / name).touch()
    (tmp_path / "cats").mkdir()
    (tmp_path / "cats" / "tom.png").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("command", ["/image", "/save"])
def test_a_command_that_takes_a_file_gets_files(folder: Path, command: str) -> None:
    assert offered(f"{command} cat") == [f"{command} cat two.png", f"{command} cat.png", f"{command} cats"]
    assert offered(f"{command} cat t") == [f"{command} cat two.png"]
    assert offered(f"{command} cats/") == [f"{command} cats/tom.png"]
    assert offered(f"{command} mouse") == []


def test_all_files_here_are_offered_before_the_first_letter(folder: Path) -> None:
    assert offered("/image ") == ["/image cat two.png", "/image cat.png", "/image cats", "/image dog.png"]


def test_files_are_offered_by_absolute_path_and_in_the_home_directory(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("USERPROFILE", str(folder))
    assert offered(f"/image {folder}/d") == [f"/image {folder}/dog.png"]
    assert offered("/image ~/d") == ["/image ~/dog.png"]


def test_only_what_is_before_the_cursor_names_a_file(folder: Path) -> None:
    assert offered("/image dxyz", 8) == ["/image dog.png"]


def test_call_completes_the_names_of_functions() -> None:
    completer = CommandCompleter(COMMANDS, lambda: ["read_file", "read_text", "write"])
    for text, expected in (("/call re", ["read_file", "read_text"]), ("/call w", ["write"]), ("/call write {", [])):
        offers = completer.get_completions(Document(text), CompleteEvent())
        assert [each.text for each in offers] == expected
