"""server.py, session.py, http.py, tls.py: paths, keys, plain HTTP, lifetimes, resumption, and what tests can see."""

import asyncio
import gc
import http.client
import json
import os
import signal
import ssl
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from gemini_live.errors import ConfigError, MissingExtraError
from gemini_live.models import MODELS
from gemini_live.simulator import Simulator, session_list
from gemini_live.simulator import server as server_module
from gemini_live.simulator.tls import Certificate
from gemini_live.simulator.wire import Wire

from .fake_clock import FakeClock
from .peer import ON_TIME, Peer, Turn, dial, session, setup, socket_url

MODEL_2_5 = "models/gemini-2.5-flash-native-audio-latest"
TOKEN = "auth_tokens/secret"


def quick(**options: Any) -> Simulator:
    return Simulator(**{"pace": 0, "espeak": False, "seed": ON_TIME, **options})


async def get(server: Simulator, path: str, headers: dict[str, str] | None = None) -> tuple[int, dict[str, Any]]:
    """Answer of the plain HTTP side, asked from a thread."""

    def fetch() -> tuple[int, dict[str, Any]]:
        connection = http.client.HTTPConnection(server.host, server.port, timeout=10)
        connection.request("GET", path, headers=headers or {})
        response = connection.getresponse()
        try:
            return response.status, json.load(response)
        finally:
            connection.close()

    return await asyncio.to_thread(fetch)


@pytest.mark.parametrize("version", ["v1", "v1beta", "v1alpha"])
@pytest.mark.parametrize("slashes", ["/", "//"])
async def test_every_version_is_served_with_one_slash_and_with_two(version: str, slashes: str) -> None:
    async with quick() as server:
        url = socket_url(server, version).replace("/ws/", f"{slashes}ws/")
        async with dial(server, url) as peer:
            await peer.send(setup())
            assert await peer.receive() == {"setupComplete": {}}
    assert server.sessions[0].api_version == version


async def test_other_paths_are_not_found() -> None:
    async with quick() as server:
        for path in ("/", "/ws/google.ai.generativelanguage.v2.GenerativeService.BidiGenerateContent"):
            with pytest.raises(InvalidStatus) as caught:
                async with dial(server, server.url.replace("http", "ws", 1) + path):
                    pass
            assert caught.value.response.status_code == 404
            status, answer = await get(server, path)
            assert (status, answer["error"]["status"]) == (404, "NOT_FOUND")


async def test_models_are_listed_and_described_over_plain_http() -> None:
    async with quick() as server:
        status, listed = await get(server, "/v1beta/models")
        assert (status, len(listed["models"])) == (200, len(MODELS))
        assert listed["models"][0]["supportedGenerationMethods"] == ["bidiGenerateContent"]
        status, one = await get(server, "/v1/models/gemini-3.8-live")
        assert (status, one["name"]) == (200, "models/gemini-3.8-live")
        assert (await get(server, "/v1/models/other"))[0] == 404


async def test_plain_http_checks_the_key_too() -> None:
    async with quick(key="secret") as server:
        assert (await get(server, "/v1/models"))[0] == 403
        status, answer = await get(server, "/v1/models?key=wrong")
        assert (status, answer["error"]["details"][0]["reason"]) == (400, "API_KEY_INVALID")
        assert (await get(server, "/v1/models?key=secret"))[0] == 200
        assert (await get(server, "/v1/models", {"x-goog-api-key": "secret"}))[0] == 200


CONSTRAINED = "BidiGenerateContentConstrained"
KEYS: list[tuple[str, str, dict[str, str], int | None]] = [
    ("BidiGenerateContent", "", {"x-goog-api-key": "secret"}, None),
    ("BidiGenerateContent", "?key=secret", {}, None),
    ("BidiGenerateContent", "?key=wrong", {}, 1007),
    ("BidiGenerateContent", "", {"x-goog-api-key": "wrong"}, 1007),
    ("BidiGenerateContent", "", {}, 1008),
    (CONSTRAINED, f"?access_token={TOKEN}", {}, None),
    (CONSTRAINED, "", {"Authorization": f"Token {TOKEN}"}, None),
    (CONSTRAINED, "", {"Authorization": "Token auth_tokens/wrong"}, 1007),
    (CONSTRAINED, "?key=secret", {}, 1008),
]


@pytest.mark.parametrize(("method", "query", "headers", "code"), KEYS)
async def test_keys_and_tokens(method: str, query: str, headers: dict[str, str], code: int | None) -> None:
    async with quick(key="secret") as server:
        async with dial(server, socket_url(server, "v1alpha", method, query), additional_headers=headers) as peer:
            await peer.send(setup())
            if code is None:
                assert await peer.receive() == {"setupComplete": {}}
            else:
                assert (await peer.closed())[0] == code
        assert "secret" not in repr(server.sessions)


async def test_any_key_or_none_will_do_where_none_is_set() -> None:
    async with quick() as server:
        for query in ("", "?key=anything"):
            async with dial(server, socket_url(server, query=query)) as peer:
                await peer.send(setup())
                assert await peer.receive() == {"setupComplete": {}}


@pytest.mark.parametrize("first", [{"realtimeInput": {"text": "hi"}}, {"clientContent": {}}])
async def test_first_message_must_be_a_setup(first: dict[str, Any]) -> None:
    async with quick() as server, dial(server) as peer:
        await peer.send(first)
        assert await peer.closed() == (1007, "Request contains an invalid argument.")


async def test_garbage_instead_of_a_setup() -> None:
    async with quick() as server, dial(server) as peer:
        await peer.websocket.send("nonsense")
        assert (await peer.closed())[0] == 1007


async def until_handle(peer: Peer) -> tuple[Turn, str]:
    """Return what comes up to the next handle, and the handle."""
    messages = await peer.until(lambda message: "newHandle" in message.get("sessionResumptionUpdate", {}))
    assert messages[-1]["sessionResumptionUpdate"]["resumable"]
    return Turn(messages), messages[-1]["sessionResumptionUpdate"]["newHandle"]


async def resume(server: Simulator, handle: str) -> str:
    """Resume a session of 2.5; return what the model knows of it."""
    async with session(server, model=MODEL_2_5, sessionResumption={"handle": handle}) as peer:
        await until_handle(peer)
        await peer.say("what did I say before?")
        return (await until_handle(peer))[0].words


async def test_handles_of_2_5_come_after_the_setup_and_after_each_turn_and_restore_the_conversation() -> None:
    async with quick() as server:
        async with session(server, model=MODEL_2_5, sessionResumption={}) as peer:
            setup_only, empty = await until_handle(peer)
            await peer.say("My tree is a birch")
            turn, full = await until_handle(peer)
        assert len(setup_only.messages) == 1 and turn.has("turnComplete") and empty != full
        await server.sessions[0].wait_for(lambda record: not record.open)
        assert await resume(server, full) == "You said: My tree is a birch"
        assert await resume(server, full) == "You said: My tree is a birch"
        assert await resume(server, empty) == "You have not said anything before."
    assert [record.resumed_from for record in server.sessions] == [None, 1, 1, 1]


async def test_no_handles_of_2_5_for_those_who_did_not_ask() -> None:
    async with quick() as server, session(server, model=MODEL_2_5) as peer:
        await peer.ask("Hello")
    assert not any("sessionResumptionUpdate" in message for message in server.sessions[0].sent)


async def test_unknown_and_expired_handles_are_not_found() -> None:
    clock = FakeClock()
    async with quick(clock=clock) as server:
        async with session(server, sessionResumption={}) as peer:
            handle = (await peer.receive())["sessionResumptionUpdate"]["newHandle"]
        await server.sessions[0].wait_for(lambda record: not record.open)
        clock.advance(2 * 3600 + 1)
        for wrong in ("unknown", handle):
            async with dial(server) as peer:
                await peer.send(setup(sessionResumption={"handle": wrong}))
                assert await peer.closed() == (1008, "Requested entity was not found.")


async def test_resuming_a_session_that_is_still_connected_is_refused() -> None:
    async with quick() as server, session(server, sessionResumption={}) as first:
        handle = (await first.receive())["sessionResumptionUpdate"]["newHandle"]
        async with dial(server) as second:
            await second.send(setup(sessionResumption={"handle": handle}))
            assert (await second.closed())[0] == 1011


@pytest.mark.parametrize(("lifetime_s", "warned_after_s", "time_left"), [(600.0, 550.0, "50s"), (3.0, 1.5, "1.5s")])
async def test_go_away_comes_before_the_end_of_a_lifetime(
    lifetime_s: float, warned_after_s: float, time_left: str
) -> None:
    clock = FakeClock()
    async with quick(lifetime_s=lifetime_s, clock=clock) as server, session(server) as peer:
        await clock.waited_on()
        clock.advance(warned_after_s - 0.01)
        assert (await peer.ask("Hello")).words == "Hello"
        clock.advance(0.02)
        message = await peer.receive()
        assert float(message["goAway"]["timeLeft"].removesuffix("s")) == pytest.approx(float(time_left[:-1]), abs=0.02)
        await clock.waited_on()
        clock.advance(lifetime_s - warned_after_s)
        assert await peer.closed() == (1008, "Deadline expired before operation could complete.")
    assert server.sessions[0].mistakes == ["stayed until the end after goAway"]


async def test_server_that_ends_closes_its_sessions() -> None:
    async with quick() as server:
        async with session(server) as peer:
            await server.__aexit__(None, None, None)
            assert (await peer.closed())[0] == 1001
        assert (server.sessions[0].close_code, server.sessions[0].closed_by_client) == (1001, False)


@pytest.mark.skipif(os.name != "posix", reason="the voice that hangs is a shell script")
async def test_server_ends_soon_though_its_voice_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    voice = tmp_path / "espeak-ng"
    voice.write_text("#!/bin/sh\nsleep 30 &\necho $! > child\nsleep 30\n")  # its child keeps the pipe open
    voice.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.chdir(tmp_path)
    async with asyncio.timeout(15), Simulator() as server, session(server) as peer:
        await peer.say("Hello")
        while not (tmp_path / "child").exists() or not (tmp_path / "child").read_text():  # noqa: ASYNC110 - a file
            await asyncio.sleep(0.01)
        started_s = asyncio.get_running_loop().time()
        await server.__aexit__(None, None, None)
        assert asyncio.get_running_loop().time() - started_s < 5
    os.kill(int((tmp_path / "child").read_text()), signal.SIGKILL)


async def test_records_of_many_sessions_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_list, "MAX_RECORDS", 3)
    async with quick(keep=False) as server:
        for text in ("a", "nonsense", "b", "c", "d", "e"):
            async with dial(server) as peer:
                await peer.send({"nonsense": 1} if text == "nonsense" else setup())
                await peer.receive() if text != "nonsense" else await peer.closed()
        await server.sessions[-1].wait_for(lambda record: not record.open)
    assert (server.n_sessions, len(server.sessions)) == (6, 3)
    assert server.mistakes and server.sessions[0].number == 2
    assert server.verdict()[0] == "3 older sessions without mistakes are not listed"
    assert server.verdict_data()["sessions_forgotten"] == 3


async def test_a_message_that_is_too_large_closes_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    assert server_module.MAX_MESSAGE_BYTES == 16 * 1024 * 1024
    monkeypatch.setattr(server_module, "MAX_MESSAGE_BYTES", 10_000)  # the socket takes it whole
    async with quick() as server, dial(server) as peer:
        await peer.send({"setup": {"model": "x" * server_module.MAX_MESSAGE_BYTES}})
        assert (await peer.closed())[0] == 1009


async def test_record_of_an_ended_session_keeps_nothing_else_of_it() -> None:
    async with quick(keep=False) as server:
        for _ in range(3):
            async with session(server) as peer:
                await peer.say("hello")
                await peer.turn()
        await server.sessions[-1].wait_for(lambda record: not record.open)
        while any(type(each) is Wire for each in gc.get_objects()):  # isinstance() would follow dead proxies
            await asyncio.sleep(0)  # the last task ends
            gc.collect()
        assert len(server.sessions) == 3


async def test_client_that_closes_is_recorded() -> None:
    async with quick() as server:
        async with session(server) as peer:
            await peer.websocket.close(1000, "bye")
        await server.sessions[0].wait_for(lambda record: not record.open)
    record = server.sessions[0]
    assert (record.close_code, record.close_reason, record.closed_by_client) == (1000, "bye", True)


async def test_waiting_for_a_session_and_for_what_happens_in_it() -> None:
    async with quick() as server:
        waiting = asyncio.create_task(server.wait_for_session(2))
        async with session(server), session(server) as peer:
            record = await waiting
            assert record.number == 2
            done = asyncio.create_task(record.wait_for(lambda record: len(record.turns) == 1))
            await peer.ask("Hello")
            await done
            with pytest.raises(TimeoutError):
                await record.wait_for(lambda record: False, timeout_s=0.01)
        with pytest.raises(TimeoutError):
            await server.wait_for_session(3, timeout_s=0.01)


async def test_records_count_without_keeping_where_they_are_told_to() -> None:
    async with quick(keep=False) as server, session(server) as peer:
        await peer.speak(bytes(640))
        await peer.ask("Hello")
    (record,) = server.sessions
    assert (record.messages, record.sent, len(record.audio)) == ([], [], 0)
    assert (record.n_received, record.n_audio_bytes) == (3, 640)
    assert record.n_sent > 3


async def test_port_that_is_taken_is_one_line() -> None:
    async with quick() as server:
        with pytest.raises(ConfigError, match=rf"^cannot listen on 127.0.0.1:{server.port}: .*in use"):
            async with quick(port=server.port):
                pass


async def test_host_that_is_none_is_one_line() -> None:
    with pytest.raises(ConfigError, match=r"cannot listen on 203\.0\.113\.1:0"):
        async with quick(host="203.0.113.1"):
            pass


async def test_tls_with_a_certificate_of_its_own() -> None:
    async with quick(tls=True) as server:
        assert server.url.startswith("https://")
        assert server.certificate is not None
        path = server.certificate.path
        async with dial(server, ssl=server.certificate.client_context) as peer:
            await peer.send(setup())
            assert await peer.receive() == {"setupComplete": {}}
            assert (await peer.ask("Hello")).words == "Hello"
        context = server.certificate.client_context
        answer = await asyncio.to_thread(urllib.request.urlopen, f"{server.url}/v1/models", None, 10, context=context)
        with answer:
            assert answer.status == 200
        assert path.exists()
    assert not path.exists()


def test_certificate_in_a_folder_stays_the_same_and_covers_its_names(tmp_path: Path) -> None:
    folder = tmp_path / "tls"
    seen = []
    for names in ((), (), ("sim.test",), ("sim.test",), ()):
        with Certificate.make("127.0.0.1", names, folder) as certificate:
            seen.append(certificate.path.read_bytes())
    assert seen[0] == seen[1] != seen[2] == seen[3] == seen[4]
    if os.name == "posix":
        assert (folder / "key.pem").stat().st_mode & 0o777 == 0o600
    (folder / "certificate.pem").write_text("nonsense")
    with Certificate.make("127.0.0.1", (), folder) as certificate:
        assert certificate.path.read_bytes() not in seen
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"--tls-dir .*file"), Certificate.make("x", (), tmp_path / "file"):
        pass
    with pytest.raises(ConfigError, match=r"--tls-name bücher\.de"), Certificate.make("x", ("bücher.de",)):
        pass


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_certificate_is_valid_for_its_host_and_strict_clients(host: str) -> None:
    with Certificate.make(host) as certificate:
        context = certificate.client_context
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        client_in, client_out, server_in, server_out = (ssl.MemoryBIO() for _ in range(4))
        client = context.wrap_bio(client_in, client_out, server_hostname=host)
        server = certificate.server_context.wrap_bio(server_in, server_out, server_side=True)
        for _ in range(4):
            for side in (client, server):
                with suppress(ssl.SSLWantReadError):
                    side.do_handshake()
                server_in.write(client_out.read())
                client_in.write(server_out.read())
        assert client.version() is not None


def test_tls_without_its_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "cryptography", None)
    with (
        pytest.raises(MissingExtraError, match=r"--tls needs .*pip install 'gemini-live\[tls\]'"),
        Certificate.make("x"),
    ):
        pass
