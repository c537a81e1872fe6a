"""google-genai, the official SDK, as the simulator's client over TLS: what it does with the service, it does here."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from google import genai
from google.genai import errors, types
from google.genai.live import AsyncSession

from gemini_live.simulator import Simulator

from .peer import ON_TIME, dial, setup
from .sounds import SILENCE, spoken

MODEL = "gemini-3.8-live"
WORDS: dict[str, Any] = {
    "response_modalities": ["AUDIO"],
    "output_audio_transcription": {},
    "input_audio_transcription": {},
}
FUNCTION = {"function_declarations": [{"name": "get_weather", "behavior": "BLOCKING"}]}


def client_of(server: Simulator, version: str = "v1", key: str = "a-key") -> genai.Client:
    """The SDK, pointed at the simulator by base URL, trusting its certificate for sockets and for plain requests."""
    assert server.certificate is not None
    context = server.certificate.client_context
    return genai.Client(
        api_key=key,
        http_options=types.HttpOptions(
            base_url=f"{server.url}/",
            api_version=version,
            async_client_args={"ssl": context, "verify": context},
        ),
    )


@asynccontextmanager
async def sdk_session(server: Simulator, config: Any = WORDS, **options: Any) -> AsyncIterator[AsyncSession]:
    model = options.pop("model", MODEL)
    async with client_of(server, **options).aio.live.connect(model=model, config=config) as session:
        yield session


@asynccontextmanager
async def simulator(**options: Any) -> AsyncIterator[Simulator]:
    async with Simulator(tls=True, espeak=False, **{"pace": 0, **options}) as server:
        yield server


async def receive_turn(session: AsyncSession) -> list[types.LiveServerMessage]:
    """What `receive()` yields: the SDK ends it at the end of an interaction."""
    async with asyncio.timeout(20):
        return [message async for message in session.receive()]


def words_of(messages: list[types.LiveServerMessage]) -> str:
    contents = [message.server_content for message in messages if message.server_content]
    return "".join(c.output_transcription.text or "" for c in contents if c.output_transcription)


def audio_of(messages: list[types.LiveServerMessage]) -> bytes:
    parts = [
        part
        for message in messages
        if message.server_content and message.server_content.model_turn
        for part in message.server_content.model_turn.parts or []
    ]
    return b"".join(part.inline_data.data or b"" for part in parts if part.inline_data)


@pytest.mark.parametrize("version", ["v1", "v1beta", "v1alpha"])
async def test_typed_turn_is_answered_on_every_version(version: str) -> None:
    async with simulator(seed=ON_TIME) as server, sdk_session(server, version=version) as session:
        await session.send_realtime_input(text="Hello there")
        messages = await receive_turn(session)
        await session.send_client_content(
            turns=types.Content(role="user", parts=[types.Part(text="And again")]), turn_complete=True
        )
        again = await receive_turn(session)
    assert (words_of(messages), words_of(again)) == ("Hello there", "And again")
    assert len(audio_of(messages)) > 20_000
    assert messages[-1].usage_metadata is not None
    assert server.sessions[0].api_version == version
    assert server.sessions[0].mistakes == []


async def test_sdk_dials_with_two_slashes_and_is_served() -> None:
    async with simulator() as server, sdk_session(server):
        assert server.sessions[0].path.startswith("//ws/")


async def test_streamed_speech_comes_back() -> None:
    async with simulator() as server, sdk_session(server) as session:
        pcm = SILENCE + spoken() + SILENCE
        for start in range(0, len(pcm), 640):
            blob = types.Blob(data=pcm[start : start + 640], mime_type="audio/pcm;rate=16000")
            await session.send_realtime_input(audio=blob)
        await session.send_realtime_input(audio_stream_end=True)
        messages = await receive_turn(session)
    heard = [m.server_content.input_transcription for m in messages if m.server_content]
    assert any(transcription and "speech" in (transcription.text or "") for transcription in heard)
    assert len(audio_of(messages)) / 48_000 == pytest.approx(len(spoken()) / 32_000, abs=0.25)


async def test_tool_call_and_response() -> None:
    config = {**WORDS, "tools": [FUNCTION]}
    async with simulator(seed=ON_TIME) as server, sdk_session(server, config) as session:
        await session.send_realtime_input(text='call get_weather({"city": "Oslo"})')
        words = ""
        async with asyncio.timeout(20):
            async for message in session.receive():
                words += words_of([message])
                if message.tool_call:
                    (call,) = message.tool_call.function_calls or []
                    assert (call.name, call.args) == ("get_weather", {"city": "Oslo"})
                    answer = types.FunctionResponse(id=call.id, name=call.name, response={"output": "4 C"})
                    await session.send_tool_response(function_responses=answer)
    assert words == "get_weather returned 4 C"


async def test_scheduling_and_will_continue_of_a_response() -> None:
    tool = {"function_declarations": [{"name": "book", "behavior": "NON_BLOCKING"}]}
    async with simulator(seed=ON_TIME) as server, sdk_session(server, {**WORDS, "tools": [tool]}) as session:
        await session.send_realtime_input(text="call book()")
        messages = await receive_turn(session)
        (call,) = [call for m in messages if m.tool_call for call in m.tool_call.function_calls or []]
        for text, scheduling, more in (("working", "SILENT", True), ("done", "INTERRUPT", False)):
            answer = types.FunctionResponse(
                id=call.id,
                name="book",
                response={"output": text},
                scheduling=types.FunctionResponseScheduling(scheduling),
                will_continue=more,
            )
            await session.send_tool_response(function_responses=answer)
        result = await receive_turn(session)
    assert words_of(result) == "book returned done"


async def test_interruption() -> None:
    async with simulator(pace=1) as server, sdk_session(server) as session:
        await session.send_realtime_input(text="count to 100")
        while not audio_of([await session._receive()]):
            pass
        await session.send_client_content(
            turns=types.Content(role="user", parts=[types.Part(text="stop")]), turn_complete=True
        )
        cut = await receive_turn(session)
        following = await receive_turn(session)
    assert any(m.server_content and m.server_content.interrupted for m in cut)
    assert words_of(following) == "stop"


async def test_resumption_restores_the_conversation() -> None:
    async with simulator(seed=ON_TIME) as server:
        resumption = types.SessionResumptionConfig()
        async with sdk_session(server, {**WORDS, "session_resumption": resumption}) as session:
            message = await session._receive()
            assert message.session_resumption_update is not None
            handle = message.session_resumption_update.new_handle
            await session.send_realtime_input(text="The word is birch")
            await receive_turn(session)
        await server.sessions[0].wait_for(lambda record: not record.open)
        resumption = types.SessionResumptionConfig(handle=handle)
        async with sdk_session(server, {**WORDS, "session_resumption": resumption}) as session:
            await session.send_realtime_input(text="what did I say before?")
            messages = await receive_turn(session)
    assert words_of(messages) == "You said: The word is birch"
    assert server.sessions[1].resumed_from == 1


async def test_history_by_history_config_is_not_answered() -> None:
    config = {**WORDS, "history_config": types.HistoryConfig(initial_history_in_client_content=True)}
    async with simulator(seed=ON_TIME) as server, sdk_session(server, config) as session:
        await session.send_client_content(
            turns=[
                types.Content(role="user", parts=[types.Part(text="My name is Ada")]),
                types.Content(role="model", parts=[types.Part(text="Hello Ada")]),
            ],
            turn_complete=True,
        )
        await session.send_realtime_input(text="what did I say before?")
        messages = await receive_turn(session)
    assert words_of(messages) == "You said: My name is Ada"
    assert len(server.sessions[0].turns) == 1


async def test_context_update_changes_the_tools() -> None:
    async with simulator(seed=ON_TIME) as server, sdk_session(server, {**WORDS, "tools": [FUNCTION]}) as session:
        await session.send_context_update(tools=[])
        await session.send_realtime_input(text="call get_weather()")
        messages = await receive_turn(session)
    assert words_of(messages) == "call get_weather()"


@pytest.mark.filterwarnings("ignore:The SDK's ephemeral token support")
async def test_ephemeral_token_reaches_the_constrained_method() -> None:
    async with simulator(key="secret") as server:
        async with sdk_session(server, version="v1alpha", key="auth_tokens/secret") as session:
            await session.send_realtime_input(text="Hi")
            await receive_turn(session)
        with pytest.raises(errors.APIError, match="API key not valid"):
            async with sdk_session(server, version="v1alpha", key="auth_tokens/wrong"):
                pass
    assert server.sessions[0].path.endswith("BidiGenerateContentConstrained")


REFUSALS: list[tuple[dict[str, Any], dict[str, Any], int, str]] = [
    ({"response_modalities": ["TEXT"]}, {}, 1007, "response modalities \\(TEXT\\) is not supported by the model"),
    (WORDS, {"model": "gemini-2.0-flash-live-001"}, 1008, "models/gemini-2.0-flash-live-001 is not found for API"),
    ({"tools": [{"code_execution": {}}]}, {}, 1007, "Code Execution tool is not supported for this model."),
    ({"thinking_config": {"thinking_level": "LOW"}}, {}, 1007, "Thinking level is not supported"),
    (WORDS, {"key": "wrong"}, 1007, "API key not valid"),
    (
        {
            "thinking_config": {"thinking_level": "LOW"},
            "tools": [{"function_declarations": [{"name": "f", "behavior": "BLOCKING"}]}],
        },
        {"model": "gemini-3.8-live-extended-thinking"},
        1007,
        "BLOCKING function calls are not supported for this model.",
    ),
    ({}, {"model": "gemini-3.8-live-extended-thinking"}, 1007, "Thinking level must be specified for this model."),
    ({"session_resumption": {"handle": "unknown"}}, {}, 1008, "Requested entity was not found"),
]


@pytest.mark.parametrize(("config", "options", "code", "reason"), REFUSALS)
async def test_refusals_as_the_sdk_reports_them(
    config: dict[str, Any], options: dict[str, Any], code: int, reason: str
) -> None:
    async with simulator(key="a-key") as server:
        with pytest.raises(errors.APIError, match=reason) as caught:
            async with sdk_session(server, config, **options):
                pass
    assert caught.value.code == code


MISTAKES: list[tuple[str, str]] = [
    ('{"setup": {"model": "models/gemini-3.8-live"}}', "setup must be the first message"),
    ('{"clientContent": {"turn": []}}', "Unknown name \"turn\" at 'client_content': Cannot find field."),
    ('{"clientContent": {"turns": [{"parts": [{"text": "no role"}]}]}}', "Please use a valid role"),
]


@pytest.mark.parametrize(("raw", "reason"), MISTAKES)
async def test_refusals_in_mid_session_as_the_sdk_reports_them(raw: str, reason: str) -> None:
    async with simulator() as server, sdk_session(server) as session:
        await session._ws.send(raw)
        with pytest.raises(errors.APIError, match=reason) as caught:
            await receive_turn(session)
    assert caught.value.code == 1007


async def test_sdks_deprecated_media_is_refused_by_3_1() -> None:
    model = "gemini-3.1-flash-live-preview"
    async with simulator() as server, sdk_session(server, model=model) as session:
        await session.send_realtime_input(media=types.Blob(data=b"12", mime_type="audio/pcm;rate=16000"))
        with pytest.raises(errors.APIError, match="media_chunks is deprecated"):
            await receive_turn(session)


async def test_missing_key_is_told_by_its_reason() -> None:
    async with simulator(key="a-key") as server, dial(server, ssl=server.certificate.client_context) as peer:  # type: ignore[union-attr]
        await peer.send(setup())
        assert (await peer.closed())[1].startswith("Method doesn't allow unregistered callers")


async def test_fault_in_mid_turn_is_the_sdks_error() -> None:
    async with simulator(faults=["close:1011:Internal error occurred."]) as server, sdk_session(server) as session:
        await session.send_realtime_input(text="Hello there my friend")
        with pytest.raises(errors.APIError, match="Internal error occurred") as caught:
            await receive_turn(session)
    assert caught.value.code == 1011


async def test_extended_thinking_goes_on_past_its_filler() -> None:
    config = {**WORDS, "thinking_config": {"thinking_level": "LOW"}}
    model = "gemini-3.8-live-extended-thinking"
    async with simulator(seed=ON_TIME) as server, sdk_session(server, config, model=model) as session:
        await session.send_realtime_input(text="Hello there")
        messages = await receive_turn(session)
    statuses = [m.server_content.interaction_status for m in messages if m.server_content]
    assert [status for status in statuses if status] == [
        types.InteractionStatus.IN_PROGRESS,
        types.InteractionStatus.IDLE,
    ]
    assert words_of(messages) == "One moment.Hello there"


async def test_environment_alone_points_the_sdk_at_the_simulator(monkeypatch: pytest.MonkeyPatch) -> None:
    async with simulator(seed=ON_TIME) as server:
        assert server.certificate is not None
        monkeypatch.setenv("SSL_CERT_FILE", str(server.certificate.path))
        monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", server.url)
        monkeypatch.setenv("GOOGLE_API_KEY", "a-key")
        async with genai.Client().aio.live.connect(model=MODEL, config=WORDS) as session:  # type: ignore[arg-type]
            await session.send_realtime_input(text="Hello there")
            assert words_of(await receive_turn(session)) == "Hello there"


async def test_models_are_listed() -> None:
    async with simulator() as server:
        listed = [model.name async for model in await client_of(server, "v1beta").aio.models.list()]
        one = await client_of(server, "v1beta").aio.models.get(model=MODEL)
    assert f"models/{MODEL}" in listed
    assert one.name == f"models/{MODEL}"
