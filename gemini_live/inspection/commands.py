"""The commands that read recordings: `gemini-live inspect` and `gemini-live diff`.

Runs in the main thread, without an event loop.
"""

import argparse
import contextlib
import gc
import json
import math
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NoReturn

from ..config import Color
from ..errors import ConfigError, ExitCode
from ..escaping import one_line
from ..recording.read import read_recording
from .analyse import analyse, lacks_speech_events
from .diff import KINDS, compare
from .diff_report import format_comparison, to_junit
from .diff_report import to_json as comparison_to_json
from .numbers import add_costs
from .report import format_report, to_json
from .session import Session
from .style import TextLayout

PROG = "gemini-live"
JUNIT_MAGIC = b"<?xml version='1.0' encoding='utf-8'?>\n<testsuite name=\"gemini-live diff\""
DIFFERENT = 1
"""The exit code if two recordings differ."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Print what is wrong in one line, and exit."""
        self.exit(ExitCode.USAGE, f"{self.prog}: error: {one_line(message, fold=False)} (see {self.prog} --help)\n")


def build_parser(command: str) -> argparse.ArgumentParser:
    """Return the parser of one command."""
    parser = _Parser(prog=f"{PROG} {command}", allow_abbrev=False, description=DESCRIPTIONS[command])
    {"inspect": _add_inspect, "diff": _add_diff}[command](parser)
    return parser


DESCRIPTIONS = {
    "inspect": "Show a recorded session: who said what when, and how long everything took.",
    "diff": "Compare two recorded sessions turn by turn. The exit code is 1 if they differ.",
}


def run(
    argv: Sequence[str],
    write: Callable[[str], None],
    warn: Callable[[str], None],
    layout_for: Callable[[Color], TextLayout],
) -> int:
    """Run a command and return the exit code.

    Args:
        argv: The command and its arguments.
        write: Writes text to stdout.
        warn: Writes one line to stderr.
        layout_for: Returns the layout of text on stdout, for a choice of colours.

    Raises:
        GeminiLiveError: A file cannot be read or written, or an argument is wrong.
        SystemExit: The arguments are wrong, or ask for help.
    """
    arguments = build_parser(argv[0]).parse_args(argv[1:])
    return {"inspect": _inspect, "diff": _diff}[argv[0]](arguments, write, warn, layout_for(Color(arguments.color)))


# inspect


def _add_inspect(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", type=Path, help="a recording (--record, --log of the simulator)")
    parser.add_argument("--json", action="store_true", help="print the analysis as one JSON object")
    parser.add_argument("--html", metavar="OUT", type=Path, help="write a page with the sound, for a browser")
    parser.add_argument("--wav", metavar="OUT", type=Path, help="write both voices to a stereo file, you on the left")
    parser.add_argument("--force", action="store_true", help="overwrite files that this command did not write")
    _add_color(parser)


def _add_color(parser: argparse.ArgumentParser) -> None:
    values = [value.value for value in Color]
    parser.add_argument("--color", choices=values, default=Color.AUTO.value, help=f"use colours [{Color.AUTO}]")


def _inspect(
    arguments: argparse.Namespace, write: Callable[[str], None], warn: Callable[[str], None], layout: TextLayout
) -> int:
    outputs = [path for path in (arguments.html, arguments.wav) if path is not None]
    _check_outputs(arguments.file, outputs)
    if arguments.html is not None and arguments.file.exists() and not arguments.file.is_file():
        raise ConfigError(f"{arguments.file} is not a file: --html reads the recording twice; save it in a file first")
    session = load(arguments.file, keep_media=bool(outputs))
    if arguments.wav is not None:
        from .wave_file import write_wave  # noqa: PLC0415 - only if it is asked for

        write_file(arguments.wav, lambda file: write_wave(session, file), None, force=arguments.force)
        warn(f"written: {arguments.wav}")
    if arguments.html is not None:
        from .page import MAGIC, write_page  # noqa: PLC0415 - only if it is asked for

        recording = read_recording(arguments.file, keep_media=False)
        write_file(arguments.html, lambda file: write_page(session, recording, file), MAGIC, force=arguments.force)
        warn(f"written: {arguments.html}")
    if arguments.json:
        write(json.dumps(to_json(session)) + "\n")
    elif not outputs:
        write(format_report(session, layout))
    return ExitCode.DONE


def load(path: Path, *, keep_media: bool = False) -> Session:
    """Read and analyse a recording, and add the costs.

    Raises:
        RecordingError: It cannot be read.
    """
    with _without_collection():
        return _load(path, keep_media=keep_media)


def _load(path: Path, *, keep_media: bool) -> Session:
    keep_media = keep_media or not path.is_file()  # a pipe can be read only once
    recording = read_recording(path, keep_media=keep_media)
    if not keep_media and lacks_speech_events(recording):
        recording = read_recording(path)
    session = analyse(recording)
    add_costs(session)
    return session


@contextlib.contextmanager
def _without_collection() -> Iterator[None]:
    """Pause Python's garbage collector, which would search hundreds of thousands of entries in vain."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _check_outputs(source: Path, outputs: Sequence[Path]) -> None:
    """Refuse to overwrite the recording, or to write two things into one file.

    Raises:
        ConfigError: Two paths lead to the same file.
    """
    paths = [source.resolve(), *(path.resolve() for path in outputs)]
    if len(set(paths)) < len(paths):
        raise ConfigError("the recording and its outputs must be different files")


def write_file(path: Path, fill: Callable[[BinaryIO], object], magic: bytes | None, *, force: bool) -> None:
    """Write a file as a whole: it is not there before everything is in it.

    Args:
        path: The file. An existing one is overwritten if it is ours.
        fill: Writes the content.
        magic: How a file of ours begins; None: it cannot be told.
        force: True to overwrite any regular file.

    Raises:
        ConfigError: The file is not ours, or cannot be written.
    """
    try:
        if path.exists() and not path.is_file():
            raise ConfigError(f"cannot write {path}: it is not a file")
        if path.exists() and not force:
            with path.open("rb") as old:
                is_ours = magic is not None and old.read(len(magic)) == magic
            if not is_ours:
                raise ConfigError(f"cannot write {path}: it exists already; choose another name, or add --force")
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name[:50]}.", dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                fill(file)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as exc:
        raise ConfigError(f"cannot write {path}: {exc.strerror}") from exc


# diff


def _add_diff(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("a", metavar="A", type=Path, help="the recording that is right")
    parser.add_argument("b", metavar="B", type=Path, help="the recording to judge")
    parser.add_argument(
        "--ignore",
        metavar="KIND",
        choices=KINDS,
        action="append",
        default=[],
        help=f"differences that do not count: {', '.join(KINDS)}; repeatable",
    )
    parser.add_argument(
        "--max-first-sound",
        metavar="SECONDS",
        type=_positive,
        help="fail if a first sound of B takes longer",
    )
    parser.add_argument(
        "--max-slower", metavar="PERCENT", type=_positive, help="fail if the median latency of B is slower by more"
    )
    parser.add_argument("--junit", metavar="FILE", type=Path, help="write a JUnit report")
    parser.add_argument("--json", action="store_true", help="print the differences as one JSON object")
    parser.add_argument("--force", action="store_true", help="let --junit overwrite any file")
    _add_color(parser)


def _positive(text: str) -> float:
    value = float(text)
    if not (math.isfinite(value) and value >= 0):
        raise ValueError
    return value


_positive.__name__ = "number"  # argparse names it where it refuses a value


def _diff(
    arguments: argparse.Namespace, write: Callable[[str], None], warn: Callable[[str], None], layout: TextLayout
) -> int:
    sessions = [load(path) for path in (arguments.a, arguments.b)]
    for path, session in zip((arguments.a, arguments.b), sessions, strict=True):
        for problem in session.problems:
            warn(f"warning: {path}: {problem}")
    comparison = compare(
        *sessions,
        ignore=arguments.ignore,
        max_first_sound_s=arguments.max_first_sound,
        max_slower_percent=arguments.max_slower,
    )
    if arguments.junit is not None:
        for source in (arguments.a, arguments.b):
            _check_outputs(source, [arguments.junit])
        write_file(arguments.junit, lambda file: file.write(to_junit(comparison)), JUNIT_MAGIC, force=arguments.force)
    if arguments.json:
        write(json.dumps(comparison_to_json(comparison)) + "\n")
    else:
        write(format_comparison(comparison, layout))
    return ExitCode.DONE if comparison.is_same else DIFFERENT
