"""The completion scripts: each shell can read its own, and completes an option, a value and a file with it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gemini_live.models import MODELS, VOICES
from gemini_live.options import SHELLS

from .command import IN_A_TERMINAL, Captured, clean_environ, run

OFFERS = (
    (("--vo",), {"--voice"}),
    (("--no-half",), {"--no-half-duplex"}),
    (("--voice", "Pu"), {name for name in VOICES if name.startswith("Pu")}),
    (("--model", "gemini-3.8"), {name for name in MODELS if name.startswith("gemini-3.8")}),
    (("--color", ""), {"auto", "always", "never"}),
    (("--input-file", "in"), {"in.wav"}),
    (("-q", "--import-functions", "to"), {"tools.py"}),
    (("--mcp-config", "to"), {"tools.py"}),
    (("insp",), {"inspect"}),
    (("inspect", "in"), {"in.wav"}),
)
"""What is typed after the command, and what completes the last word."""

IN_BASH = """\
source "$1"
complete -p gemini-live >&2
COMP_WORDS=(gemini-live "${@:2}")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_shtab_gemini_live gemini-live "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""
IN_FISH = "source $argv[1]; complete -C $argv[2]"
IN_ZSH = """\
PS1='ready> '
unsetopt prompt_cr prompt_sp
fpath=({folder} $fpath)
autoload -Uz compinit && compinit -u -D
zle -C all-matches complete-word _generic
bindkey '\\e*' all-matches
zstyle ':completion:all-matches:*' completer _all_matches _complete
zstyle ':completion:all-matches:*' insert yes
"""
SHOW_ARGUMENTS = """\
#!/bin/sh
echo '{begin}'
printf '<%s>\\n' "$@"
echo '{end}'
"""


def offers_of_bash(script: Path, words: tuple[str, ...]) -> set[str]:
    completed = subprocess.run(
        ["bash", "--noprofile", "--norc", "-c", IN_BASH, "bash", script, *words],
        cwd=script.parent,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return set(completed.stdout.split())


def offers_of_fish(script: Path, words: tuple[str, ...]) -> set[str]:
    completed = subprocess.run(
        [
            "fish",
            "--no-config",
            "-c",
            "source $argv[1]; complete -C $argv[2]",
            script,
            f"gemini-live {' '.join(words)}",
        ],
        cwd=script.parent,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return {line.partition("\t")[0] for line in completed.stdout.splitlines()}


def offers_of_zsh(script: Path, words: tuple[str, ...]) -> set[str]:
    """Press the key that inserts all matches; in place of the command stands one that shows its arguments."""
    folder = script.parent
    script.rename(folder / "_gemini-live")
    (folder / "rc").write_text(IN_ZSH.replace("{folder}", str(folder)))
    (folder / "gemini-live").write_text(SHOW_ARGUMENTS)
    (folder / "gemini-live").chmod(0o755)
    master, slave = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-S", "-c", IN_A_TERMINAL, shutil.which("zsh") or "", "-f", "-i"],
        env={
            **clean_environ(),
            "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
            "TERM": "dumb",
            "LC_ALL": "C.UTF-8",
        },
        cwd=folder,
        stdin=slave,
        stdout=slave,
        stderr=slave,
    )
    os.close(slave)
    written = Captured(os.fdopen(master, "rb", buffering=0))
    try:
        os.write(master, b"source ./rc\r")
        written.wait_for("ready> ")
        os.write(master, f"gemini-live {' '.join(words)}\x1b*\r".encode())
        written.wait_for("{begin}", "{end}")
    finally:
        process.kill()
        process.wait()
        written.join()
    arguments = written.text.rpartition("{begin}")[2].split("{end}")[0].split()
    script.with_name("_gemini-live").rename(script)
    return {argument.strip("<>") for argument in arguments} - set(words[:-1])


OFFERS_OF = {"bash": offers_of_bash, "zsh": offers_of_zsh, "fish": offers_of_fish}


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_reads_its_script_and_completes(shell: str, tmp_path: Path) -> None:
    code, script, errors = run("--print-completion", shell)  # without a key
    assert (code, errors) == (0, "")
    assert "gemini-live" in script
    if shutil.which(shell) is None or sys.platform == "win32":
        if os.environ.get("CI"):
            pytest.fail(f"{shell} is not installed")
        pytest.skip(f"{shell} is not installed")
    for name in ("in.wav", "tools.py"):
        (tmp_path / name).touch()
    path = tmp_path / f"script.{shell}"
    path.write_text(script, encoding="utf-8")
    subprocess.run([shell, "-n", path], check=True, timeout=60)
    for words, expected in OFFERS:
        assert OFFERS_OF[shell](path, words) == expected, words
