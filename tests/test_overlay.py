from __future__ import annotations

import numpy as np
import pytest

from edgeemo.stages import overlay
from edgeemo.stages.overlay import Rect, arrange, draw, fitted, shown_classes, text_size, title_of
from edgeemo.types import U8, UNTRACKED, Faces, Frame, Result
from engines import LABELS, Emotion

Box = tuple[float, float, float, float]


def picture(width: int, height: int, value: int = 90) -> U8:
    return np.full((height, width, 3), value, np.uint8)


def result(
    image: U8,
    boxes: list[Box],
    *,
    emotion: str = "happiness",
    confidence: float = 0.9,
    tracked: bool = True,
    labels: tuple[str, ...] = LABELS,
) -> Result:
    count = len(boxes)
    values = np.full((count, len(labels)), (1 - confidence) / (len(labels) - 1), np.float32)
    values[:, labels.index(emotion)] = confidence
    ids = np.arange(1, count + 1, dtype=np.int64) if tracked else np.full(count, UNTRACKED, np.int64)
    faces = Faces(
        np.array(boxes, np.float32).reshape(count, 4),
        np.zeros((count, 6, 2), np.float32),
        np.ones(count, np.float32),
        ids,
    )
    return Result(Frame(image, 0, 0.0, "clip.mp4"), faces, values, values, labels, (emotion,) * count)


def ten_pixels_a_letter(text: str) -> float:
    return 10.0 * len(text)


def changed(before: U8, after: U8, rect: Rect) -> bool:
    region = np.s_[round(rect.y) : round(rect.bottom), round(rect.x) : round(rect.right)]
    return bool((before[region] != after[region]).any())


def test_a_picture_without_faces_comes_back_equal_but_as_a_copy() -> None:
    image = picture(320, 180)
    out = draw(image, result(image, []))
    assert out is not image
    np.testing.assert_array_equal(out, image)
    assert arrange(result(image, []), 1.0, 12, ten_pixels_a_letter) == []


def test_the_frame_is_never_written_to() -> None:
    image = picture(640, 360)
    before = image.copy()
    image.flags.writeable = False
    out = draw(image, result(image, [(200, 100, 320, 230)]))
    np.testing.assert_array_equal(image, before)
    assert (out != before).any()
    assert out.shape == image.shape
    assert out.dtype == np.uint8


@pytest.mark.parametrize("emotion", [emotion.label for emotion in Emotion])
def test_box_and_title_have_the_colour_of_the_emotion(emotion: str) -> None:
    image = picture(640, 360)
    out = draw(image, result(image, [(200, 100, 320, 230)], emotion=emotion))
    drawn = (out == np.array(Emotion.of(emotion).bgr, np.uint8)).all(axis=2)
    assert drawn[100:103, 200:320].any()
    assert drawn[:, 324:].any()


def test_a_bar_is_as_long_as_its_probability() -> None:
    image = picture(640, 360)
    found = result(image, [(100, 100, 220, 230)], confidence=0.5)
    (tag,) = arrange(found, 1.0, text_size(360), overlay._font(text_size(360)).width)
    bar = next(bar for bar in tag.bars if bar.emotion is Emotion.HAPPINESS)
    row = draw(image, found)[round(bar.track.y + bar.track.height / 2)]
    filled = (row == np.array(Emotion.HAPPINESS.bgr, np.uint8)).all(axis=1)
    inside = filled[round(bar.track.x) : round(bar.track.right)]
    assert inside.sum() == pytest.approx(bar.track.width / 2, abs=1.5)


def test_every_expression_has_a_bar_and_the_other_classes_only_when_shown() -> None:
    image = picture(640, 360)
    classes = [emotion.label for emotion, _ in shown_classes(result(image, [(0, 0, 9, 9)]), 0)]
    assert classes == list(LABELS[:8])
    unsure = [emotion.label for emotion, _ in shown_classes(result(image, [(0, 0, 9, 9)], emotion="uncertain"), 0)]
    assert unsure == [*LABELS[:8], "uncertain"]


def test_bars_follow_the_order_of_the_engine() -> None:
    image = picture(640, 360)
    labels = ("surprise", "neutral", "happiness")
    (tag,) = arrange(result(image, [(10, 10, 90, 90)], labels=labels), 1.0, 12, ten_pixels_a_letter)
    assert [bar.emotion.label for bar in tag.bars] == list(labels)


def test_the_title_names_person_expression_and_confidence() -> None:
    image = picture(640, 360)
    assert title_of(result(image, [(0, 0, 9, 9)], confidence=0.914), 0) == "#1 Happiness 91 %"
    assert title_of(result(image, [(0, 0, 9, 9)], tracked=False), 0) == "Happiness 90 %"


@pytest.mark.parametrize("size", [(1920, 1080), (640, 360), (360, 640), (320, 180), (160, 120)])
@pytest.mark.parametrize("place", [(0.0, 0.0), (0.8, 0.0), (0.0, 0.8), (0.8, 0.8), (0.4, 0.4), (-0.1, 0.5), (0.9, 0.9)])
def test_label_and_bars_stay_inside_the_picture(size: tuple[int, int], place: tuple[float, float]) -> None:
    width, height = size
    image = picture(width, height)
    box = (place[0] * width, place[1] * height, (place[0] + 0.2) * width, (place[1] + 0.2) * height)
    found = result(image, [box])
    (tag,) = arrange(found, 1.0, text_size(height), overlay._font(text_size(height)).width)
    assert tag.title
    for rect in (tag.panel, tag.label, tag.box, *(bar.track for bar in tag.bars), *(bar.name for bar in tag.bars)):
        assert rect.x >= 0
        assert rect.y >= 0
        assert rect.right <= width + 0.01
        assert rect.bottom <= height + 0.01
    assert changed(image, draw(image, found), tag.label)


def test_labels_do_not_cover_the_face_of_another_person() -> None:
    image = picture(1280, 720)
    found = result(image, [(200, 200, 320, 330), (420, 220, 540, 350), (700, 180, 820, 310)])
    tags = arrange(found, 1.0, text_size(720), overlay._font(text_size(720)).width)
    for tag in tags:
        for other in tags:
            if other is not tag:
                assert tag.panel.overlap(other.box) == 0
                assert tag.panel.overlap(other.panel) == 0
        assert tag.bars


def test_bars_are_left_out_where_a_crowd_leaves_no_room_for_them() -> None:
    image = picture(640, 360)
    boxes = [(x, y, x + 60.0, y + 70.0) for y in (20.0, 130.0, 240.0) for x in range(10, 600, 90)]
    tags = arrange(result(image, boxes), 1.0, text_size(360), overlay._font(text_size(360)).width)
    assert len(tags) == len(boxes)
    assert any(not tag.bars for tag in tags)
    assert all(tag.title for tag in tags)


def test_without_bars_the_label_is_all_there_is() -> None:
    image = picture(640, 360)
    (tag,) = arrange(result(image, [(200, 100, 320, 230)]), 1.0, 12, ten_pixels_a_letter, bars=False)
    assert tag.bars == ()
    assert tag.panel == tag.label
    assert tag.label.overlap(tag.box) == 0


def test_the_panel_keeps_its_width_while_the_confidence_moves() -> None:
    image = picture(640, 360)
    widths = {
        arrange(result(image, [(200, 100, 320, 230)], confidence=each), 1.0, 12, ten_pixels_a_letter)[0].panel.width
        for each in (0.09, 0.5, 1.0)
    }
    assert len(widths) == 1


@pytest.mark.parametrize("bars", [False, True])
def test_text_and_tracks_keep_a_margin_inside_the_panel(bars: bool) -> None:
    size, names = 12.0, {1: "Anna-Katharina of the second floor"}
    pad = overlay.PAD * size
    found = result(picture(1280, 720), [(500, 300, 620, 430)])
    (tag,) = arrange(found, 1.0, size, ten_pixels_a_letter, bars=bars, names=names)
    widest = ten_pixels_a_letter(tag.title.replace("90 %", "100 %"))
    assert tag.panel.width == tag.label.width == pytest.approx(widest + 2 * pad)
    above = tag.label.bottom
    assert bool(tag.bars) is bars
    for bar in tag.bars:
        assert bar.name.x == pytest.approx(tag.panel.x + pad)
        assert bar.track.x == pytest.approx(bar.name.right + pad)
        assert bar.track.right == pytest.approx(tag.panel.right - pad)
        assert bar.name.y <= bar.track.y < bar.track.bottom <= bar.name.bottom
        assert bar.name.y >= above - 1e-9
        above = bar.name.bottom
    assert above == pytest.approx(tag.panel.bottom - (pad if bars else 0))


@pytest.mark.parametrize(
    ("width", "height", "title"),
    [(300, 300, "#1 Happiness 90 %"), (150, 300, "Happiness"), (80, 300, ""), (300, 15, "")],
)
def test_a_title_that_does_not_fit_is_shortened_or_left_out(width: int, height: int, title: str) -> None:
    found = result(picture(width, height), [(0, 0, width, height)])
    (tag,) = arrange(found, 1.0, 12, ten_pixels_a_letter)
    assert tag.title == title
    assert tag.panel.area == 0 or title


def test_places_scale_with_the_picture_they_are_drawn_to() -> None:
    image = picture(640, 360)
    (tag,) = arrange(result(image, [(200, 100, 320, 230)]), 2.5, 12, ten_pixels_a_letter)
    assert tag.box == Rect(500, 250, 300, 325)


def test_text_grows_with_the_picture_and_stays_legible_in_small_ones() -> None:
    assert text_size(1080) == pytest.approx(1.5 * text_size(720))
    assert text_size(40) == overlay.SMALLEST_TEXT
    assert text_size(10_000) == overlay.LARGEST_TEXT


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (20, 15), (641, 359)])
def test_tiny_and_odd_pictures_are_drawn_without_a_crash(size: tuple[int, int]) -> None:
    width, height = size
    image = picture(width, height)
    assert draw(image, result(image, [(0, 0, width, height)])).shape == image.shape


@pytest.mark.parametrize(
    "box",
    [
        (-500.0, -500.0, 5000.0, 5000.0),
        (-90.0, -90.0, -10.0, -10.0),
        (700.0, 10.0, 800.0, 90.0),
        (50.0, 50.0, 50.0, 50.0),
        (90.0, 90.0, 20.0, 20.0),
        (float("nan"), 0.0, 50.0, 50.0),
        (0.0, 0.0, float("inf"), 50.0),
    ],
)
def test_boxes_outside_the_picture_empty_or_not_finite_do_no_harm(box: Box) -> None:
    image = picture(640, 360)
    assert draw(image, result(image, [box])).shape == image.shape


def test_a_face_wholly_outside_is_not_labelled() -> None:
    image = picture(640, 360)
    np.testing.assert_array_equal(draw(image, result(image, [(-90, -90, -10, -10)])), image)


def test_the_larger_face_is_drawn_on_top() -> None:
    image = picture(640, 360)
    tags = arrange(result(image, [(10, 10, 200, 200), (300, 100, 340, 140)]), 1.0, 12, ten_pixels_a_letter)
    assert [tag.row for tag in tags] == [1, 0]


@pytest.mark.parametrize("size", [(640, 360), (320, 180), (1280, 720), (99, 33)])
def test_a_frame_for_the_screen_has_its_size_and_its_colours(size: tuple[int, int]) -> None:
    image = picture(640, 360)
    image[:] = (10, 120, 240)
    out = fitted(image, *size)
    assert out.shape == (size[1], size[0], 4)
    np.testing.assert_array_equal(out[0, 0, :3], (10, 120, 240))
    assert (out[..., 3] == 255).all()
    assert out.flags.c_contiguous


def test_text_on_every_colour_can_be_told_from_it() -> None:
    for emotion in Emotion:
        ink = np.array(overlay.ink_on(emotion), np.float64) @ (0.114, 0.587, 0.299)
        ground = np.array(emotion.bgr, np.float64) @ (0.114, 0.587, 0.299)
        assert abs(ink - ground) > 75


@pytest.mark.parametrize(
    ("other", "area"),
    [
        (Rect(10, 10, 20, 10), 200),
        (Rect(0, 0, 20, 15), 50),
        (Rect(25, 12, 100, 2), 10),
        (Rect(30, 10, 5, 5), 0),
        (Rect(10, 40, 20, 10), 0),
        (Rect(90, 90, 20, 10), 0),
        (Rect(29.5, 10, 20, 10), 5),
        (Rect(10, 19.5, 20, 10), 10),
    ],
)
def test_rectangles_overlap_only_where_they_do_in_both_directions(other: Rect, area: float) -> None:
    one = Rect(10, 10, 20, 10)
    assert one.overlap(other) == other.overlap(one) == area


def test_a_rectangle_is_moved_into_the_picture() -> None:
    for at, moved in (((-5, 90), (0, 90)), ((95, -1), (80, 0)), ((50, 99), (50, 90)), ((3, 4), (3, 4))):
        assert Rect(*at, 20, 10).kept_inside(100, 100) == Rect(*moved, 20, 10)
    assert Rect(50, 50, 200, 300).kept_inside(100, 100) == Rect(0, 0, 200, 300)


def test_a_frame_for_a_small_screen_is_averaged_and_not_sampled() -> None:
    image = picture(640, 360, 0)
    image[::2, ::2] = 252
    np.testing.assert_allclose(fitted(image, 160, 90)[..., :3], 63, atol=1)


@pytest.mark.parametrize(("width", "height", "box"), [(640, 360, (200, 100, 320, 230)), (99, 66, (20, 10, 60, 55))])
def test_the_outline_is_as_thick_as_the_text_asks_and_inside_the_face_box(width: int, height: int, box: Box) -> None:
    image = picture(width, height)
    out = draw(image, result(image, [box]), bars=False)
    colour = (out == np.array(Emotion.HAPPINESS.bgr, np.uint8)).all(axis=2)
    thickness = max(1, round(text_size(height) / 7))
    x1, y1, x2, y2 = (int(edge) for edge in box)
    across = np.flatnonzero(colour[(y1 + y2) // 2])
    down = np.flatnonzero(colour[:, (x1 + x2) // 2][y1:y2]) + y1
    assert (across.min(), across.max()) == pytest.approx((x1, x2 - 1), abs=1)
    assert (down.min(), down.max()) == pytest.approx((y1, y2 - 1), abs=1)
    assert x1 <= across.min()
    assert across.max() < x2
    assert len(across) == pytest.approx(2 * thickness, abs=2)


def test_bars_have_their_length_beside_the_longest_name() -> None:
    found = result(picture(1280, 720), [(500, 300, 620, 430)], emotion="fear", tracked=False)
    (tag,) = arrange(found, 1.0, 12, ten_pixels_a_letter)
    assert tag.title == "Fear 90 %"
    assert {bar.name.width for bar in tag.bars} == {10 * len("Happiness")}
    assert {round(bar.track.width, 6) for bar in tag.bars} == {overlay.BAR * 12}


def test_a_box_that_reaches_outside_ends_at_the_edge_of_the_picture() -> None:
    (tag,) = arrange(result(picture(640, 360), [(-50, -40, 700, 380)]), 1.0, 12, ten_pixels_a_letter)
    assert tag.box == Rect(0, 0, 640, 360)


def test_a_frame_that_is_reduced_in_one_direction_only_keeps_the_other() -> None:
    image = picture(640, 300, 0)
    image[1::2] = 255
    np.testing.assert_array_equal(fitted(image, 160, 300)[..., :3], image[:, :160])
    image = picture(300, 640, 0)
    image[:, 1::2] = 255
    np.testing.assert_array_equal(fitted(image, 300, 160)[..., :3], image[:160])


def test_a_label_goes_onto_its_own_face_before_it_covers_another() -> None:
    found = result(picture(240, 100), [(0, 20, 240, 100), (0, 0, 240, 20)])
    lower = next(tag for tag in arrange(found, 1.0, 12, ten_pixels_a_letter, bars=False) if tag.row == 0)
    assert lower.label.overlap(Rect(0, 0, 240, 20)) == 0
