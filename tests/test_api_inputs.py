"""Every form of picture that `edgeemo.recognise` takes, compared with the same picture as a BGR array."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from fakes import stable_id

from edgeemo.api.inputs import is_picture, read_image
from edgeemo.errors import SourceError
from edgeemo.types import U8

BGR = np.random.default_rng(1).integers(0, 256, (9, 7, 3), np.uint8)
GREY = BGR[:, :, 0]
RGB = np.ascontiguousarray(BGR[:, :, ::-1])
ALPHA = np.full((9, 7, 1), 255, np.uint8)


def _closed() -> io.BytesIO:
    file = io.BytesIO(b"x")
    file.close()
    return file


def pixels(value: Any, colour: Any = None) -> U8:
    image = read_image(value, colour).pixels
    assert image.flags.c_contiguous
    assert image.dtype == np.uint8
    return image


@pytest.mark.parametrize(
    ("value", "colour"),
    [
        (BGR, None),
        (BGR, "bgr"),
        (RGB, "rgb"),
        (BGR[:, :, ::-1], "rgb"),  # a view with a negative stride
        (np.asfortranarray(BGR), None),
        (np.concatenate([BGR, ALPHA], axis=2), None),
        (np.concatenate([RGB, ALPHA], axis=2), "rgb"),
        (BGR.astype(np.uint16) * 257, None),
        ((BGR.astype(np.uint16) * 257).astype(">u2"), None),
        ((BGR / 255).astype(np.float64), None),
        ((BGR / 255).astype(np.float32), None),
        ((BGR / 255).astype(np.float16), None),
        (np.ma.masked_array(BGR, BGR > 100), None),
    ],
    ids=[
        "bgr", "said", "rgb", "view", "fortran", "bgra", "rgba", "uint16", "big-endian", "float64", "float32",
        "float16", "masked",
    ],
)  # fmt: skip
def test_arrays(value: Any, colour: str | None) -> None:
    assert np.array_equal(pixels(value, colour), BGR)


@pytest.mark.parametrize("value", [GREY, GREY[:, :, None], GREY.astype(np.uint16) * 257, GREY / 255])
@pytest.mark.parametrize("colour", [None, "rgb"])
def test_grey_arrays(value: Any, colour: str | None) -> None:
    assert np.array_equal(pixels(value, colour), np.repeat(GREY[:, :, None], 3, axis=2))


def test_transparent_pixels_show_the_background_and_not_their_hidden_colours() -> None:
    hidden = np.concatenate([BGR, ALPHA * 0], axis=2)
    assert (pixels(hidden) == 255).all()
    half = np.concatenate([np.zeros((2, 2, 3), np.uint8), np.full((2, 2, 1), 128, np.uint8)], axis=2)
    assert (pixels(half) == 127).all()


def test_the_array_is_copied() -> None:
    given = BGR.copy()
    assert not np.shares_memory(pixels(given), given)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (np.zeros((3, 40, 50), np.uint8), "transpose"),
        (np.zeros((5, 9, 7, 3), np.uint8), "several pictures"),
        (np.zeros((9, 7, 2), np.uint8), "shape"),
        (np.zeros(9, np.uint8), "shape"),
        (np.zeros((0, 7, 3), np.uint8), "empty"),
        (np.zeros((9, 7, 3), np.int64), "int64"),
        (np.zeros((9, 7, 3), bool), "bool"),
        (np.zeros((9, 7, 3), np.complex64), "complex64"),
        (np.array([["a.jpg"]]), "convert it"),
        (BGR.astype(np.uint16), "0..65535"),
        (BGR.astype(np.uint16) << 4, "12 bits"),
        (BGR.astype(np.float32), r"0\.\.1"),
        (BGR.astype(np.float32) / 127.5 - 1, r"0\.\.1"),
        (np.full((9, 7), np.nan), "NaN"),
        (np.full((9, 7), np.inf), "infinite"),
        (7, "not a picture"),
        (None, "not a picture"),
        (b"", "0 bytes"),
        (b"no picture", "not a readable picture"),
        (io.BytesIO(b""), "at its beginning"),
        (io.StringIO("text"), "rb"),
        (_closed(), "cannot be read"),
        ("", "empty"),
        (cv2.VideoCapture(), "edgeemo.watch"),
    ],
    ids=stable_id,
)
def test_what_is_no_picture_or_can_be_meant_in_two_ways_is_refused_in_one_line(value: Any, said: str) -> None:
    assert is_picture(value)
    with pytest.raises(SourceError, match=said) as caught:
        read_image(value)
    assert "\n" not in str(caught.value)


def test_a_black_uint16_picture_is_black() -> None:
    assert not pixels(np.zeros((9, 7, 3), np.uint16)).any()


@pytest.mark.parametrize("kind", [str, Path])
def test_paths(kind: type, tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    cv2.imwrite(str(path), BGR)
    image = read_image(kind(path))
    assert np.array_equal(image.pixels, BGR)
    assert (image.origin, image.path) == ("photo.png", path)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("none.jpg", "there is no file"),
        (".", "folder"),
        ("clip.mp4", "for a video use edgeemo.watch"),
        ("broken.jpg", "not a readable picture"),
        ("empty.jpg", "not a readable picture"),
        ("nul\0.jpg", "holds a zero byte"),
        ("n" * 300 + ".jpg", "is too long"),
        ("http://host/a.jpg", "for a stream use edgeemo.watch"),
    ],
)
def test_paths_that_hold_no_picture(
    name: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, demo_clip: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("clip.mp4").write_bytes(demo_clip.read_bytes())
    Path("broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no jpeg")
    Path("empty.jpg").touch()
    with pytest.raises(SourceError, match=said) as caught:
        read_image(name)
    assert "\n" not in str(caught.value)


def test_bytes_and_file_objects(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    cv2.imwrite(str(path), BGR)
    assert np.array_equal(pixels(path.read_bytes()), BGR)
    assert np.array_equal(pixels(bytearray(path.read_bytes())), BGR)
    assert np.array_equal(pixels(io.BytesIO(path.read_bytes())), BGR)
    with path.open("rb") as file:
        image = read_image(file)
    assert np.array_equal(image.pixels, BGR)
    assert image.origin == "photo.png"


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L", "1", "LA", "CMYK", "I;16", "F", "HSV"])
def test_pil_images_of_every_mode(mode: str) -> None:
    image_module = pytest.importorskip("PIL.Image")
    rgb = image_module.fromarray(RGB)
    if mode == "I;16":
        image, right = image_module.fromarray(GREY.astype(np.uint16) * 257), GREY
    elif mode == "F":
        image, right = image_module.fromarray((GREY / 255).astype(np.float32)), GREY
    else:
        image = rgb.convert(mode)
        right = np.asarray(image.convert("L" if mode in ("L", "1", "LA") else "RGB"))
    assert image.mode == mode
    right = np.repeat(right[:, :, None], 3, axis=2) if right.ndim == 2 else right[:, :, ::-1]
    assert np.array_equal(pixels(image), right)
    assert np.array_equal(pixels(image, "bgr"), right), "PIL knows its own order"


def test_a_pil_image_that_is_premultiplied_or_closed() -> None:
    image_module = pytest.importorskip("PIL.Image")
    image = image_module.fromarray(RGB).convert("LA")
    assert np.array_equal(pixels(image.convert("La")), pixels(image))
    image.close()
    with pytest.raises(SourceError, match="cannot be decoded"):
        read_image(image)


def test_pil_images_are_upright_and_keep_their_name(tmp_path: Path) -> None:
    image_module = pytest.importorskip("PIL.Image")
    path = tmp_path / "turned.png"
    exif = image_module.Exif()
    exif[0x0112] = 6
    image_module.fromarray(RGB).save(path, exif=exif)
    with image_module.open(path) as opened:
        image = read_image(opened)
    assert np.array_equal(image.pixels, np.rot90(BGR, -1))
    assert (image.origin, image.path) == ("turned.png", path)
    image_module.fromarray(RGB).save(path)
    with image_module.open(io.BytesIO(path.read_bytes()[:-60])) as cut, pytest.raises(SourceError, match="decoded"):
        read_image(cut)


def test_torch_tensors() -> None:
    torch = pytest.importorskip("torch")
    last, first = torch.from_numpy(RGB), torch.from_numpy(RGB).permute(2, 0, 1)
    for tensor in (last, first, first.float() / 255, (first / 255).requires_grad_(), first.contiguous()):
        assert np.array_equal(pixels(tensor, "rgb"), BGR)
    assert np.array_equal(pixels(torch.from_numpy(BGR), "bgr"), BGR)
    assert np.array_equal(pixels(torch.from_numpy(GREY)), np.repeat(GREY[:, :, None], 3, axis=2))
    assert np.array_equal(pixels(torch.from_numpy(GREY)[None]), np.repeat(GREY[:, :, None], 3, axis=2))
    assert (pixels(torch.full((3, 9, 7), 1.0, dtype=torch.bfloat16), "rgb") == 255).all()
    for tensor, said in (
        (first, "channel order"),
        (torch.zeros(3, 9, 3), "first or last"),
        (first[None], "several pictures"),
        (torch.zeros(2, 9, 7), "shape"),
    ):
        with pytest.raises(SourceError, match=said):
            read_image(tensor)


def test_the_interface_does_not_import_torch() -> None:
    import subprocess

    code = "import sys, edgeemo.api.inputs; print({'torch', 'PIL', 'pandas', 'av'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "torch" not in done.stdout


def test_frames_of_pyav(demo_clip: Path) -> None:
    av = pytest.importorskip("av")
    with av.open(str(demo_clip)) as container:
        frames = [frame for _, frame in zip(range(3), container.decode(video=0), strict=False)]
    image = read_image(frames[2])
    assert np.array_equal(image.pixels, frames[2].to_ndarray(format="bgr24"))
    assert image.time == pytest.approx(frames[2].time)
    rgb = av.VideoFrame.from_ndarray(RGB, format="rgb24")
    assert np.array_equal(pixels(rgb), BGR)


def test_frames_of_decord(demo_clip: Path) -> None:
    decord = pytest.importorskip("decord")
    frame = decord.VideoReader(str(demo_clip))[0]
    assert np.array_equal(pixels(frame), frame.asnumpy()[:, :, ::-1])


def test_frames_of_imageio(tmp_path: Path) -> None:
    imageio = pytest.importorskip("imageio.v3")
    path = tmp_path / "photo.png"
    cv2.imwrite(str(path), BGR)
    assert np.array_equal(pixels(imageio.imread(path), "rgb"), BGR)


@pytest.mark.parametrize("value", [[], [BGR], (BGR,), iter([BGR]), {"a.jpg": 1}])
def test_several_pictures_are_not_one(value: Any) -> None:
    assert not is_picture(value)


def test_a_column_of_paths_is_several_pictures() -> None:
    pandas = pytest.importorskip("pandas")
    assert not is_picture(pandas.Series(["a.jpg", "b.jpg"]))
