"""What this project assumes about the service without having seen it: put to the service where there is a key.

    GEMINI_API_KEY=... pytest -m service

prints of each claim whether it holds. The same checks are put to the simulator in every run, so that they are known to
work. None of them costs more than a few short turns.
"""

import asyncio
import base64
import io
import json
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http.client import RemoteDisconnected
from typing import Any

import pytest
from PIL import Image

from gemini_live.audio import pcm
from gemini_live.audio.resampling import LinearResampler
from gemini_live.config import DEFAULT_BASE_URL, DEFAULT_MODEL
from gemini_live.errors import ConnectionFailed, SessionClosed
from gemini_live.models import MODELS
from gemini_live.simulator import Simulator
from gemini_live.wire.address import build_url
from gemini_live.wire.connection import Connection

ANSWER_S = 60.0
"""How long an answer, or a refusal, may take."""
ACCEPTED_S = 3.0
"""A message that is not refused for so long has been accepted."""
MIB = 2**20


class FalseClaim(Exception):
    """The service does not do what is claimed of it; the message says what it does."""


class Inconclusive(Exception):
    """The model did not do what the check needs."""


@dataclass(frozen=True)
class Service:
    """Where the claims are checked."""

    url: str
    key: str = field(repr=False)

    @asynccontextmanager
    async def dial(self, *, version: str = "v1beta", key: str | None = None) -> AsyncIterator["Talk"]:
        """Open a connection, and send nothing."""
        key = self.key if key is None else key
        async with await Connection.open(build_url(self.url, version, key), key) as connection:
            yield Talk(connection)

    @asynccontextmanager
    async def talk(
        self, *, model: str = DEFAULT_MODEL, version: str = "v1beta", **fields: Any
    ) -> AsyncIterator["Talk"]:
        """Open a connection and complete its setup."""
        async with self.dial(version=version) as talk:
            await talk.send({"setup": build_setup(model, **fields)})
            await talk.until(lambda message: "setupComplete" in message)
            yield talk


def build_setup(model: str = DEFAULT_MODEL, **fields: Any) -> dict[str, Any]:
    """Return a setup that asks for what the model can do."""
    row = MODELS[model]
    config: dict[str, Any] = {"responseModalities": [row.modality(text_only=False).value]}
    if row.required_thinking_level:
        config["thinkingConfig"] = {"thinkingLevel": row.required_thinking_level}
    if row.translates:
        config["translationConfig"] = {"targetLanguageCode": "en"}
    setup: dict[str, Any] = {"model": f"models/{model}", "generationConfig": config}
    if row.transcription:
        setup |= {"inputAudioTranscription": {}, "outputAudioTranscription": {}}
    return {**setup, **fields}


@dataclass
class Answer:
    """One turn of the model's."""

    words: str = ""
    audio: bytes = b""
    thoughts: list[str] = field(default_factory=list)
    interrupted: bool = False
    calls: list[dict[str, Any]] = field(default_factory=list)

    def add(self, message: dict[str, Any]) -> None:
        """Take the next message."""
        content = message.get("serverContent", {})
        self.interrupted |= content.get("interrupted", False)
        self.words += content.get("outputTranscription", {}).get("text", "")
        self.calls += message.get("toolCall", {}).get("functionCalls", [])
        for part in content.get("modelTurn", {}).get("parts", []):
            if part.get("thought"):
                self.thoughts.append(part.get("text", ""))
            self.audio += base64.b64decode(part.get("inlineData", {}).get("data", ""))


class Talk:
    """One connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def send(self, message: dict[str, Any]) -> None:
        await self._connection.send(message)

    async def ask(self, text: str) -> None:
        """Send a typed turn."""
        await self.send({"realtimeInput": {"text": text}})

    async def speak(self, sound: bytes, mime_type: str = "audio/pcm;rate=16000") -> None:
        """Send speech, faster than real time."""
        for start in range(0, len(sound), 3_200):
            data = base64.b64encode(sound[start : start + 3_200]).decode()
            await self.send({"realtimeInput": {"audio": {"data": data, "mimeType": mime_type}}})

    async def show(self, jpeg: bytes) -> None:
        """Send a picture."""
        data = base64.b64encode(jpeg).decode()
        await self.send({"realtimeInput": {"video": {"data": data, "mimeType": "image/jpeg"}}})

    async def until(self, found: Callable[[dict[str, Any]], object]) -> Answer:
        """Receive up to the first message for which `found` holds."""
        answer = Answer()
        async with asyncio.timeout(ANSWER_S):
            while True:
                message = json.loads(await self._connection.receive())
                answer.add(message)
                if found(message):
                    return answer

    async def answer(self) -> Answer:
        """Receive a whole turn."""
        return await self.until(_ends_turn)

    async def calls(self, n: int) -> list[dict[str, Any]]:
        """Receive function calls, `n` at least."""
        calls: list[dict[str, Any]] = []
        while len(calls) < n:
            answer = await self.until(lambda message: "toolCall" in message or _ends_turn(message))
            calls += answer.calls
            if not answer.calls:
                raise Inconclusive(f"the model made {len(calls)} calls, and said {answer.words!r}")
        return calls

    async def respond(self, *calls: dict[str, Any]) -> None:
        """Answer function calls in one message."""
        responses = [{"id": call["id"], "name": call["name"], "response": {"output": "sunny"}} for call in calls]
        await self.send({"toolResponse": {"functionResponses": responses}})

    async def is_refused(self) -> SessionClosed | None:
        """Return how the server closes the connection, or None where it has accepted what was sent."""
        try:
            async with asyncio.timeout(ACCEPTED_S):
                while True:
                    await self._connection.receive()
        except TimeoutError:
            return None
        except SessionClosed as closed:
            return closed


def _ends_turn(message: dict[str, Any]) -> bool:
    return bool(message.get("serverContent", {}).get("turnComplete"))


async def say(service: Service, words: str) -> bytes:
    """Return the words as speech of 16 kHz: the model says them."""
    async with service.talk() as talk:
        await talk.ask(words)
        spoken = (await talk.answer()).audio
    resampler = LinearResampler(pcm.OUTPUT.rate_hz, pcm.INPUT.rate_hz)
    return resampler.feed(spoken) + resampler.flush()


def red_jpeg() -> bytes:
    """Return a picture that is red all over."""
    file = io.BytesIO()
    Image.new("RGB", (256, 256), (255, 0, 0)).save(file, "JPEG")
    return file.getvalue()


LOOK_UP = {
    "functionDeclarations": [
        {
            "name": "look_up_weather",
            "description": "Look up the weather in a city.",
            "parameters": {
                "type": "OBJECT",
                "properties": {"city_name": {"type": "STRING"}},
                "required": ["city_name"],
            },
            "behavior": "BLOCKING",
        }
    ]
}


# The checks: each raises FalseClaim with what was seen instead.


async def check_setup(service: Service, *, model: str = DEFAULT_MODEL, version: str = "v1beta") -> None:
    try:
        async with service.talk(model=model, version=version):
            pass
    except SessionClosed as closed:
        raise FalseClaim(f"closed with {closed.code}: {closed.reason}") from None


async def check_shut_down(service: Service, *, model: str) -> None:
    try:
        async with service.talk(model=model):
            pass
    except SessionClosed:
        return
    raise FalseClaim("it completes the setup")


async def check_bad_key(service: Service) -> None:
    try:
        async with service.dial(key="a-key-that-is-certainly-not-valid") as talk:
            await talk.send({"setup": build_setup()})
            refused = await talk.is_refused()
    except ConnectionFailed as failure:
        raise FalseClaim(f"the handshake is refused: {failure}") from None
    if refused is None or refused.code != 1007 or "API key not valid" not in refused.reason:
        raise FalseClaim(f"it says: {refused}")


async def check_refused_first(service: Service, *, message: dict[str, Any], code: int) -> None:
    async with service.dial() as talk:
        await talk.send(message)
        refused = await talk.is_refused()
    if refused is None or refused.code != code:
        raise FalseClaim(f"closed with {refused.code}: {refused.reason}" if refused else "it is accepted")


async def check_second_setup(service: Service) -> None:
    async with service.talk() as talk:
        await talk.send({"setup": build_setup()})
        refused = await talk.is_refused()
    if refused is None or refused.code != 1007:
        raise FalseClaim(f"closed with {refused.code}: {refused.reason}" if refused else "it is accepted")


async def check_spellings(service: Service) -> None:
    voice = {"voiceConfig": {"prebuilt_voice_config": {"voiceName": "Kore"}}}
    setup = build_setup(output_audio_transcription={})
    del setup["outputAudioTranscription"]
    setup["generationConfig"] = {"response_modalities": ["AUDIO"], "speechConfig": voice}
    try:
        async with service.dial() as talk:
            await talk.send({"setup": setup})
            await talk.until(lambda message: "setupComplete" in message)
            await talk.send({"realtime_input": {"text": "Say hello."}})
            await talk.answer()
    except SessionClosed as closed:
        raise FalseClaim(f"closed with {closed.code}: {closed.reason}") from None


async def check_argument_names(service: Service) -> None:
    async with service.talk(tools=[LOOK_UP]) as talk:
        await talk.ask('call look_up_weather({"city_name": "Oslo"})')
        [call] = await talk.calls(1)
    if list(call["args"]) != ["city_name"]:
        raise FalseClaim(f"the arguments are called {list(call['args'])}")


async def check_generation_config(service: Service, *, name: str, value: Any) -> None:
    setup = build_setup()
    setup["generationConfig"][name] = value
    await check_refused_first(service, message={"setup": setup}, code=1007)


async def check_responses(service: Service, *, together: bool) -> None:
    async with service.talk(tools=[LOOK_UP]) as talk:
        cities = ('{"city_name": "Oslo"}', '{"city_name": "Rome"}')
        await talk.ask(" and ".join(f"call look_up_weather({city})" for city in cities))
        calls = await talk.calls(2)
        try:
            for group in [calls] if together else [[call] for call in calls]:
                await talk.respond(*group)
            answer = await talk.answer()
            while not answer.words:  # some models end the turn of the call itself
                answer = await talk.answer()
        except SessionClosed as closed:
            raise FalseClaim(f"closed with {closed.code}: {closed.reason}") from None


async def check_stream_end_ends_nothing(service: Service) -> None:
    sound = await say(service, "What is two plus two?")
    async with service.talk() as talk:
        await talk.speak(sound, _16_KHZ)
        await talk.send({"realtimeInput": {"audioStreamEnd": True}})
        try:
            async with asyncio.timeout(ACCEPTED_S):
                await talk.answer()
        except TimeoutError:
            return
    raise FalseClaim("it is answered")


async def check_speech(service: Service, *, mime_type: str, zeros_s: float, ends: bool) -> None:
    sound = await say(service, "What is two plus two?") + bytes(pcm.INPUT.n_bytes(zeros_s))
    async with service.talk() as talk:
        await talk.speak(sound, mime_type)
        if ends:
            await talk.send({"realtimeInput": {"audioStreamEnd": True}})
        try:
            answer = await talk.answer()
        except SessionClosed as closed:
            raise FalseClaim(f"closed with {closed.code}: {closed.reason}") from None
        except TimeoutError:
            raise FalseClaim("no answer comes") from None
    if not answer.words:
        raise FalseClaim("the answer is empty")


async def check_typing_does_not_interrupt(service: Service) -> None:
    async with service.talk() as talk:
        await talk.ask("count to 12")
        await talk.until(lambda message: "modelTurn" in message.get("serverContent", {}))
        await talk.ask("Now say hello.")
        first = await talk.answer()
    if first.interrupted:
        raise FalseClaim("the answer before is interrupted")


async def check_typed_turn_sees_the_screen(service: Service) -> None:
    async with service.talk() as talk:
        await talk.show(red_jpeg())
        await talk.ask("What do you see?")
        answer = await talk.answer()
    if "red" not in answer.words.lower():
        raise FalseClaim(f"of a red picture it says: {answer.words}")


async def check_typing_without_vad(service: Service) -> None:
    async with service.talk(realtimeInputConfig={"automaticActivityDetection": {"disabled": True}}) as talk:
        await talk.ask("Say hello.")
        try:
            answer = await talk.answer()
        except TimeoutError:
            raise FalseClaim("no answer comes") from None
    if not answer.words:
        raise FalseClaim("the answer is empty")


async def check_large_message(service: Service, *, size_bytes: int) -> None:
    jpeg = red_jpeg()
    async with service.talk() as talk:
        await talk.show(jpeg + bytes(size_bytes * 3 // 4 - len(jpeg)))
        refused = await talk.is_refused()
    if refused is not None:
        raise FalseClaim(f"closed with {refused.code}: {refused.reason}")


async def check_context_update(service: Service, *, model: str) -> None:
    async with service.talk(model=model) as talk:
        instruction = {"parts": [{"text": "Answer in one word."}], "role": "user"}
        await talk.send({"contextUpdate": {"systemInstruction": instruction}})
        refused = await talk.is_refused()
    if refused is not None:
        raise FalseClaim(f"closed with {refused.code}: {refused.reason}")


async def check_ephemeral_token(service: Service, *, version: str) -> None:
    request = urllib.request.Request(
        f"{service.url}/{version}/auth_tokens",
        data=b'{"uses": 1}',
        headers={"x-goog-api-key": service.key, "Content-Type": "application/json"},
    )
    try:
        response = await asyncio.to_thread(lambda: urllib.request.urlopen(request, timeout=ANSWER_S).read())
    except urllib.error.HTTPError as error:
        error.close()
        raise FalseClaim(f"HTTP {error.code}") from None
    except RemoteDisconnected:
        raise FalseClaim("the connection is closed without an answer") from None
    token = json.loads(response)["name"]
    async with service.dial(version=version, key=token) as talk:
        await talk.send({"setup": build_setup()})
        if (refused := await talk.is_refused()) is not None:
            raise FalseClaim(f"the token is made, but closed with {refused.code}: {refused.reason}")


async def check_no_thoughts(service: Service) -> None:
    async with service.talk() as talk:
        await talk.ask("A bat and a ball cost 1.10 together; the bat costs 1 more than the ball. And the ball?")
        answer = await talk.answer()
    if answer.thoughts:
        raise FalseClaim(f"it thinks aloud: {answer.thoughts[0][:100]}")


@dataclass(frozen=True)
class Claim:
    """Something that we assume, and how to find out."""

    words: str
    check: Callable[..., Awaitable[None]]
    facts: dict[str, Any] = field(default_factory=dict)
    simulated: bool = True
    """Whether it holds for the simulator."""
    speaks: bool = False
    """Whether the simulator needs a voice for it."""


_SHUT_DOWN = ("gemini-3.1-flash-live-preview", "gemini-2.5-flash-native-audio-preview-12-2025")
_REFUSED_FIELDS: dict[str, Any] = {
    "audioTimestamp": True,
    "logprobs": 2,
    "responseJsonSchema": {"type": "object"},
    "responseLogprobs": True,
    "responseMimeType": "application/json",
    "responseSchema": {"type": "OBJECT"},
    "routingConfig": {},
    "stopSequences": ["stop"],
}
_16_KHZ = "audio/pcm;rate=16000"

CLAIMS = (
    *(
        Claim(f"{model} works with {version}", check_setup, {"model": model, "version": version})
        for version in ("v1beta", "v1alpha", "v1")
        for model in MODELS
        if model not in _SHUT_DOWN and (version == "v1" or model == DEFAULT_MODEL)
    ),
    *(Claim(f"{model} is shut down", check_shut_down, {"model": model}, simulated=False) for model in _SHUT_DOWN),
    Claim("a wrong key is refused on the open socket, with 1007 and `API key not valid`", check_bad_key),
    Claim(
        "a first message that is no setup is refused with 1007",
        check_refused_first,
        {"message": {"realtimeInput": {"text": "Hello."}}, "code": 1007},
    ),
    Claim("a second setup is refused with 1007", check_second_setup),
    Claim("snake_case and camelCase can be mixed at any depth", check_spellings),
    Claim("the names of a function's arguments come as they were declared", check_argument_names),
    *(
        Claim(f"generationConfig.{name} is refused with 1007", check_generation_config, {"name": name, "value": value})
        for name, value in _REFUSED_FIELDS.items()
    ),
    Claim("calls that came together can be answered in several messages", check_responses, {"together": False}),
    Claim("calls that came together can be answered in one message", check_responses, {"together": True}),
    Claim(f"audioStreamEnd does not end a spoken turn on {DEFAULT_MODEL}", check_stream_end_ends_nothing, speaks=True),
    Claim(
        "speech followed by a second of zeros is answered without audioStreamEnd",
        check_speech,
        {"mime_type": _16_KHZ, "zeros_s": 1.0, "ends": False},
        speaks=True,
    ),
    Claim(
        "`audio/pcm` without a rate is taken for 16 kHz",
        check_speech,
        {"mime_type": "audio/pcm", "zeros_s": 1.0, "ends": False},
        speaks=True,
    ),
    Claim("a typed turn (realtimeInput.text) does not interrupt an answer", check_typing_does_not_interrupt),
    Claim("a typed turn is about the screen too", check_typed_turn_sees_the_screen, simulated=False),
    Claim("a typed turn is answered with voice activity detection off", check_typing_without_vad),
    *(
        Claim(f"a message of {size} MiB is accepted", check_large_message, {"size_bytes": size * MIB})
        for size in (1, 4, 8)
    ),
    *(
        Claim(f"{model} accepts contextUpdate", check_context_update, {"model": model})
        for model in (DEFAULT_MODEL, "gemini-3.8-live-extended-thinking")
    ),
    *(
        Claim(
            f"{version} makes and takes ephemeral tokens",
            check_ephemeral_token,
            {"version": version},
            simulated=version != "v1",
        )
        for version in ("v1alpha", "v1beta", "v1")
    ),
    Claim(f"{DEFAULT_MODEL} does not show its thoughts", check_no_thoughts),
)

claims = pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.words)


@pytest.mark.service
@claims
async def test_the_service_is_as_we_assume(claim: Claim, capsys: pytest.CaptureFixture[str]) -> None:
    key = os.environ.get("GOOGLE_API_KEY", "").strip() or os.environ.get("GEMINI_API_KEY", "").strip()
    if not key:
        pytest.skip("no key: set GEMINI_API_KEY")
    service = Service(os.environ.get("GOOGLE_GEMINI_BASE_URL") or DEFAULT_BASE_URL, key)
    verdict, failed = f"holds: {claim.words}", False
    try:
        await claim.check(service, **claim.facts)
    except FalseClaim as seen:
        verdict, failed = f"FALSE: {claim.words} ({seen})", True
    except Inconclusive as why:
        verdict = f"not checked: {claim.words} ({why})"
    with capsys.disabled():
        print(f"\n{verdict}", end=" ")
    if failed:
        pytest.fail(verdict, pytrace=False)


@claims
async def test_the_check_works_against_the_simulator(claim: Claim, monkeypatch: pytest.MonkeyPatch) -> None:
    if claim.speaks and shutil.which("espeak-ng") is None:
        pytest.skip("espeak-ng is not installed")
    monkeypatch.setitem(globals(), "ACCEPTED_S", 0.3)
    paced = claim.check is check_typing_does_not_interrupt
    async with Simulator(
        key="a-key-of-no-one-at-all", pace=20 if paced else 0, espeak=claim.speaks, typed_text="queues"
    ) as server:
        service = Service(server.url, "a-key-of-no-one-at-all")
        try:
            await claim.check(service, **claim.facts)
        except FalseClaim:
            assert not claim.simulated
        else:
            assert claim.simulated
