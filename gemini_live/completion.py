"""The script that teaches a shell to complete the command: what shtab writes for the parser, and what it lacks.

The only module that knows shtab. It takes a parser of its own, which it alters.
"""

import argparse

import shtab

from .models import MODELS, VOICES

_VALUES = {"--model": tuple(MODELS), "--voice": VOICES, "--api-version": ("v1", "v1beta", "v1alpha")}
"""What is offered for options that take other values, too."""

_ANY_FILE = {"bash": "_gemini_live_files", "zsh": "_files", "fish": "(_gemini_live_files)"}
_FILES = {
    "--input-file": _ANY_FILE,
    "--output-file": _ANY_FILE,
    "--import-functions": {
        "bash": "_gemini_live_python_files",
        "zsh": "_files -g '*.py'",
        "fish": "(_gemini_live_python_files)",
    },
    "--setup": {
        "bash": "_gemini_live_setup_files",
        "zsh": "{compset -P @ && _files}",
        "fish": "(_gemini_live_setup_files)",
    },
}
"""How each shell finds the files for an option.

Not by shtab's own functions: in bash and fish they do not know a name that has a space in it, in fish neither a path
that follows `=` or begins with `~`; and zsh takes a single pattern of theirs for glob qualifiers.
"""

# By the "_file" in a function's name shtab knows that bash is to quote what it offers, and to put a slash after a
# folder. It does not see that a word with an @ before it is a folder.
_BASH_FILES = """\
_gemini_live_files() {
  compgen -f -- "$1"
}

_gemini_live_python_files() {
  compgen -f -X '!*.py' -- "$1"
  compgen -d -- "$1"
}

_gemini_live_setup_files() {
  local path=${1#\\\\}  # bash has put it before the @, if it has completed a part already
  [[ $path == @* ]] && compgen -f -- "${path#@}" | while IFS= read -r path; do
    [[ -d $path ]] && path+=/
    printf '@%s\\n' "$path"
  done
}
"""

# bash hands over `--voice=Puck` as three words and `@FILE` as two, but shtab's function counts the words behind an
# option. $2 is the word that bash replaces, which is always right.
_BASH_WORDS = """

_gemini_live() {
  local word words=()
  for word in "${COMP_WORDS[@]:0:COMP_CWORD}"; do
    [[ $word =~ ^=?@?$ ]] || words+=("$word")
  done
  local COMP_WORDS=("${words[@]}" "$2") COMP_CWORD=${#words[@]}
  _shtab_gemini_live "$@"
  [[ ${COMPREPLY-} == @*/ ]] && compopt -o nospace 2>/dev/null  # bash 3 has none
}

complete -o bashdefault -F _gemini_live gemini-live
"""

# Where a command takes options only, shtab makes up two arguments, on whose account zsh offers no options before a
# dash is typed. This is its own way to tell that they are there already.
_ZSH_NO_ARGUMENTS = "_shtab_gemini_live_defaults_added=1"

_FISH_FILES = """\
function _gemini_live_files
  complete -C "'' "(commandline -ct | string replace -r '^--[^=]*=' '')
end

function _gemini_live_python_files
  _gemini_live_files | string match -er '(?:\\.py|/)(?:\\t|$)'
end

function _gemini_live_setup_files
  set -l path (commandline -ct | string replace -rf '^(?:--[^=]*=)?(["\\']?)@' '$1')
  and complete -C "'' $path" | string replace -r '^' @
end
"""

_BEFORE = {"bash": _BASH_FILES, "zsh": _ZSH_NO_ARGUMENTS, "fish": _FISH_FILES}
_AFTER = {"bash": _BASH_WORDS, "zsh": "", "fish": ""}


def format_completion(parser: argparse.ArgumentParser, shell: str) -> str:
    """Return a script for `shell` that completes what `parser` takes; the parser is of no use for parsing any more."""
    for action in parser._actions:
        _annotate(action)
        if shell == "zsh":
            _suit_zsh(action)
    return shtab.complete(parser, shell, preamble=_BEFORE[shell]) + _AFTER[shell]


def _annotate(action: argparse.Action) -> None:
    """Tell shtab what an option takes."""
    for name in action.option_strings:
        if name in _VALUES:
            action.choices = _VALUES[name]
        if name in _FILES:
            action.complete = _FILES[name]  # type: ignore[attr-defined]  # shtab's way


def _suit_zsh(action: argparse.Action) -> None:
    """Write what an option takes into the places of which shtab makes what zsh reads."""
    if action.nargs == "?":
        # A second colon tells zsh that the value may be left out. An action that fails keeps zsh from asking for it
        # in place of completing the next option.
        action.metavar = f":{action.metavar}"
        action.complete = {"zsh": "{false}"}  # type: ignore[attr-defined]
    if action.nargs != 0:
        # The sign tells zsh that the value may be in the same word. Every option that takes one is a long one.
        action.option_strings = [f"{name}=" for name in action.option_strings]
