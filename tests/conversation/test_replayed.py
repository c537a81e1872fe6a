"""What the client writes when it receives what a recorded client received. As a script, this stores it anew.

The recordings of the real service lie beside the repository, where there are any. `replayed.json` has only words.
"""

import json
from pathlib import Path

import pytest

from .replay import FOLDER, replay

STORED = Path(__file__).parent / "replayed.json"


@pytest.mark.parametrize("name", sorted(json.loads(STORED.read_text(encoding="utf-8"))))
def test_a_recording_is_written_as_before(name: str) -> None:
    path = FOLDER / f"{name}.jsonl"
    if not path.exists():
        pytest.skip("the recordings are not here")
    assert replay(path) == json.loads(STORED.read_text(encoding="utf-8"))[name]


if __name__ == "__main__":
    replayed = {path.stem: replay(path) for path in sorted(FOLDER.glob("*.jsonl"))}
    STORED.write_text(json.dumps(replayed, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
