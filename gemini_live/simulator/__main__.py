"""The command `gemini-live-simulator`: serves until Ctrl-C or SIGTERM, then says what it thinks of the clients."""

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TextIO

from gemini_live.errors import ConfigError, ExitCode

from .arguments import DEFAULT_PORT, PROGRAM, build_parser, parse_arguments
from .server import Simulator


def main(argv: Sequence[str], environ: Mapping[str, str], stdout: TextIO, stderr: TextIO) -> int:
    """Run the command; return its exit code. The environment changes nothing."""
    if "-h" in argv or "--help" in argv:
        stdout.write(build_parser().format_help())
        return ExitCode.DONE
    try:
        server = Simulator(**{"port": DEFAULT_PORT, **parse_arguments(argv)})
        # It comes where the loop has no signal handlers, and of a second Ctrl-C while the sessions are being closed.
        with suppress(KeyboardInterrupt):
            asyncio.run(_serve(server, stdout))
        stdout.writelines(f"{line}\n" for line in server.verdict())
        stdout.flush()
    except ConfigError as error:
        stderr.write(f"{PROGRAM}: {error}\n")
        return error.exit_code
    except BrokenPipeError:
        return ExitCode.CLOSED_STDOUT
    return ExitCode.DONE


async def _serve(server: Simulator, stdout: TextIO) -> None:
    async with server:
        with _stopped_by_signals() as stopped:
            stdout.write(f"{format_greeting(server)}\n")
            stdout.flush()
            gc.freeze()  # what is loaded by now stays: looking through it again and again makes every session late
            await stopped.wait()


@contextmanager
def _stopped_by_signals() -> Iterator[asyncio.Event]:
    """Give an event that Ctrl-C and SIGTERM set; on Windows, Ctrl-C raises KeyboardInterrupt instead."""
    stopped = asyncio.Event()
    if sys.platform == "win32":
        yield stopped
        return
    loop = asyncio.get_running_loop()
    names = (signal.SIGINT, signal.SIGTERM)
    for name in names:
        loop.add_signal_handler(name, stopped.set)
    try:
        yield stopped
    finally:
        for name in names:
            loop.remove_signal_handler(name)


def format_greeting(server: Simulator) -> str:
    """Return the line that says where it is and how clients are pointed at it."""
    settings = f"GOOGLE_GEMINI_BASE_URL={server.url} GOOGLE_API_KEY={'the --key' if server.needs_key else 'any'}"
    if server.certificate is None:
        return f"serving at {server.url}; with {settings} run gemini-live (google-genai needs --tls); Ctrl-C ends it"
    trust = f"SSL_CERT_FILE={server.certificate.path}"
    return f"serving at {server.url}; with {trust} {settings} run gemini-live or google-genai; Ctrl-C ends it"


def run() -> None:
    """Entry point of the command."""
    exit_code = main(sys.argv[1:], os.environ, sys.stdout, sys.stderr)
    if exit_code == ExitCode.CLOSED_STDOUT:
        # Python flushes stdout once more at exit, and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(exit_code)


if __name__ == "__main__":
    run()
