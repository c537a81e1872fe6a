"""The pictures of the docs, taken of the real command in a pseudo-terminal: `python -m tests.pictures`.

Each is what a terminal emulator shows at one moment of a session with the simulator, written as SVG.
"""

import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from html import escape
from itertools import groupby
from pathlib import Path

import numpy as np
import pyte.screens

from .command import LIVENESS_S, ROOT
from .pseudo_terminal import PseudoTerminal
from .rig.analysis import speak, write_wav
from .rig.virtual_audio import VirtualAudio
from .scripted_server import Peer, scripted

FOLDER = ROOT / "docs" / "pictures"
COLUMNS, ROWS = 100, 16
CELL_WIDTH, ROW_HEIGHT, MARGIN = 8.4, 18, 12
BACKGROUND, FOREGROUND = "#1e1e2e", "#d9dce8"
COLORS = {
    "red": "#f38ba8",
    "green": "#a6e3a1",
    "brown": "#f9e2af",
    "blue": "#89b4fa",
    "magenta": "#d6a8f5",
    "cyan": "#89dceb",
    "brightblack": "#8a8fa8",
}
"""What stands for the terminal's own colours, by pyte's names of them."""

Style = tuple[str, str, bool, bool, bool]


def style_of(cell: pyte.screens.Char) -> Style:
    """Return the colours of a cell, front and back, and whether it is bold, italic and underlined."""
    front, back = COLORS.get(cell.fg, FOREGROUND), COLORS.get(cell.bg, BACKGROUND)
    if cell.reverse:
        front, back = back, front
    return front, back, cell.bold, cell.italics, cell.underscore


def draw(rows: list[list[pyte.screens.Char]], title: str) -> str:
    """Return the window as SVG."""
    width = COLUMNS * CELL_WIDTH + 2 * MARGIN
    height = len(rows) * ROW_HEIGHT + 2 * MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="100%" height="100%" rx="8" fill="{BACKGROUND}"/>',
        '<g font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="14" xml:space="preserve">',
    ]
    for number, row in enumerate(rows):
        column = 0
        for style, run in groupby(row, style_of):
            cells = list(run)
            parts += draw_run("".join(cell.data for cell in cells), style, column, len(cells), number)
            column += len(cells)
    return "\n".join([*parts, "</g>", "</svg>", ""])


def draw_run(text: str, style: Style, column: int, n_cells: int, row: int) -> Iterator[str]:
    """Yield what draws cells of one style."""
    front, back, bold, italic, underlined = style
    x, y = MARGIN + column * CELL_WIDTH, MARGIN + row * ROW_HEIGHT
    width = n_cells * CELL_WIDTH
    if back != BACKGROUND:
        yield f'<rect x="{x:.1f}" y="{y}" width="{width + 0.5:.1f}" height="{ROW_HEIGHT}" fill="{back}"/>'
    if text.strip():
        looks = ' font-weight="bold"' * bold + ' font-style="italic"' * italic
        looks += ' text-decoration="underline"' * underlined
        length = len(text.rstrip()) * CELL_WIDTH if len(text) == n_cells else width
        shown = escape(text.rstrip() if len(text) == n_cells else text)
        yield f'<text x="{x:.1f}" y="{y + 13}" textLength="{length:.1f}" fill="{front}"{looks}>{shown}</text>'


def take(name: str, title: str, terminal: PseudoTerminal) -> None:
    """Write what the window shows now."""
    rows = terminal.styles
    while rows and not any(cell.data.strip() for cell in rows[-1]):
        rows.pop()
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{name}.svg").write_text(draw(rows, title), encoding="utf-8")


@contextmanager
def at_prompt(*arguments: str, environ: dict[str, str]) -> Iterator[PseudoTerminal]:
    """Run the command, and wait for its prompt."""
    program = (sys.executable, "-m", "gemini_live")  # without -X dev, which would complain of a slow machine
    with PseudoTerminal(
        *arguments, "--no-history", environ=environ, columns=COLUMNS, rows=ROWS, program=program
    ) as terminal:
        terminal.wait_for_prompt()
        yield terminal


def picture_voice(environ: dict[str, str], speak_to: Callable[[str], None]) -> None:
    """A spoken turn: the model is being heard while the user types."""

    def script(peer: Peer) -> None:
        while not peer.hears_speech():
            pass
        peer.hear(" What is the capital")
        peer.hear(" of Norway?")
        while any([peer.hears_speech() for _ in range(15)]):  # of 20 ms each
            pass
        peer.speak(2.5)
        for words in ("The capital of Norway", " is Oslo, at the head of", " the Oslofjord."):
            peer.say(words, sounds=False)

    with scripted(script) as url, at_prompt(f"--base-url={url}", "--voice=Aoede", environ=environ) as terminal:
        speaker = threading.Thread(target=speak_to, args=["What is the capital of Norway?"])
        speaker.start()
        terminal.wait_for("gemini: The capital of Norway is Oslo, at the head of the Oslofjord.")
        terminal.type("And what is")
        terminal.wait_for("> And what is")
        terminal.wait_until(lambda: "speaker [##" in terminal.bar)
        take("voice", "A spoken question and its answer, while the next line is being typed", terminal)
        speaker.join()


def picture_speakers(environ: dict[str, str], speak_to: Callable[[str], None], audio: VirtualAudio) -> None:
    """Open speakers: the model does not hear itself, a voice interrupts it; then headphones are put on."""
    text = "The oldest lighthouse stood in Alexandria, and ships saw its fire from fifty kilometres away."
    with at_prompt("--simulate", "--voice=Aoede", environ=environ) as terminal:
        with audio.echo(80, 0.4):
            for _ in range(2):  # the first answer teaches the canceller the room
                terminal.type(f"{text}\r")
                terminal.wait_until(lambda: "live | speaker [##" in terminal.bar and "echo cancelled" in terminal.bar)
            speak_to("Wait a moment, please.")
            terminal.wait_for("[cut off")
            terminal.wait_until(lambda: "live | speaker [##" in terminal.bar and "echo cancelled" in terminal.bar)
            take("speakers", "On open speakers: the model is interrupted by a voice, and not by itself", terminal)
        terminal.type(f"{text}\r")
        terminal.wait_until(lambda: "speaker [##" in terminal.bar and "headphones" in terminal.bar)
        take("headphones", "The bar says headphones when nothing comes back from the loudspeaker", terminal)


def picture_tools(environ: dict[str, str]) -> None:
    """Functions of the user's are called, and one of them prints."""
    stops = [
        {"name": "Lisbon", "latitude": 38.7, "longitude": -9.1},
        {"name": "Tallinn", "latitude": 59.4, "longitude": 24.8},
    ]

    def script(peer: Peer) -> None:
        peer.receive_line()
        peer.say("Let me see.")
        peer.call("measure_route", {"stops": stops})
        peer.call("line_printer", {"lines": ["Lisbon -> Tallinn", "3,312 km"]})
        peer.say("It is 3,312 km as the crow flies. I have printed it for you.")
        peer.end_turn(TEXT=412, AUDIO=96)

    arguments = ("--no-audio-input", "--text-output", f"--import-functions={ROOT / 'function_examples.py'}")
    with scripted(script) as url, at_prompt(f"--base-url={url}", *arguments, environ=environ) as terminal:
        terminal.type("How far is it from Lisbon to Tallinn? Print it, please.\r")
        terminal.wait_for("printed it for you.", "tokens")
        take("tools", "Two functions are called, and what one of them prints stands out", terminal)


def picture_search(environ: dict[str, str]) -> None:
    """A search, with its sources."""

    def script(peer: Peer) -> None:
        peer.receive_line()
        peer.say("The northernmost university of the world is in Longyearbyen, on Svalbard, at 78 degrees north.")
        pages = (("UNIS - About us", "https://www.unis.no/about/"), ("Svalbard", "https://example.org/wiki/Svalbard"))
        chunks = [{"web": {"title": title, "uri": uri}} for title, uri in pages]
        queries = ["northernmost university"]
        peer.send(serverContent={"groundingMetadata": {"webSearchQueries": queries, "groundingChunks": chunks}})
        peer.end_turn(TEXT=230, AUDIO=120)

    arguments = ("--no-audio-input", "--text-output", "--search")
    with scripted(script) as url, at_prompt(f"--base-url={url}", *arguments, environ=environ) as terminal:
        terminal.type("Where is the northernmost university?\r")
        terminal.wait_for("[source]", "[source]", "tokens")
        take("search", "An answer with the sources that it was found in", terminal)


def picture_resumed(environ: dict[str, str]) -> None:
    """A connection was lost in mid-answer, and what was asked is asked again."""
    answers = iter(("Nice to meet you, Ada.", "The moon is about", "The moon is about 384,400 km away."))
    go_on = threading.Event()

    def script(peer: Peer) -> None:
        for answer in answers:
            peer.receive_line()
            peer.say(answer)
            if not answer.endswith("."):
                peer.drop()
                assert go_on.wait(LIVENESS_S)
                return
            peer.end_turn(TEXT=310, AUDIO=64)

    arguments = ("--no-audio-input", "--text-output")
    with scripted(script) as url, at_prompt(f"--base-url={url}", *arguments, environ=environ) as terminal:
        terminal.type("My name is Ada.\r")
        terminal.wait_for("Nice to meet you", "tokens")
        terminal.type("How far is the moon?\r")
        terminal.wait_for("connection lost")
        go_on.set()
        terminal.wait_for("384,400 km away.", "live 0:")
        time.sleep(2)  # until its last words are certain
        terminal.type("/stats\r")
        terminal.wait_for("context now", "live 0:")
        take("resumed", "The connection was lost in mid-answer; the question is asked again on a new one", terminal)


def picture_booking(environ: dict[str, str]) -> None:
    """The script of docs/simulator.md reads like this."""
    folder = Path(environ["XDG_STATE_HOME"])
    page = (ROOT / "docs" / "simulator.md").read_text(encoding="utf-8")
    (folder / "booking.toml").write_text(
        page.partition("begin -->\n```toml\n")[2].partition("```")[0], encoding="utf-8"
    )
    (folder / "tables.py").write_text(
        "def find_table(people: int, time: str) -> dict:\n    return {'free': True, 'table': 7}\n\n"
        "def book_table(people: int, name: str) -> str:\n    return 'booked'\n",
        encoding="utf-8",
    )
    arguments = (
        *("--no-audio-input", "--no-audio-output", "--text-output", f"--import-functions={folder / 'tables.py'}"),
        f"--simulate=--pace 0 --script {folder / 'booking.toml'}",
    )
    with at_prompt(*arguments, environ=environ) as terminal:
        terminal.type("A table for 2 at 19:30, please.\r")
        terminal.wait_for("What is your name?", "tokens")
        terminal.type("My name is Ada.\r")
        terminal.wait_for("for 2 at 19:30.", "tokens")
        take("booking", "A table is booked with a script: two questions, two calls, two answers", terminal)


def main() -> None:
    """Take all the pictures anew."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        environ = {"GEMINI_API_KEY": "any", "XDG_STATE_HOME": str(folder)}
        audio = VirtualAudio(folder / "audio")
        stack.callback(audio.stop)

        def speak_to(text: str) -> None:
            write_wav(folder / "words.wav", np.pad(speak(text, 48_000, folder), (9_600, 48_000)), 48_000)
            audio.feed(folder / "words.wav")

        picture_voice(environ | audio.environ, speak_to)
        picture_speakers(environ | audio.environ, speak_to, audio)
        for picture in (picture_tools, picture_search, picture_resumed, picture_booking):
            picture(environ)


if __name__ == "__main__":
    main()
