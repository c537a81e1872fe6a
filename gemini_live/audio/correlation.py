"""Find where a piece of audio occurs in a longer one. Pure; imports numpy."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_MIN_POWER_SHARE = 1e-3
"""Where the longer piece has less power than this share of the window, it counts as having so much: silence is like
nothing."""


def correlate(
    window: "npt.NDArray[np.floating[Any]]", section: "npt.NDArray[np.floating[Any]]"
) -> "npt.NDArray[np.float64]":
    """Return how alike `window` and each stretch of its length in `section` are: -1 to 1 for each position."""
    import numpy as np  # noqa: PLC0415 - an extra

    n, size = len(window), 1 << len(section).bit_length()
    products = np.fft.irfft(np.fft.rfft(section, size) * np.conj(np.fft.rfft(window, size)), size)
    sums = np.concatenate(([0.0], np.cumsum(section.astype(np.float64) ** 2)))
    power = float((window.astype(np.float64) ** 2).sum())
    powers = np.maximum(sums[n:] - sums[:-n], _MIN_POWER_SHARE * power)
    result: npt.NDArray[np.float64] = products[: len(section) - n + 1] / np.sqrt(powers * power + 1e-12)
    return result
