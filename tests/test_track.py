from __future__ import annotations

import itertools
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeemo.config import TrackConfig
from edgeemo.errors import ConfigError
from edgeemo.stages import track
from edgeemo.stages.detect import BlazeFaceDetector
from edgeemo.stages.track import CutDetector, FaceTracker, assign
from edgeemo.types import UNTRACKED, Faces, Frame

IMAGE = np.zeros((480, 640, 3), np.uint8)
FIELDS = ("boxes", "keypoints", "scores", "ids")
POINTS = np.array([[0.3, 0.35], [0.7, 0.35], [0.5, 0.55], [0.5, 0.75], [0.1, 0.4], [0.9, 0.4]])


def frame(time: float, *, still: bool = False, image: np.ndarray = IMAGE) -> Frame:
    return Frame(image, round(time * 1000), time, "clip", still)


def faces(*centres: tuple[float, float], side: float = 80, score: float = 0.9) -> Faces:
    """Square faces around these points."""
    corners = np.array(centres, np.float32).reshape(-1, 2) - side / 2
    return Faces(
        np.concatenate([corners, corners + side], axis=1).astype(np.float32),
        (corners[:, None] + POINTS * side).astype(np.float32),
        np.full(len(corners), score, np.float32),
        np.full(len(corners), UNTRACKED, np.int64),
    )


def middles(tracked: Faces) -> np.ndarray:
    return (tracked.boxes[:, :2] + tracked.boxes[:, 2:]) / 2


def test_no_faces_give_no_faces() -> None:
    tracker = FaceTracker()
    for time in (0.0, 0.1):
        tracked = tracker.update(Faces.none(), frame(time))
        assert tracked.boxes.shape == (0, 4)
        assert tracked.keypoints.shape == (0, 6, 2)


def test_ids_count_from_one_and_follow_their_faces_whatever_the_order() -> None:
    tracker = FaceTracker()
    assert tracker.update(faces((100, 100), (300, 100)), frame(0)).ids.tolist() == [1, 2]
    assert tracker.update(faces((304, 101), (103, 102)), frame(0.04)).ids.tolist() == [2, 1]
    assert tracker.update(faces((500, 300), (106, 102), (306, 100)), frame(0.08)).ids.tolist() == [3, 1, 2]


def test_ids_are_not_used_again() -> None:
    tracker = FaceTracker()
    for row in range(5):
        assert tracker.update(faces((100, 100)), frame(10.0 * row)).ids.tolist() == [row + 1]


@pytest.mark.parametrize("step", [1, 2, 3])
def test_two_people_keep_their_ids_over_a_whole_clip(media: Path, step: int) -> None:
    clip = cv2.VideoCapture(str(media / "two_faces.mp4"))
    detector, tracker = BlazeFaceDetector(), FaceTracker()
    sides: dict[int, set[bool]] = {}
    for index in range(56):
        there, picture = clip.read()
        assert there
        if index % step:
            continue
        now = Frame(np.asarray(picture, np.uint8), index, index / 12, "clip")
        tracked = tracker.update(detector.detect(now), now)
        assert len(tracked) == 2
        for number, (x, _) in zip(tracked.ids.tolist(), middles(tracked), strict=True):
            sides.setdefault(number, set()).add(bool(x > 480))
    clip.release()
    detector.close()
    assert sorted(sides) == [1, 2]
    assert sides[1] != sides[2]
    assert all(len(places) == 1 for places in sides.values())


def test_people_who_pass_each_other_keep_their_ids() -> None:
    tracker = FaceTracker()
    for index in range(60):
        across = 6.0 * index
        # the two faces come as close as half a face
        tracked = tracker.update(faces((100 + across, 200), (500 - across, 240)), frame(index / 30))
        assert tracked.ids.tolist() == [1, 2]


def test_a_face_behind_another_comes_out_with_its_id() -> None:
    tracker = FaceTracker()
    for index in range(60):
        across = 6.0 * index
        there = [(100 + across, 200.0), (400.0, 200.0)]
        hidden = abs(there[0][0] - there[1][0]) < 40
        tracked = tracker.update(faces(*(there[1:] if hidden else there)), frame(index / 30))
        if not hidden:
            assert tracked.ids.tolist() == [1, 2]


@pytest.mark.parametrize(("away", "same"), [(0.9, True), (1.1, False)])
def test_a_face_is_remembered_for_its_patience(away: float, same: bool) -> None:
    tracker = FaceTracker(TrackConfig(max_age_s=1.0))
    tracker.update(faces((100, 100)), frame(0))
    tracker.update(Faces.none(), frame(0.5))
    assert (tracker.update(faces((104, 100)), frame(away)).ids.tolist() == [1]) is same


def test_a_face_elsewhere_or_of_another_size_is_someone_else() -> None:
    tracker = FaceTracker()
    tracker.update(faces((100, 100)), frame(0))
    assert tracker.update(faces((300, 100)), frame(0.04)).ids.tolist()[0] == 2
    tracker.update(faces((300, 100)), frame(0.08))
    assert tracker.update(faces((300, 100), side=200), frame(0.12)).ids.tolist()[0] == 3


@pytest.mark.parametrize(("away", "same"), [(0.04, False), (0.3, True)])
def test_a_face_may_turn_up_the_farther_away_the_longer_it_was_not_seen(away: float, same: bool) -> None:
    tracker = FaceTracker()
    tracker.update(faces((100, 100)), frame(0))
    assert (tracker.update(faces((180, 100)), frame(away)).ids.tolist()[0] == 1) is same


def test_of_two_faces_as_near_the_one_of_the_same_size_is_it() -> None:
    tracker = FaceTracker()
    tracker.update(faces((100, 100)), frame(0))
    small, equal = faces((94, 100), side=60), faces((112, 100))
    both = Faces(*(np.concatenate([getattr(small, name), getattr(equal, name)]) for name in FIELDS))
    assert tracker.update(both, frame(0.04)).ids.tolist() == [2, 1]


def test_a_missed_face_is_carried_for_a_moment_where_it_should_be() -> None:
    tracker = FaceTracker()
    for index in range(10):
        tracker.update(faces((100 + 8 * index, 200)), frame(index / 30))
    seen = [tracker.update(Faces.none(), frame((10 + index) / 30)) for index in range(6)]
    assert [len(each) for each in seen] == [1, 1, 1, 1, 0, 0]
    assert all(each.ids.tolist() == [1] for each in seen[:4])
    xs = [float(middles(each)[0, 0]) for each in seen[:4]]
    assert xs[0] == pytest.approx(180, abs=6)
    assert xs == sorted(xs)
    scores = [float(each.scores[0]) for each in seen[:4]]
    assert 0 < scores[-1] < scores[0] < 0.9
    back = tracker.update(faces((210, 200)), frame(16 / 30))
    assert back.ids.tolist() == [1]


def test_a_face_that_left_the_picture_or_went_behind_another_is_not_carried() -> None:
    tracker = FaceTracker()
    for index in range(10):
        tracker.update(faces((572 + 8 * index, 200)), frame(index / 30))
    assert len(tracker.update(Faces.none(), frame(10 / 30))) == 0

    tracker = FaceTracker()
    tracker.update(faces((200, 200), (290, 200)), frame(0))
    tracker.update(faces((220, 200), (272, 200)), frame(0.03))
    assert len(tracker.update(faces((262, 200)), frame(0.06))) == 1


def test_a_face_at_rest_is_steadied_at_any_frame_rate() -> None:
    for fps in (10, 30, 60):
        random = np.random.default_rng(1)
        tracker = FaceTracker()
        noisy, steady = [], []
        for index in range(fps * 4):
            seen = faces(tuple(random.normal((200, 150), 0.8)))
            tracked = tracker.update(seen, frame(index / fps))
            noisy.append(middles(seen)[0])
            steady.append(middles(tracked)[0])
        ratio = np.std(steady[fps:], axis=0) / np.std(noisy[fps:], axis=0)
        assert (ratio < {10: 0.9, 30: 0.65, 60: 0.6}[fps]).all(), fps


def test_a_moving_face_does_not_lag_behind() -> None:
    """The box of a face that moves two widths per second is off by at most 4 % of a width."""
    for fps, dropped in ((30, 0.0), (60, 0.0), (30, 0.4)):
        random = np.random.default_rng(2)
        tracker = FaceTracker()
        for index in range(fps * 2):
            if random.random() < dropped:
                continue
            x = 100 + 160 * index / fps
            tracked = tracker.update(faces((x, 200)), frame(index / fps))
            if index > fps // 2:
                assert abs(middles(tracked)[0, 0] - x) < 0.04 * 80


def test_dropped_frames_do_not_change_where_a_face_is_drawn() -> None:
    def last(times: np.ndarray) -> np.ndarray:
        tracker = FaceTracker()
        for time in times:
            tracked = tracker.update(faces((200, 150 + (20 if time > 0.5 else 0))), frame(float(time)))
        return middles(tracked)[0]

    whole = np.arange(31) / 30
    np.testing.assert_allclose(last(whole), last(np.delete(whole, [3, 8, 9, 20, 25, 26])), atol=0.8)


def test_scores_and_rows_of_seen_faces_stay() -> None:
    tracker = FaceTracker()
    seen = faces((300, 100), (100, 100), score=0.71)
    tracked = tracker.update(seen, frame(0))
    np.testing.assert_allclose(tracked.boxes, seen.boxes, atol=1e-3)
    np.testing.assert_allclose(tracked.keypoints, seen.keypoints, atol=1e-3)
    np.testing.assert_array_equal(tracked.scores, seen.scores)


def test_every_still_has_its_own_ids_and_nothing_is_steadied() -> None:
    tracker = FaceTracker()
    for time, count in ((0.0, 2), (1.0, 3), (2.0, 0)):
        seen = faces(*[(100 + 90 * row + 10 * time, 100) for row in range(count)])
        tracked = tracker.update(seen, frame(time, still=True))
        assert tracked.ids.tolist() == list(range(1, count + 1))
        np.testing.assert_array_equal(tracked.boxes, seen.boxes)


def test_a_file_that_is_wound_back_shows_the_same_persons_again() -> None:
    tracker = FaceTracker()

    def see(index: int, number: int) -> list[int]:
        """Ids in the source's next frame (`number`), which shows the place `index`; the third face comes late."""
        centres = [(150.0 + 2 * index, 200.0), (450.0, 240.0 - index), *([(300.0, 100.0)] if index >= 20 else [])]
        return tracker.update(faces(*centres), Frame(IMAGE, number, index / 25, "clip")).ids.tolist()

    for index in range(30):
        see(index, index)
    assert see(28, 30) == [1, 2, 3]
    assert see(27, 31) == [1, 2, 3]
    assert see(28, 32) == [1, 2, 3], "stepping on after stepping back"
    assert see(5, 33) == [1, 2], "a jump back to a place that was seen"
    assert see(4, 34) == [1, 2]
    assert see(0, 35) == [1, 2]
    live = FaceTracker()
    for index, time in enumerate((1.0, 1.1, 1.0)):
        last = live.update(faces((150, 200)), Frame(IMAGE, index, time, "camera", captured=time))
    assert last.ids.tolist() == [2], "a live source has no past"


def test_a_reset_starts_at_one_again() -> None:
    tracker = FaceTracker()
    tracker.update(faces((100, 100), (300, 100)), frame(0))
    tracker.reset()
    assert tracker.update(faces((300, 100)), frame(0.04)).ids.tolist() == [1]


def test_a_clip_that_begins_again_or_changes_size_brings_new_faces() -> None:
    tracker = FaceTracker()
    tracker.update(faces((100, 100)), frame(5))
    assert tracker.update(faces((100, 100)), frame(0)).ids.tolist() == [2]
    larger = np.zeros((720, 1280, 3), np.uint8)
    assert tracker.update(faces((100, 100)), frame(0.1, image=larger)).ids.tolist() == [3]


def test_two_frames_of_one_time_do_no_harm() -> None:
    tracker = FaceTracker()
    tracker.update(faces((100, 100)), frame(1))
    tracked = tracker.update(faces((101, 100)), frame(1))
    assert tracked.ids.tolist() == [1]
    assert np.isfinite(tracked.boxes).all()
    assert len(tracker.update(faces((101, 100), side=0), frame(1.1))) >= 1


def test_assignment_pairs_as_many_as_possible_at_the_least_cost() -> None:
    random = np.random.default_rng(0)
    for _ in range(300):
        rows, columns = random.integers(0, 5, 2)
        costs = random.integers(0, 8, (rows, columns)) + random.random((rows, columns)) / 4
        costs[random.random((rows, columns)) < 0.3] = np.inf
        pairs = assign(costs)
        got = len(pairs), sum(costs[pair] for pair in pairs)
        best = next(
            (size, min(sums))
            for size in range(min(rows, columns), -1, -1)
            if (
                sums := [
                    total
                    for some in itertools.combinations(range(rows), size)
                    for others in itertools.permutations(range(columns), size)
                    if np.isfinite(total := sum(costs[pair] for pair in zip(some, others, strict=True)))
                ]
            )
        )
        assert got == pytest.approx(best)


@pytest.mark.parametrize("values", [{"max_age_s": -1}, {"max_age_s": 61}])
def test_a_value_out_of_range_is_named(values: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(values))):
        TrackConfig(**values)


@pytest.mark.parametrize(("after", "ends"), [((40, 160, 60), True), ((200, 80, 90), False)])
def test_a_film_cut_ends_every_track_and_movement_does_not(after: tuple[int, int, int], ends: bool) -> None:
    tracker = FaceTracker()
    random = np.random.default_rng(0)

    def shot(colour: tuple[int, int, int], index: int) -> Frame:
        noise = random.integers(-8, 9, (180, 320, 3))
        image = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
        return Frame(image, index, index / 25, "film")

    box = np.array([[100, 50, 160, 120]], np.float32)
    face = Faces(box, np.full((1, 6, 2), 90, np.float32), np.ones(1, np.float32), np.full(1, -1, np.int64))
    first = tracker.update(face, shot((210, 70, 90), 0)).ids.tolist()
    assert tracker.update(face, shot((210, 70, 90), 1)).ids.tolist() == first
    behind = tracker.update(face, shot(after, 2)).ids.tolist()
    assert (behind != first) is ends
    assert len(behind) == 1


def test_a_cut_is_seen_in_the_smallest_picture() -> None:
    cut = CutDetector()
    black, white = np.zeros((1, 1, 3), np.uint8), np.full((1, 1, 3), 255, np.uint8)
    assert [cut.seen(image) for image in (black, black, white, white)] == [False, False, True, False]


def test_a_film_cut_needs_both_new_colours_and_new_pixels() -> None:
    halves = np.zeros((64, 64, 3), np.uint8)
    halves[:, 32:] = 255
    cut = CutDetector()
    assert not cut.seen(halves)
    assert not cut.seen(np.ascontiguousarray(halves[:, ::-1])), "the same colours elsewhere: a movement"
    cut = CutDetector()
    assert not cut.seen(np.full((64, 64, 3), 60, np.uint8))
    assert not cut.seen(np.full((64, 64, 3), 70, np.uint8)), "all pixels change their bin, by a little: exposure"


def test_a_face_that_jumped_has_its_former_id_before_the_jump() -> None:
    tracker = FaceTracker()

    def see(x: float, number: int, time: float) -> list[int]:
        return tracker.update(faces((x, 200)), Frame(IMAGE, number, time, "clip")).ids.tolist()

    assert see(100, 0, 0.04) == [1]
    assert see(400, 1, 0.08)[:1] == [2]
    assert see(100, 2, 0.04) == [1]


def test_stepping_back_and_forth_does_not_push_out_the_past(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(track, "PAST_FRAMES", 20)
    tracker = FaceTracker()
    places = [*range(10), *[8, 9] * 20, 0]
    for number, index in enumerate(places):
        tracked = tracker.update(faces((150, 200)), Frame(IMAGE, number, index / 25, "clip"))
    assert tracked.ids.tolist() == [1]


@pytest.mark.parametrize(
    ("centre", "carried"),
    [((0, 200), 1), ((639, 200), 1), ((640, 200), 0), ((300, 0), 1), ((300, 479), 1), ((300, 480), 0)],
)
def test_a_missed_face_is_carried_while_its_centre_is_in_the_picture(centre: tuple[float, float], carried: int) -> None:
    tracker = FaceTracker()
    tracker.update(faces(centre), frame(0))
    assert len(tracker.update(Faces.none(), frame(0.04))) == carried


def test_a_face_at_rest_that_shifts_a_little_is_drawn_there_soon() -> None:
    tracker = FaceTracker()
    for index in range(30):
        tracker.update(faces((200, 150)), frame(index / 30))
    for index in range(30, 39):
        tracked = tracker.update(faces((202, 150)), frame(index / 30))
    assert middles(tracked)[0, 0] == pytest.approx(202, abs=0.1)
