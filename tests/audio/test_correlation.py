"""A piece of audio is found where it occurs, at any level."""

import numpy as np
import pytest

from gemini_live.audio.correlation import correlate


@pytest.mark.parametrize("at", [0, 1, 1_234, 3_000])
def test_a_piece_is_found_where_it_occurs(at: int) -> None:
    section = np.random.default_rng(1).standard_normal(4_000)
    found = correlate(-0.01 * section[at : at + 1_000], section)
    assert len(found) == 3_001
    assert int(np.abs(found).argmax()) == at
    assert found[at] == pytest.approx(-1, abs=1e-6)
    assert np.abs(np.delete(found, at)).max() < 0.3


def test_silence_is_like_nothing() -> None:
    noise = np.random.default_rng(1).standard_normal(1_000)
    assert np.abs(correlate(noise, np.zeros(4_000))).max() == pytest.approx(0, abs=1e-9)
    assert np.abs(correlate(np.zeros(1_000), np.tile(noise, 4))).max() == pytest.approx(0, abs=1e-9)
