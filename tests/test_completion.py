"""What real shells complete, once the script that the command prints is where the README says to put it.

bash and zsh have a pseudo-terminal in which keys are pressed; in place of the command stands one that shows its
arguments. fish is asked as a script asks it.
"""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NoReturn

import pytest

from gemini_live.completion import format_completion
from gemini_live.models import MODELS, VOICES
from gemini_live.options import SHELLS, build_parser

from .command import IN_A_TERMINAL, ROOT, Captured, clean_environ, run

INSTALLATIONS = ("bash", "bash-completion", "zsh", "fish")
"""The shells, bash both by itself and with the package that finds scripts; other shells have that built in."""
BASH_COMPLETION = Path("/usr/share/bash-completion/bash_completion")
PLACES = {
    "bash": "gemini-live.bash",
    "bash-completion": ".local/share/bash-completion/completions/gemini-live",
    "zsh": ".zfunc/_gemini-live",
    "fish": ".config/fish/completions/gemini-live.fish",
}
"""Where the scripts are, in the home directory."""

SHOW_ARGUMENTS = """\
#!/bin/sh
echo '{begin}'
[ $# = 0 ] || printf '<%s>\\n' "$@"
echo '{end}'
"""
ALL_MATCHES = "\x1b*"
"""The key that inserts everything that TAB would offer: Alt-*, as bash has it."""
BASH_SETTINGS = """\
PS1='ready> '
bind 'set enable-bracketed-paste off'
"""
ZSH_SETTINGS = """\
PS1='ready> '
unsetopt prompt_cr prompt_sp
bindkey -e
LISTMAX=0
fpath=(~/.zfunc $fpath)
autoload -Uz compinit && compinit -u -D
zle -C all-matches complete-word _generic
bindkey '\\e*' all-matches
zstyle ':completion:all-matches:*' completer _all_matches _complete
zstyle ':completion:all-matches:*' insert yes
"""

FILES = ("a.py", "my file.py", "in.wav", "setup.json", "sub dir/b.py", "sub dir/in.flac")
FOLDER = "sub dir"
VALUES = {
    "--model": tuple(MODELS),
    "--voice": VOICES,
    "--api-version": ("v1", "v1beta", "v1alpha"),
    "--output-format": ("text", "jsonl"),
    "--color": ("auto", "always", "never"),
    "--print-completion": SHELLS,
}
NASTY = 'it\'s "all" 50% [of $HOME] or `false`: (a|b) {c,d} <e> & f; ~ # ! * ? @g =h ^i'
"""What means something to a shell, but for the backslash, which zsh would not show."""


def _refuse(reason: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


class Shell:
    """One shell for which a completion script is installed; its directory has `FILES`."""

    def __init__(self, installation: str, script: str, home: Path) -> None:
        self.name = "bash" if installation == "bash-completion" else installation
        if sys.platform == "win32":
            _refuse("pseudo-terminals are not for Windows")
        if shutil.which(self.name) is None:
            _refuse(f"{self.name} is not installed")
        if installation == "bash-completion" and not BASH_COMPLETION.exists():
            _refuse("bash-completion is not installed")
        self.home = home
        for file in FILES:
            _write(home / "files" / file, "")
        _write(home / PLACES[installation], script)
        _write(home / "bin" / "gemini-live", SHOW_ARGUMENTS).chmod(0o755)
        sourced = BASH_COMPLETION if installation == "bash-completion" else home / PLACES["bash"]
        _write(home / "bashrc", f"{BASH_SETTINGS}source '{sourced}'\n")
        _write(home / ".zshrc", ZSH_SETTINGS)
        self._terminal = None if self.name == "fish" else _Terminal(self._argv, self._environ, home / "files")

    def close(self) -> None:
        """End it."""
        if self._terminal is not None:
            self._terminal.close()

    def inserts(self, *words: str) -> list[str]:
        """Return the arguments that the command gets when TAB is pressed after `words`, as they are typed.

        In fish, they are those that it would get.
        """
        if self._terminal is not None:
            return self._terminal.run(f"gemini-live {' '.join(words)}\t")
        [(word, _)] = self._ask_fish(*words)
        return [*words[:-1], word]

    def offers(self, *words: str) -> set[str]:
        """Return everything that completes the last of `words`, without its `--option=` and a folder's slash."""
        if self._terminal is not None:
            arguments = self._terminal.run(f"gemini-live {' '.join(words)}{ALL_MATCHES}")[len(words) - 1 :]
        else:
            arguments = [word for word, _ in self._ask_fish(*words)]
        option, sign, _ = words[-1].partition("=")
        offered = {argument.removeprefix(f"{option}{sign}" if sign else "").rstrip("/") for argument in arguments}
        return offered - {words[-1], words[-1].removeprefix(f"{option}="), ""}

    def descriptions(self) -> dict[str, str]:
        """Return what is said of each option when all are listed. Not in bash, which has no place for that."""
        if self._terminal is None:
            return dict(self._ask_fish("-")) | dict(self._ask_fish("--"))
        listed = self._terminal.listed("gemini-live -\t")
        pairs = [line.split(" -- ", 1) for line in listed if " -- " in line]
        return {option: text.strip() for options, text in pairs for option in options.split()}

    def _ask_fish(self, *words: str) -> list[tuple[str, str]]:
        """Return candidates with their descriptions."""
        completed = subprocess.run(
            ["fish", "-c", "complete -C $argv[1]", f"gemini-live {' '.join(words)}"],
            env=self._environ,
            cwd=self.home / "files",
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        assert completed.stderr == ""
        pairs = [line.partition("\t") for line in completed.stdout.splitlines()]
        return [(word, description) for word, _, description in pairs]

    @property
    def _argv(self) -> tuple[str, ...]:
        if self.name == "bash":
            return ("bash", "--noprofile", "--rcfile", str(self.home / "bashrc"), "-i")
        return ("zsh", "-d", "-i")  # without the machine's own settings

    @property
    def _environ(self) -> dict[str, str]:
        kept = {name: value for name, value in clean_environ().items() if not name.startswith(("XDG_", "ZDOTDIR"))}
        path = f"{self.home / 'bin'}{os.pathsep}{os.environ['PATH']}"
        return {**kept, "HOME": str(self.home), "PATH": path, "TERM": "dumb", "INPUTRC": os.devnull}


class _Terminal:
    """An interactive shell whose keys are pressed."""

    def __init__(self, argv: tuple[str, ...], environ: Mapping[str, str], folder: Path) -> None:
        master, slave = os.openpty()
        self._master = master
        self._process = subprocess.Popen(
            [sys.executable, "-S", "-c", IN_A_TERMINAL, shutil.which(argv[0]) or "", *argv[1:]],
            env=environ,
            cwd=folder,
            stdin=slave,
            stdout=slave,
            stderr=slave,
        )
        os.close(slave)
        self._written = Captured(os.fdopen(master, "rb", buffering=0))
        self._wait_for("ready> ", 1)
        # Room for a list of all options, whole.
        self._type("stty rows 200 cols 400 && gemini-live")

    def run(self, keys: str) -> list[str]:
        """Press `keys` and Enter; return the arguments of the command that is run."""
        written = self._type(keys)
        return [line[1:-1] for line in written.rpartition("{begin}")[2].split("{end}")[0].split("\r\n") if line]

    def listed(self, keys: str) -> list[str]:
        """Press `keys` and Enter; return the lines that are shown before the command is run."""
        return self._type(keys).partition("{begin}")[0].split("\r\n")

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._written.join()

    def _type(self, keys: str) -> str:
        """Press `keys` and Enter; return what is written until the command has been run."""
        n_before = len(self._written.text)
        n_ended = self._written.text.count("{end}")
        os.write(self._master, f"{keys}\r".encode())
        self._wait_for("{end}", n_ended + 1)
        return self._written.text[n_before:]

    def _wait_for(self, words: str, times: int) -> None:
        try:
            self._written.wait_for(*[words] * times)
        except AssertionError:  # so that other tests do not wait for it, too
            self._process.kill()
            raise


@pytest.fixture(scope="module")
def scripts() -> dict[str, str]:
    """What the command prints; there is no key in its environment."""
    printed = {}
    for shell in SHELLS:
        code, printed[shell], errors = run("--print-completion", shell)
        assert (code, errors) == (0, "")
    return printed


@pytest.fixture(scope="module", params=INSTALLATIONS)
def shell(
    request: pytest.FixtureRequest, scripts: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shell]:
    """Each shell, with the script of the command."""
    script = scripts[request.param.removesuffix("-completion")]
    shell = Shell(request.param, script, tmp_path_factory.mktemp(request.param))
    yield shell
    shell.close()


# Options


def test_every_option_is_offered(shell: Shell) -> None:
    expected = {option for action in build_parser()._actions for option in action.option_strings}
    assert shell.offers("-") | shell.offers("--") == expected


@pytest.mark.parametrize("shell", ["zsh"], indirect=True)
def test_every_option_is_offered_before_a_dash_is_typed(shell: Shell) -> None:
    assert "--voice" in shell.offers("")
    assert shell.offers("") == shell.offers("-")


def test_the_only_option_that_fits_is_inserted(shell: Shell) -> None:
    assert shell.inserts("--vo") == ["--voice"]


def test_a_switch_is_offered_both_ways(shell: Shell) -> None:
    assert shell.inserts("--half") == ["--half-duplex"]
    assert shell.inserts("--no-half") == ["--no-half-duplex"]


def test_an_option_that_may_be_repeated_is_offered_again(shell: Shell) -> None:
    assert shell.inserts("--import-functions", "a.py", "--imp") == ["--import-functions", "a.py", "--import-functions"]


@pytest.mark.parametrize(
    "words",
    [["--simulate"], ["--simulate="], ["--simulate=x"], ["--simulate='--pace 0'"], ["--simulate", "'--pace 0'"]],
)
def test_options_are_offered_after_one_whose_value_may_be_left_out(shell: Shell, words: list[str]) -> None:
    assert shell.inserts(*words, "--vo")[-1] == "--voice"
    assert shell.offers(*words, "--voice", "Pu") == {"Puck", "Pulcherrima"}


@pytest.mark.parametrize(
    "words",
    [
        ["--voice", "Puck"],
        ["--voice=Puck"],
        ["--text-output"],
        ["-v"],
        ["--setup", "'{\"a\": [1, 2]}'"],
        ["--setup=@setup.json"],
        ["--base-url", "https://host:80/path"],
        ["--initial-message", "'Is it [so]? --voice; $5'"],
        ["--input-file=in.wav"],
    ],
)
def test_options_are_offered_after_others(shell: Shell, words: list[str]) -> None:
    assert shell.offers(*words, "--mo") == {"--model", "--monitor"}


# Values


@pytest.mark.parametrize("option", VALUES)
def test_known_values_are_offered(shell: Shell, option: str) -> None:
    assert shell.offers(option, "") == set(VALUES[option])


@pytest.mark.parametrize("option", VALUES)
def test_known_values_are_offered_after_an_equals_sign(shell: Shell, option: str) -> None:
    assert shell.offers(f"{option}=") == set(VALUES[option])


def test_the_only_value_that_fits_is_inserted(shell: Shell) -> None:
    assert shell.inserts("--voice", "Puc") == ["--voice", "Puck"]
    assert shell.inserts("--voice=Puc") == ["--voice=Puck"]


def test_every_choice_of_the_parser_is_known() -> None:
    choices = {
        name: tuple(action.choices)
        for action in build_parser()._actions
        if action.choices
        for name in action.option_strings
    }
    assert choices == {option: VALUES[option] for option in choices}


@pytest.mark.parametrize("option", ["--system-instruction", "--timeout", "--monitor", "--input-device", "--base-url"])
def test_nothing_is_offered_for_a_value_that_nobody_knows(shell: Shell, option: str) -> None:
    assert shell.offers(option, "") == set()


# Files


@pytest.mark.parametrize("option", ["--input-file", "--output-file"])
def test_any_file_is_offered(shell: Shell, option: str) -> None:
    expected = {file for file in FILES if "/" not in file} | {FOLDER}
    assert shell.offers(option, "") == expected
    assert shell.offers(f"{option}=") == expected


def test_python_files_and_folders_are_offered_for_functions(shell: Shell) -> None:
    expected = {"a.py", "my file.py", FOLDER}
    assert shell.offers("--import-functions", "") == expected
    assert shell.offers("--import-functions=") == expected
    assert shell.offers("--import-functions", "sub\\ dir/") == {"sub dir/b.py"}


def test_files_are_offered_for_a_setup_after_its_sign(shell: Shell) -> None:
    assert shell.offers("--setup", "") == set()
    expected = {f"@{file}" for file in FILES if "/" not in file} | {f"@{FOLDER}"}
    assert shell.offers("--setup", "@") == expected
    assert shell.offers("--setup=@") == expected
    assert shell.offers("--setup", "@sub\\ dir/") == {"@sub dir/b.py", "@sub dir/in.flac"}


@pytest.mark.parametrize("option", ["--input-file", "--import-functions"])
@pytest.mark.parametrize("typed", ["my", "my\\ f", '"my f'])
def test_a_name_with_a_space_is_one_argument(shell: Shell, option: str, typed: str) -> None:
    assert shell.offers(option, typed) == {"my file.py"}


def test_a_name_with_a_space_is_one_argument_after_a_sign(shell: Shell) -> None:
    assert shell.inserts("--input-file=my") == ["--input-file=my file.py"]
    assert shell.inserts("--setup", "@my") == ["--setup", "@my file.py"]
    assert shell.inserts("--setup=@my") == ["--setup=@my file.py"]
    assert shell.offers("--setup", '"@my f') == {"@my file.py"}


@pytest.mark.parametrize("shell", ["bash", "bash-completion", "zsh"], indirect=True)
@pytest.mark.parametrize("option", ["--input-file ", "--input-file=", "--setup @", "--setup=@", '--input-file "'])
def test_a_path_is_completed_folder_by_folder(shell: Shell, option: str) -> None:
    assert shell.inserts(f"{option}sub\tin")[-1].endswith("sub dir/in.flac")


def test_a_path_may_begin_in_the_home_directory(shell: Shell) -> None:
    arguments = shell.inserts("--input-file", "~/files/in")
    assert Path(arguments[1].replace("~", str(shell.home))) == shell.home / "files" / "in.wav"


# What is said of options


@pytest.mark.parametrize("shell", ["zsh", "fish"], indirect=True)
def test_options_are_described_as_in_the_help(shell: Shell) -> None:
    shown = shell.descriptions()
    for action in build_parser()._actions:
        for option in action.option_strings:
            assert shown[option] == action.help


@pytest.mark.parametrize("installation", INSTALLATIONS)
def test_any_character_may_be_in_a_help_text(installation: str, tmp_path: Path) -> None:
    parser = argparse.ArgumentParser(prog="gemini-live")
    parser.add_argument("--value", choices=["one", "two"], help=NASTY.replace("%", "%%"))
    parser.add_argument("--switch", action=argparse.BooleanOptionalAction, help=NASTY.replace("%", "%%"))
    shell_name = installation.removesuffix("-completion")
    shell = Shell(installation, format_completion(parser, shell_name), tmp_path)
    try:
        assert shell.offers("--no-switch", "--value", "") == {"one", "two"}
        if shell_name != "bash":
            shown = shell.descriptions()
            assert {shown["--value"], shown["--switch"], shown["--no-switch"]} == {NASTY}
    finally:
        shell.close()


# Where it is, and where it cannot be


def test_the_readme_puts_the_scripts_where_the_shells_find_them() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for installation in ("bash-completion", "zsh", "fish"):
        shell_name = installation.removesuffix("-completion")
        assert f"gemini-live --print-completion {shell_name} > ~/{PLACES[installation]}\n" in readme
