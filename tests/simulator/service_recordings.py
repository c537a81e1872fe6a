"""Converts recordings of the service by others into our format, so that they can be replayed.

Their sound was left out: silence of a plausible length stands for it. Times that they lack are made up.
"""

import json
from pathlib import Path
from typing import Any

from gemini_live.recording.format import find_media

STEP_S = 0.02
"""From one message to the next where the source has no times."""
SOUND_BYTES = {"sent": 640, "received": 1920}


def convert(source: Path, target: Path) -> None:
    """Write the recording in `source` as one of ours to `target`."""
    lines = [json.loads(line) for line in source.read_text(encoding="utf-8").splitlines()]
    entries: list[dict[str, Any]] = []
    now_s = 0.0
    for line in lines:
        if line.get("direction") not in SOUND_BYTES and "close" not in line:
            continue
        at_s = line.get("at", now_s + STEP_S)
        for i in range(line.get("repeat", 1)):
            now_s = max(now_s, at_s if i == 0 else now_s + STEP_S)
            entries.append({"t_s": round(now_s, 6), **_convert(line)})
    setup = next((entry["message"].get("setup") for entry in entries if "message" in entry), None)
    header = {
        "format": "gemini-live-recording",
        "version": 1,
        "program": "converted",
        "role": "client",
        "started_at": "2026-11-28T00:00:00.000000Z",
        "model": (setup or {}).get("model"),
        "redacted": False,
        "setup": setup,
    }
    target.write_text("".join(json.dumps(entry) + "\n" for entry in (header, *entries)), encoding="utf-8")


def _convert(line: dict[str, Any]) -> dict[str, Any]:
    if "close" in line:
        close = line["close"]
        return {
            "type": "closed",
            "connection": 1,
            "code": close.get("code"),
            "reason": close.get("reason", ""),
            "by": "server",
        }
    message = json.loads(json.dumps(line["message"]))
    for media in find_media(message):
        media["data"], media["bytes"] = "", SOUND_BYTES[line["direction"]]
    sender = "client" if line["direction"] == "sent" else "server"
    return {"type": "message", "from": sender, "connection": 1, "message": message}
