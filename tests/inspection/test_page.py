"""The page of a session: complete in itself, and harmless whatever was said. `-m long` shows it in Chromium."""

import base64
import hashlib
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gemini_live.inspection import page

from .tape import Tape, conversation
from .test_commands import run

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
HOSTILE = (
    "</script><script>document.title='HACKED'</script><img src=x onerror=\"document.title='HACKED'\">]]><!--\u2028&lt;"
)


class Page(HTMLParser):
    """The elements of a page, and the text of its scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.inside: list[tuple[dict[str, str | None], str]] = []
        self.feed(text)
        self.data = json.loads(next(text for attrs, text in self.inside if attrs.get("id") == "data"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.elements and self.elements[-1][0] in {"script", "style", "title"} and data.strip():
            self.inside.append((self.elements[-1][1], data))

    def named(self, name: str) -> list[dict[str, str | None]]:
        return [attrs for tag, attrs in self.elements if tag == name]


def make(tmp_path: Path, tape: Tape) -> Path:
    out = tmp_path / "page.html"
    done = run("inspect", tape.save(tmp_path / "a.jsonl"), "--html", out)
    assert (done.code, done.out) == (0, "")
    return out


def test_the_page_holds_everything_and_loads_nothing(tmp_path: Path) -> None:
    text = make(tmp_path, conversation()).read_text()
    found = Page(text)
    assert not re.findall(r"""(?:src|href|url|import|fetch)\s*[=(]\s*["']?(?:https?:)?//""", text)
    assert {tag for tag, _ in found.elements}.isdisjoint({"link", "img", "iframe", "object", "base", "form", "a"})
    assert not any(
        name.startswith("on") or name in {"src", "href", "style"} for _, attrs in found.elements for name in attrs
    )
    (policy,) = [attrs["content"] or "" for attrs in found.named("meta") if attrs.get("http-equiv")]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    for attrs, inside in found.inside:
        if not attrs:  # the script and the style themselves
            digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
            assert f"'sha256-{digest}'" in policy or "gemini-3.8-live" in inside
    assert [mark["kind"] for mark in found.data["marks"]][:6] == [
        *("connected", "setup", "setup complete", "typed", "call", "result")
    ]
    call = next(mark for mark in found.data["marks"] if mark["kind"] == "call")
    assert '"name": "weather"' in found.data["messages"][str(call["line"])]
    assert [turn["cells"][3] for turn in found.data["turns"]] == [
        "It is sunny in Oslo.",
        "Once upon a time",
        "Stopped.",
    ]


def test_no_word_can_leave_its_place(tmp_path: Path) -> None:
    tape = Tape(model=HOSTILE).connect().at(1).type(HOSTILE).at(2).words(HOSTILE).call(HOSTILE, {HOSTILE: HOSTILE})
    tape.lines[0]["program"] = tape.lines[0]["started_at"] = HOSTILE
    tape.result(HOSTILE, {HOSTILE: HOSTILE}).local(HOSTILE, x=HOSTILE).content(
        turnComplete=True, turnCompleteReason=HOSTILE
    )
    tape.content(outputTranscription={"text": "\ud800"})
    text = make(tmp_path, tape).read_text()
    found = Page(text)
    assert "HACKED'</script" not in text
    assert len(found.named("script")) == 2
    assert found.named("img") == []
    assert found.data["turns"][0]["cells"][2] == HOSTILE.replace("\u2028", "\\u2028")


@pytest.mark.parametrize("tape", [Tape(), Tape().connect(), Tape().connect().at(3).close()])
def test_a_session_without_a_turn_has_a_page_too(tape: Tape, tmp_path: Path) -> None:
    path = tape.save(tmp_path / "silent.jsonl")
    done = run("inspect", path, "--html", tmp_path / "silent.html")
    assert (done.code, done.err) == (0, f"gemini-live: written: {tmp_path / 'silent.html'}\n")


def test_the_sound_is_in_the_page_at_its_time(tmp_path: Path) -> None:
    tape = Tape(role="proxy").connect().microphone(1.0).microphone(1.5, 9_000).microphone(2.0)
    found = Page(make(tmp_path, tape.at(2.5).sound(1.0).at(4).close()).read_text())
    sounds = [(attrs, text) for attrs, text in found.inside if attrs.get("class") == "sound"]
    assert [(a["data-lane"], a["data-start"]) for a, _ in sounds] == [("0", "1.0000"), ("1", "2.5000")]
    codes = np.frombuffer(base64.b64decode(sounds[1][1]), np.uint8)
    assert len(codes) == pytest.approx(16_000, abs=50)
    # Decoded as in ITU-T G.711, it is the tone that was said.
    inverted = ~codes.astype(np.uint8)
    size = ((((inverted & 15).astype(int) << 3) + 132) << (inverted >> 4 & 7)) - 132
    samples = np.where(inverted & 128, -size, size)
    spectrum = np.abs(np.fft.rfft(samples[:16_000]))
    assert int(np.argmax(spectrum)) == pytest.approx(440, abs=1)
    assert np.abs(samples).max() == pytest.approx(8_000, rel=0.05)
    peaks = [np.frombuffer(base64.b64decode(lane), np.uint8) for lane in found.data["peaks"]]
    assert np.flatnonzero(peaks[0] > 30)[[0, -1]] / 100 == pytest.approx([1.0, 1.5], abs=0.03)
    assert np.flatnonzero(peaks[1] > 30)[[0, -1]] / 100 == pytest.approx([2.5, 3.5], abs=0.03)


def test_every_sample_survives_8_bits_as_well_as_it_can() -> None:
    samples = range(-32_768, 32_768, 7)
    for sample, code in zip(samples, page._to_mu_law(list(samples)), strict=True):
        inverted = ~code & 255
        size = ((((inverted & 15) << 3) + 132) << (inverted >> 4 & 7)) - 132
        decoded = -size if inverted & 128 else size
        assert abs(decoded - sample) <= max(8, abs(sample) / 16 + 4), sample


def test_a_page_is_overwritten_only_by_another_page(tmp_path: Path) -> None:
    make(tmp_path, conversation())
    out = make(tmp_path, conversation())
    assert out.read_bytes().startswith(page.MAGIC)
    out.write_text("<!doctype html><p>mine</p>")
    assert run("inspect", tmp_path / "a.jsonl", "--html", out).code == 2


def show(path: Path, folder: Path, moment: str = "", *options: str) -> str:
    """Return the document after its script has run in Chromium."""
    assert CHROMIUM is not None
    done = subprocess.run(
        [
            *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"),
            *(f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=3000", *options, "--dump-dom"),
            f"{path.as_uri()}{moment}",
        ],
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    return done.stdout


@pytest.mark.long
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_chromium_shows_the_page_and_runs_no_word_of_it(tmp_path: Path) -> None:
    shown = show(make(tmp_path, conversation(answer=HOSTILE)), tmp_path, "#7.5")
    found: dict[str, Any] = {}
    for name in ("title", "message", "what"):
        match = re.search(rf'id="{name}"[^>]*>(.*?)</', shown, re.DOTALL)
        assert match is not None
        found[name] = match[1]
    assert 'data-ready="true"' in shown
    assert "<title>gemini-3.8-live, 2026-11-28 21:15:00 UTC</title>" in shown
    assert '"interrupted": true' in found["message"]
    assert found["what"] == "interrupted at 0:07.50, line 22 of the recording"
    assert "&lt;img src=x" in shown
    assert "<img" not in shown
    assert shown.count('role="option"') >= 15
