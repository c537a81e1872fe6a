"""Pictures in results."""

import io
from typing import Any

import pytest
from PIL import Image

from gemini_live.functions.json_values import UnfitError, to_json
from gemini_live.functions.pictures import Picture, find_picture
from gemini_live.functions.result import CallResult
from gemini_live.models import MODELS
from tests.functions.loading import Write, load_file

IMAGE = Image.new("RGB", (2, 2), "red")


def _file(kind: str) -> bytes:
    file = io.BytesIO()
    IMAGE.save(file, format=kind)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_picture_is_known_by_its_first_bytes(kind: str) -> None:
    data = _file(kind)
    expected = Picture(f"image/{kind.lower()}", data)
    assert [find_picture(value) for value in (data, bytearray(data), memoryview(data))] == [expected] * 3


def test_an_image_of_pillow_becomes_png() -> None:
    picture = find_picture(IMAGE)
    assert picture is not None
    assert picture.mime_type == "image/png"
    assert Image.open(io.BytesIO(picture.data)).size == (2, 2)


@pytest.mark.parametrize("value", [b"", b"text", b"RIFF....WAVE", _file("GIF"), "text", 5, object()])
def test_everything_else_is_no_picture(value: Any) -> None:
    assert find_picture(value) is None


def test_pictures_are_numbered_where_they_stand() -> None:
    png, jpeg = _file("PNG"), _file("JPEG")
    found: list[Picture] = []
    converted = to_json({"shots": [png, {"last": jpeg}], "n": 2}, "the result", found)
    assert converted == {"shots": ["picture 1 (image/png)", {"last": "picture 2 (image/jpeg)"}], "n": 2}
    assert found == [Picture("image/png", png), Picture("image/jpeg", jpeg)]
    assert to_json(png, "the result") == "a picture (image/png), which this model cannot see in a result"


def test_an_image_that_cannot_be_written_is_refused_with_its_place() -> None:
    with pytest.raises(UnfitError, match=r"^the result\[0\] is a picture that cannot be written \("):
        to_json([Image.new("CMYK", (1, 1))], "the result", [])


@pytest.mark.parametrize(
    ("model", "sees"),
    [
        ("gemini-3.8-live", True),
        ("gemini-3.1-flash-live-preview", True),
        ("gemini-2.5-flash-native-audio-latest", False),
    ],
)
async def test_a_result_carries_pictures_for_models_that_see_them(write: Write, model: str, sees: bool) -> None:
    path = write(f"def plot() -> bytes:\n    return {_file('PNG')!r}\n")
    result = await load_file(path, MODELS[model]).call("plot", {})
    if sees:
        pictures = (Picture("image/png", _file("PNG")),)
        assert result == CallResult(response={"output": "picture 1 (image/png)"}, pictures=pictures)
    else:
        words = "a picture (image/png), which this model cannot see in a result"
        assert result == CallResult(response={"output": words})
