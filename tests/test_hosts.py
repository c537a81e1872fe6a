"""Tests of what counts as this machine."""

from gemini_live.hosts import is_loopback


def test_this_machine_has_loopback_addresses_and_one_name() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.9.9.9", "::1", "localhost", "LOCALHOST")))
    others = ("0.0.0.0", "10.0.0.1", "example.com", "", "::", "127.999.9.9", "a.localhost")
    assert not any(map(is_loopback, others))
