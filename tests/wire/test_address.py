"""Where the client connects: addresses, the headers with the key, certificates, proxies."""

import os
from pathlib import Path

import pytest

from gemini_live.errors import ConfigError
from gemini_live.wire.address import authorize, build_url, check_certificates, find_proxy, name_proxy

KEY = "AIza-not-a-real-key-0123456789"
TOKEN = "auth_tokens/not-a-real-token-0123456789"
SERVICE = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"


@pytest.fixture(autouse=True)
def environment_without_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name.startswith("SSL_CERT"):
            monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        ("https://host", f"wss://host{SERVICE}"),
        ("https://host/", f"wss://host{SERVICE}"),
        ("HTTPS://Host:8443", f"wss://host:8443{SERVICE}"),
        ("wss://host/a/b/", f"wss://host/a/b{SERVICE}"),
        ("http://localhost:80", f"ws://localhost:80{SERVICE}"),
        ("http://LOCALHOST", f"ws://localhost{SERVICE}"),
        ("ws://127.0.0.1:1", f"ws://127.0.0.1:1{SERVICE}"),
        ("http://127.9.9.9", f"ws://127.9.9.9{SERVICE}"),
        ("http://[::1]:8080", f"ws://[::1]:8080{SERVICE}"),
        ("https://[2001:db8::1]", f"wss://[2001:db8::1]{SERVICE}"),
    ],
)
def test_a_base_url_becomes_the_address_of_the_method(base_url: str, url: str) -> None:
    assert build_url(base_url, None, KEY) == url


@pytest.mark.parametrize("version", ["v1", "v1alpha", "v1beta"])
def test_the_version_is_part_of_the_method(version: str) -> None:
    assert f"generativelanguage.{version}.Generative" in build_url("https://host", version, KEY)
    assert f"generativelanguage.{version}.Generative" in build_url("https://host", version, TOKEN)


def test_a_token_has_its_own_method_and_version() -> None:
    url = build_url("https://host", None, TOKEN)
    assert url.endswith("generativelanguage.v1alpha.GenerativeService.BidiGenerateContentConstrained")


@pytest.mark.parametrize("key", [KEY, TOKEN])
def test_the_key_is_never_in_the_address(key: str) -> None:
    assert key not in build_url("https://host", None, key)


@pytest.mark.parametrize(
    "base_url",
    ["http://host", "ws://192.168.1.1", "http://model.internal:8080", "http://localhost.example.com", "ws://0.0.0.0"],
)
def test_the_key_is_not_sent_unencrypted_over_a_network(base_url: str) -> None:
    with pytest.raises(ConfigError, match="would send the API key unencrypted") as refused:
        build_url(base_url, None, KEY)
    assert f" {base_url} would" in str(refused.value)  # with its port
    assert "--insecure" in str(refused.value)
    assert build_url(base_url, None, KEY, insecure=True).startswith("ws://")


@pytest.mark.parametrize(
    "base_url",
    [
        "",
        "host",
        "host:443",
        "//host",
        "ftp://host",
        "https://",
        "https://:443",
        "https://host:port",
        "https://host:99999",
        "https://[::1",
        "https://two words",
        "https://host\n",
        "https://ho\x1bst",
        "https://host/a b",
        "https://a..b",
        f"https://{'x' * 64}.example",
    ],
)
def test_an_invalid_address_is_one_clear_line(base_url: str) -> None:
    with pytest.raises(ConfigError) as refused:
        build_url(base_url, None, KEY)
    assert "--base-url" in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "base_url", ["https://user:secret@host", "https://@host", f"https://host?key={KEY}", "https://h#f"]
)
def test_an_address_with_a_user_query_or_fragment_is_refused_without_being_shown(base_url: str) -> None:
    with pytest.raises(ConfigError) as refused:
        build_url(base_url, None, KEY)
    assert "secret" not in str(refused.value)
    assert KEY not in str(refused.value)


def test_a_key_travels_in_a_header_and_a_token_in_the_query() -> None:
    assert authorize("wss://host/ws", KEY) == ("wss://host/ws", {"x-goog-api-key": KEY})
    assert authorize("wss://host/ws", TOKEN) == (f"wss://host/ws?access_token={TOKEN}", {})
    assert authorize("wss://host/ws", "auth_tokens/a&b=c")[0] == "wss://host/ws?access_token=auth_tokens/a%26b%3Dc"


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("no/such.pem", "No such file or directory"),
        (".", "Is a directory"),
        ("empty.pem", "contains no certificate"),
    ],
)
def test_unreadable_certificates_are_an_error(
    name: str, complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty.pem").touch()
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / name))
    with pytest.raises(ConfigError) as refused:
        check_certificates("wss://service.test/")
    assert str(refused.value).startswith(f"SSL_CERT_FILE: cannot read {tmp_path / name}: ")
    assert str(refused.value).endswith(complaint)
    check_certificates("ws://127.0.0.1:1/")


@pytest.mark.parametrize(
    ("variables", "url", "used"),
    [
        ({}, "wss://service.test/", None),
        ({"HTTPS_PROXY": "http://p:1"}, "wss://service.test/", "http://p:1"),
        ({"HTTPS_PROXY": "http://p:1", "ALL_PROXY": "http://q:1"}, "wss://service.test/", "http://p:1"),
        ({"ALL_PROXY": "http://q:1"}, "wss://service.test/", "http://q:1"),
        ({"SOCKS_PROXY": "http://s:1", "HTTPS_PROXY": "http://p:1"}, "wss://service.test/", "socks5h://s:1"),
        ({"SOCKS_PROXY": "socks5://s:1"}, "wss://service.test/", "socks5://s:1"),
        ({"HTTP_PROXY": "http://p:1"}, "wss://service.test/", None),
        ({"HTTPS_PROXY": ""}, "wss://service.test/", None),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "other, service.test"}, "wss://service.test/", None),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": ".test"}, "wss://service.test:8443/", None),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "*"}, "wss://service.test/", None),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "other"}, "wss://service.test/", "http://p:1"),
        (
            {"HTTPS_PROXY": "http://p:1", "ALL_PROXY": "http://q:1", "HTTP_PROXY": "http://r:1"},
            "ws://127.0.0.1:5/",
            None,
        ),
        ({"HTTPS_PROXY": "http://p:1"}, "wss://localhost/", None),
        ({"HTTPS_PROXY": "http://p:1"}, "ws://[::1]:5/", None),
    ],
)
def test_which_proxy_is_used(
    variables: dict[str, str], url: str, used: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert find_proxy(url) == used


def test_a_proxy_is_named_without_its_password() -> None:
    assert name_proxy("http://user:secret@proxy:3128") == "http://proxy:3128"
    assert name_proxy("socks5h://proxy:1080") == "socks5h://proxy:1080"
    assert name_proxy(None) is None
