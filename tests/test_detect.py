"""The detect stage on real pictures: the shared clips, and the demo clip with one large face."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from zipfile import ZipFile

import cv2
import numpy as np
import pytest

from edgeemo.capture.file import VideoFile
from edgeemo.config import DetectConfig
from edgeemo.errors import ConfigError
from edgeemo.stages.detect import BlazeFaceDetector
from edgeemo.types import U8, UNTRACKED, Faces, Frame
from engines.preprocess import roll

FPS = 12

Open = Callable[..., BlazeFaceDetector]


def read(path: Path) -> list[U8]:
    clip = cv2.VideoCapture(str(path))
    pictures: list[U8] = []
    while True:
        there, picture = clip.read()
        if not there:
            clip.release()
            return pictures
        pictures.append(np.asarray(picture, np.uint8))


@pytest.fixture(scope="module")
def two(media: Path) -> list[U8]:
    return read(media / "two_faces.mp4")


@pytest.fixture(scope="module")
def three(media: Path) -> list[U8]:
    return read(media / "three_faces.mp4")


@pytest.fixture(scope="module")
def portrait(demo_clip: Path) -> U8:
    """640x360, one face about 130 pixels wide."""
    return read(demo_clip)[0]


@pytest.fixture(scope="module")
def photographs() -> Iterator[ZipFile]:
    path = Path(__file__).resolve().parents[2] / "shared" / "data" / "facial_expressions.zip"
    if not path.is_file():
        pytest.skip("shared/data/facial_expressions.zip is not laid beside this checkout")
    with ZipFile(path) as archive:
        yield archive


@pytest.fixture
def opened() -> Iterator[Open]:
    """Opens detectors; they are closed after the test."""
    detectors: list[BlazeFaceDetector] = []

    def open_detector(**values: object) -> BlazeFaceDetector:
        detectors.append(BlazeFaceDetector(DetectConfig(**values)))  # type: ignore[arg-type]
        return detectors[-1]

    yield open_detector
    for detector in detectors:
        detector.close()


def frame(picture: U8, index: int = 0, *, still: bool = False, fps: float = FPS) -> Frame:
    return Frame(np.ascontiguousarray(picture), index, index / fps, "clip", still)


def run(detector: BlazeFaceDetector, pictures: list[U8], *, fps: float = FPS) -> list[Faces]:
    return [detector.detect(frame(picture, index, fps=fps)) for index, picture in enumerate(pictures)]


def middles(faces: Faces) -> np.ndarray:
    return (faces.boxes[:, :2] + faces.boxes[:, 2:]) / 2


def sides(faces: Faces) -> np.ndarray:
    return faces.boxes[:, 2] - faces.boxes[:, 0]


def turned(picture: U8, degrees: float, centre: np.ndarray) -> U8:
    """A picture rotated counter-clockwise about a point."""
    matrix = cv2.getRotationMatrix2D((float(centre[0]), float(centre[1])), degrees, 1.0)
    return np.asarray(cv2.warpAffine(picture, matrix, picture.shape[1::-1], borderMode=cv2.BORDER_REPLICATE), np.uint8)


@pytest.mark.parametrize("size", [1.0, 0.5])
def test_three_people_who_walk_up_are_found_and_nothing_else(three: list[U8], opened: Open, size: float) -> None:
    pictures = [np.asarray(cv2.resize(picture, None, fx=size, fy=size), np.uint8) for picture in three]
    found = run(opened(), pictures)
    assert sum(map(len, found)) >= (122 if size == 1 else 115)  # of 123
    for faces in found:
        # one face in the left, middle and right part of the picture
        parts = np.searchsorted(np.array([330, 570]) * size, middles(faces)[:, 0])
        assert len(set(parts.tolist())) == len(faces)
        assert ((middles(faces)[:, 1] > 170 * size) & (middles(faces)[:, 1] < 320 * size)).all()
        assert ((sides(faces) > 50 * size) & (sides(faces) < 170 * size)).all()


def test_two_people_who_tilt_their_heads_are_found_in_every_frame(two: list[U8], opened: Open) -> None:
    for faces in run(opened(), two):
        assert len(faces) == 2
        assert sorted((middles(faces)[:, 0] > 480).tolist()) == [False, True]


def test_faces_of_stills_are_found_without_a_past(three: list[U8], opened: Open) -> None:
    detector = opened()
    assert sum(len(detector.detect(frame(picture, still=True))) for picture in three[::4]) >= 32


@pytest.mark.parametrize("policy", ["auto", "short_range", "full_range"])
def test_near_faces_are_found_under_every_policy(two: list[U8], opened: Open, policy: str) -> None:
    assert [len(faces) for faces in run(opened(policy=policy), two[:8])] == [2] * 8


def test_every_second_and_fifth_frame_is_enough(three: list[U8], opened: Open) -> None:
    for step in (2, 5):
        found = run(opened(), three[::step], fps=FPS / step)
        assert sum(map(len, found)) >= 0.93 * 3 * len(found)


def test_boxes_and_keypoints_are_pixels_of_the_frame(portrait: U8, opened: Open) -> None:
    faces = opened().detect(frame(portrait))
    assert len(faces) == 1
    assert faces.boxes.dtype == faces.keypoints.dtype == faces.scores.dtype == np.float32
    assert faces.ids.tolist() == [UNTRACKED]
    (x1, y1, x2, y2), points = faces.boxes[0], faces.keypoints[0]
    right_eye, left_eye, nose, mouth, right_ear, left_ear = points
    assert ((points > [x1 - 20, y1]) & (points < [x2 + 20, y2])).all()
    assert right_ear[0] < right_eye[0] < nose[0] < left_eye[0] < left_ear[0]
    assert max(right_eye[1], left_eye[1]) < nose[1] < mouth[1]


def test_a_larger_frame_gives_the_same_face_in_its_own_pixels(portrait: U8, opened: Open) -> None:
    small = opened().detect(frame(portrait, still=True))
    large = opened().detect(frame(np.asarray(cv2.resize(portrait, (1921, 1081)), np.uint8), still=True))
    scale = np.array([1921 / 640, 1081 / 360])
    np.testing.assert_allclose(middles(large) / scale, middles(small), atol=0.06 * sides(small)[0])
    np.testing.assert_allclose(sides(large) / scale[0], sides(small), rtol=0.12)


def test_frames_are_read_as_bgr(two: list[U8], opened: Open) -> None:
    """Faces are also found with swapped channels, but with lower scores; so scores are compared."""
    detector = opened()
    right = [detector.detect(frame(picture, still=True)).scores for picture in two[:16:4]]
    swapped = [detector.detect(frame(picture[:, :, ::-1], still=True)).scores for picture in two[:16:4]]
    assert np.mean(np.concatenate(right)) > np.mean(np.concatenate(swapped)) + 0.01
    assert sum(map(len, right)) >= sum(map(len, swapped))


def test_a_row_of_a_wider_picture_is_no_different_from_its_copy(portrait: U8, opened: Open) -> None:
    """Frames are contiguous, but their memory may be part of a larger picture's."""
    wide = np.zeros((360, 643, 3), np.uint8)
    wide[:, 3:] = portrait
    with pytest.raises(ValueError, match="contiguous"):
        Frame(wide[:, 3:], 0, 0.0, "clip")
    copied, original = (opened().detect(frame(picture, still=True)) for picture in (wide[:, 3:], portrait))
    np.testing.assert_array_equal(copied.boxes, original.boxes)


def test_detecting_leaves_the_frame_as_it_is(portrait: U8, opened: Open) -> None:
    before = portrait.copy()
    portrait.flags.writeable = False
    opened().detect(frame(portrait))
    np.testing.assert_array_equal(portrait, before)


def test_pictures_without_faces_give_none(opened: Open) -> None:
    detector = opened()
    random = np.random.default_rng(3)
    for row in range(6):
        height, width = [(360, 640), (97, 131), (480, 480)][row % 3]
        grain = 2 + 5 * row
        noise = random.normal(120, 60, (height // grain + 1, width // grain + 1, 3))
        cloud = np.clip(cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC), 0, 255).astype(np.uint8)
        assert len(detector.detect(frame(cloud, still=True))) == 0
    for grey in (0, 128, 255):
        faces = detector.detect(frame(np.full((360, 640, 3), grey, np.uint8)))
        assert faces.boxes.shape == (0, 4)
        assert faces.keypoints.shape == (0, 6, 2)


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (1, 4000), (4000, 1), (31, 7), (4320, 7680)])
def test_frames_of_any_size_are_taken(opened: Open, size: tuple[int, int]) -> None:
    picture = np.full((*size, 3), 90, np.uint8)
    detector = opened()
    assert [len(detector.detect(frame(picture, index))) for index in range(2)] == [0, 0]


def test_a_face_is_found_in_an_8k_frame(portrait: U8, opened: Open) -> None:
    picture = np.asarray(cv2.resize(portrait, (7680, 4320), interpolation=cv2.INTER_NEAREST), np.uint8)
    detector = opened()
    first, second = (detector.detect(frame(picture, index)) for index in range(2))
    assert len(first) == len(second) == 1
    assert 1000 < sides(second)[0] < 2600


def test_a_face_that_leaves_over_the_border_is_followed_and_then_gone(portrait: U8, opened: Open) -> None:
    detector = opened()
    (x1, _, x2, _) = detector.detect(frame(portrait)).boxes[0]
    seen = []
    for index in range(1, 30):
        shift = index * 24
        moved = np.zeros_like(portrait)
        moved[:, : max(640 - shift, 0)] = portrait[:, shift:]
        faces = detector.detect(frame(moved, index))
        seen.append(len(faces))
        if len(faces):
            assert faces.boxes[0, 2] == pytest.approx(float(x2) - shift, abs=float(x2 - x1) / 2)
    assert seen[:4] == [1] * 4
    assert seen[-3:] == [0] * 3


def test_a_head_that_tilts_is_followed_all_the_way_to_lying_down(portrait: U8, opened: Open) -> None:
    detector = opened()
    upright = detector.detect(frame(portrait))
    centre, started = middles(upright)[0], roll(upright.keypoints[0])
    for index in range(1, 19):
        faces = detector.detect(frame(turned(portrait, -5 * index, centre), index))
        assert len(faces) == 1
        assert np.degrees(roll(faces.keypoints[0]) - started) == pytest.approx(5 * index, abs=12)
        # boxes of the upright window keep their size; the models' boxes shrink with the tilt
        assert sides(faces)[0] == pytest.approx(sides(upright)[0], rel=0.25)


def test_known_faces_keep_their_rows(three: list[U8], opened: Open) -> None:
    detector = opened()
    order = None
    for faces in run(detector, three[10:]):
        now = np.argsort(middles(faces)[:, 0]).tolist()
        order = order or now
        assert now == order


def test_a_newcomer_is_found_within_half_a_second(two: list[U8], opened: Open) -> None:
    detector = opened()
    alone = two[20].copy()
    alone[:, 480:] = 120
    found = [len(detector.detect(frame(alone, index, fps=30))) for index in range(15)]
    assert found == [1] * 15
    waited = next(
        index for index in count(15) if len(detector.detect(frame(two[20], index, fps=30))) == 2 or index > 60
    )
    assert waited <= 30


def test_a_face_that_was_hidden_is_found_again_at_once(portrait: U8, opened: Open) -> None:
    detector = opened()
    dark = np.zeros_like(portrait)
    sequence = [portrait] * 3 + [dark] * 4 + [portrait] * 3
    assert [len(faces) for faces in run(detector, sequence, fps=30)] == [1, 1, 1, 0, 0, 0, 0, 1, 1, 1]


def test_a_face_that_jumps_is_found_in_the_same_frame(portrait: U8, opened: Open) -> None:
    detector = opened()
    here = np.full((360, 1280, 3), 90, np.uint8)
    there = here.copy()
    here[:, :640], there[:, 640:] = portrait, portrait
    places = [middles(faces)[:, 0] > 640 for faces in run(detector, [here, here, there, here], fps=30)]
    assert [place.tolist() for place in places] == [[False], [False], [True], [False]]


def test_a_still_leaves_nothing_behind(portrait: U8, opened: Open) -> None:
    detector = opened()
    dark = np.zeros_like(portrait)
    first = detector.detect(frame(portrait, 0, still=True))
    assert len(detector.detect(frame(dark, 1, still=True))) == 0
    again = detector.detect(frame(portrait, 2, still=True))
    np.testing.assert_array_equal(first.boxes, again.boxes)


def test_another_frame_size_or_an_earlier_time_begins_anew(portrait: U8, opened: Open) -> None:
    detector = opened()
    half = np.asarray(cv2.resize(portrait, (320, 180)), np.uint8)
    (big,), (small,) = (sides(detector.detect(frame(picture, index))) for index, picture in enumerate((portrait, half)))
    assert small == pytest.approx(big / 2, rel=0.15)
    assert len(detector.detect(frame(half, 0))) == 1


def test_of_too_many_faces_the_largest_stay(three: list[U8], opened: Open) -> None:
    everyone = opened().detect(frame(three[20]))
    some = opened(max_faces=2).detect(frame(three[20]))
    assert len(everyone) == 3
    assert sorted(sides(some).tolist()) == sorted(sides(everyone).tolist())[1:]


def test_nine_faces_are_followed(portrait: U8, opened: Open) -> None:
    face = opened().detect(frame(portrait))
    (x, y), side = middles(face)[0], 1.3 * float(sides(face)[0])
    matrix = np.array(
        [[200 / (2 * side), 0, 100 - x * 200 / (2 * side)], [0, 200 / (2 * side), 100 - y * 200 / (2 * side)]]
    )
    tile = np.asarray(cv2.warpAffine(portrait, matrix, (200, 200), borderMode=cv2.BORDER_REPLICATE), np.uint8)
    wall = np.ascontiguousarray(np.tile(tile, (3, 3, 1)))
    assert [len(faces) for faces in run(opened(), [wall] * 3)] == [9] * 3


def test_closing_twice_is_fine_and_a_closed_detector_says_so(portrait: U8) -> None:
    detector = BlazeFaceDetector()
    detector.close()
    detector.close()
    with pytest.raises(RuntimeError, match="closed"):
        detector.detect(frame(portrait))


@pytest.mark.parametrize(
    "values", [{"policy": "both"}, {"confirm_score": 2}, {"confirm_score": 0}, {"scan_s": -1}, {"max_faces": 0}]
)
def test_a_value_out_of_range_is_named(values: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(values))):
        DetectConfig(**values)  # type: ignore[arg-type]


def test_a_closer_look_that_nearly_convinces_needs_a_good_first_one() -> None:
    detector = BlazeFaceDetector(DetectConfig(confirm_score=0.7))
    looks = [(0.4, 0.7), (0.8, 0.61), (0.7, 0.69), (0.72, 0.69), (0.95, 0.59), (0.5, 0.65)]
    assert [detector._convinces(*scores) for scores in looks] == [True, True, False, True, False, False]
    detector.close()


def gallery(pictures: list[U8], across: int, width: int) -> U8:
    """A 16:9 picture with across x across faces, as in a video call."""
    size = (width // across, width * 9 // 16 // across)
    cells = [cv2.resize(pictures[row % len(pictures)], size, interpolation=cv2.INTER_AREA) for row in range(across**2)]
    rows = [np.hstack(cells[row * across : (row + 1) * across]) for row in range(across)]
    return np.ascontiguousarray(np.vstack(rows), np.uint8)


@pytest.mark.parametrize(("across", "width"), [(3, 1280), (6, 1920), (4, 3840), (6, 480), (8, 640)])
def test_every_face_of_a_gallery_is_found_in_a_still_picture(
    two: list[U8], opened: Open, across: int, width: int
) -> None:
    picture = gallery(two[::3], across, width)
    found = opened(max_faces=2).detect(frame(picture, still=True))
    assert len(found) == 2 * across**2
    cells = np.floor(middles(found) / [width / across / 2, width * 9 / 16 / across]).astype(int)
    assert len({tuple(cell) for cell in cells.tolist()}) == len(found)


def test_a_face_of_24_pixels_is_found_in_a_still_picture(portrait: U8, opened: Open) -> None:
    side = sides(opened().detect(frame(portrait)))[0]
    small = np.asarray(cv2.resize(portrait, None, fx=24 / side, fy=24 / side, interpolation=cv2.INTER_AREA), np.uint8)
    picture = np.full((1080, 1920, 3), 90, np.uint8)
    picture[700 : 700 + len(small), 1200 : 1200 + small.shape[1]] = small
    (found,) = sides(opened().detect(frame(picture, still=True)))
    assert found == pytest.approx(24, abs=5)


def test_a_small_newcomer_is_found_within_half_a_second_when_asked_for(portrait: U8, opened: Open) -> None:
    side = sides(opened().detect(frame(portrait)))[0]
    small = np.asarray(cv2.resize(portrait, None, fx=26 / side, fy=26 / side, interpolation=cv2.INTER_AREA), np.uint8)
    empty = np.full((1080, 1920, 3), 90, np.uint8)
    shown = empty.copy()
    places = [(0, 0), (1920 - small.shape[1], 1080 - len(small)), (1200, 700), (440, 460)]
    for x, y in places:
        shown[y : y + len(small), x : x + small.shape[1]] = small
    detector = opened(policy="small")
    assert [len(detector.detect(frame(empty, index, fps=30))) for index in range(5)] == [0] * 5
    found = [len(detector.detect(frame(shown, index, fps=30))) for index in range(5, 20)]
    assert found[-1] == len(places)


def test_a_newcomer_far_away_does_not_end_the_search_for_a_missing_face(two: list[U8], opened: Open) -> None:
    """One of two people is hidden while a third appears in another corner."""
    detector = opened()
    wide = np.full((540, 1920, 3), 120, np.uint8)
    wide[:, :960] = two[20]
    assert len(detector.detect(frame(wide, fps=30))) == 2
    hidden = wide.copy()
    hidden[:, :480] = 120
    hidden[:, 1440:] = two[20][:, 480:]
    assert len(detector.detect(frame(hidden, 1, fps=30))) == 2
    assert [round(missing.centre[0]) < 480 for missing in detector._missing] == [True]


TURNS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}


@pytest.mark.parametrize("degrees", TURNS)
def test_a_lying_or_upside_down_face_is_found_in_a_still_picture_where_it_is(
    portrait: U8, opened: Open, degrees: int
) -> None:
    upright = opened().detect(frame(portrait, still=True))
    assert upright.turned.tolist() == [0]
    faces = opened().detect(frame(np.asarray(cv2.rotate(portrait, TURNS[degrees]), np.uint8), still=True))
    assert faces.turned.tolist() == [degrees]
    x, y = middles(upright)[0]
    height, width = portrait.shape[:2]
    place = {90: (height - y, x), 180: (width - x, height - y), 270: (y, width - x)}[degrees]
    assert np.hypot(*(middles(faces)[0] - place)) < 0.1 * sides(upright)[0]
    assert sides(faces)[0] == pytest.approx(sides(upright)[0], rel=0.1)
    away = np.degrees(roll(faces.keypoints[0]) - roll(upright.keypoints[0])) - degrees
    assert abs((away + 180) % 360 - 180) < 10


@pytest.mark.parametrize("width", [24, 32])
def test_small_faces_of_photographs_are_found_once_in_a_still_picture(
    photographs: ZipFile, opened: Open, width: int
) -> None:
    names = [name for name in photographs.namelist() if name.endswith("_0001.jpg")][:24]
    picture = np.full((360, 640, 3), 90, np.uint8)
    for number, name in enumerate(names):
        data = np.frombuffer(photographs.read(name), np.uint8)
        face = cv2.imdecode(data, cv2.IMREAD_COLOR)
        side = round(width * 208 / 115.5)
        y, x = number // 8 * 110 + 20, number % 8 * 78 + 10
        picture[y : y + side, x : x + side] = cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA)
    faces = opened().detect(frame(picture, still=True))
    cells = np.floor((middles(faces) - [10, 20]) / [78, 110]).astype(int)
    assert len({tuple(cell) for cell in cells.tolist()}) == len(faces)
    assert len(faces) >= 22


def test_heads_that_lean_are_not_called_turned(two: list[U8], opened: Open) -> None:
    assert opened().detect(frame(two[20], still=True)).turned.tolist() == [0, 0]


def test_an_upside_down_face_beside_an_upright_one_is_at_most_found_as_what_it_is(portrait: U8, opened: Open) -> None:
    both = np.full((1000, 640, 3), 90, np.uint8)
    both[:360] = portrait
    both[640:] = cv2.rotate(portrait, cv2.ROTATE_180)
    assert opened().detect(frame(both, still=True)).turned.tolist() in ([0], [0, 180])


@pytest.mark.parametrize("name", ["Dwarakish_74", "Don_King_0001", "George_W_Bush_0447", "Parris_Glendening_0001"])
def test_a_portrait_that_one_closer_look_misses_is_found_by_five(photographs: ZipFile, opened: Open, name: str) -> None:
    data = photographs.read(f"facial_expressions/images/{name}.jpg")
    picture = frame(np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), np.uint8), still=True)
    detector = opened()
    assert len(detector.detect(frame(picture.image))) == 0, "found in video already"
    faces = detector.detect(picture)
    assert faces.turned.tolist() == [0]
    assert sides(faces)[0] == pytest.approx(0.55 * picture.image.shape[0], rel=0.3)


def test_the_boxes_of_a_video_do_not_depend_on_where_it_was_entered(demo_clip):
    frames = list(VideoFile(demo_clip).frames())[:120]
    early, late = (BlazeFaceDetector(), BlazeFaceDetector())
    boxes = {
        0: [early.detect(frame).boxes for frame in frames],
        40: [late.detect(frame).boxes for frame in frames[40:]],
    }
    early.close()
    late.close()
    settled = 75  # 2.5 s after the later one began
    for one, other in zip(boxes[0][40 + settled :], boxes[40][settled:], strict=True):
        assert one.shape == other.shape == (1, 4)
        assert (one == other).all()
