"""Completes commands at the prompt, with their files and words."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter
from prompt_toolkit.document import Document

from ..output.help import COMMAND_MARK, name_of


class CommandCompleter(Completer):
    """Offers completions for a line that begins with a slash."""

    def __init__(self, commands: Mapping[str, str], function_names: Callable[[], Sequence[str]] = list) -> None:
        """Offer `commands`: the usage of each with its meaning; `function_names` returns what `/call` can call."""
        self._commands, self._function_names = commands, function_names
        self._paths = PathCompleter(expanduser=True)

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
        """Yield the completions of the text before the cursor."""
        text = document.text
        name, space, argument = document.text_before_cursor.partition(" ")
        if not name.startswith(COMMAND_MARK) or "\n" in text:
            return
        argument = argument.lstrip()
        if not space:
            for usage, meaning in self._commands.items():
                command = name_of(usage)
                if command.startswith(name.lower()) and command != COMMAND_MARK * 2:
                    yield Completion(command, -len(name), display=usage, display_meta=meaning)
            return
        for usage in self._commands:
            command, _, takes = usage.partition(" ")
            if command != name.lower():
                continue
            if takes.startswith("NAME "):
                names = [each for each in self._function_names() if each.startswith(argument)]
                yield from (Completion(each, -len(argument)) for each in names if " " not in argument)
            elif takes == "FILE":
                yield from self._paths.get_completions(Document(argument), complete_event)
            elif takes.isupper():
                return
            elif takes:
                yield from (
                    Completion(word, -len(argument))
                    for word in takes.strip("[]").split("|")
                    if word.startswith(argument)
                )
