"""Groups and conditions in reports: statistics over independent units, command line, page and table."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_report import HAPPY, NEUTRAL, SAD, checked, recording, track

from edgeemo.cli import main
from edgeemo.recording import Marker, Recording
from edgeemo.report import page
from edgeemo.report.inference import FEWEST, analyse, student_t

HAPPY_PARTS_A = (0.1, 0.2, 0.3, 0.4, 0.5, 0.4)
HAPPY_PARTS_B = (0.5, 0.6, 0.7, 0.6, 0.8, 0.7)


def spent(part: float, count: int = 100, **more: object) -> Recording:
    """A session of one person who is happy for a share of the time."""
    happy = round(part * count)
    shown = recording(track([HAPPY] * happy + [NEUTRAL] * (count - happy), step=10 / count))
    return replace(shown, **more)


def group(parts: tuple[float, ...], letter: str, **more: object) -> list[Recording]:
    return [spent(part, path=Path(f"{letter}{place}"), **more) for place, part in enumerate(parts)]


def of(values: np.ndarray, keys: tuple[str, ...], key: str = "happiness") -> float:
    return float(values[keys.index(key)])


@pytest.mark.parametrize(("freedom", "expected"), [(1, 12.7062), (4, 2.7764), (10, 2.2281), (40, 2.0211)])
def test_the_quantile_of_students_t_is_that_of_tables(freedom: int, expected: float) -> None:
    assert student_t(freedom) == pytest.approx(expected, abs=2e-3)


def test_means_and_hedges_g_are_those_computed_by_hand() -> None:
    analysis = analyse([("A", group(HAPPY_PARTS_A, "a")), ("B", group(HAPPY_PARTS_B, "b"))])
    first, second = (np.array(parts) for parts in (HAPPY_PARTS_A, HAPPY_PARTS_B))
    (compared,) = analysis.comparisons
    (difference,) = compared.differences
    assert of(compared.samples[0].mean, analysis.keys) == pytest.approx(first.mean(), abs=0.002)
    pooled = np.sqrt((first.var(ddof=1) + second.var(ddof=1)) / 2)
    g = (second.mean() - first.mean()) / pooled * (1 - 3 / (4 * 10 - 1))
    assert of(difference.effect, analysis.keys) == pytest.approx(g, rel=0.01)
    assert not difference.paired
    low, high = of(difference.low, analysis.keys), of(difference.high, analysis.keys)
    assert 0.1 < low < second.mean() - first.mean() < high < 0.6
    # about as wide as Welch's interval
    error = np.sqrt(first.var(ddof=1) / 6 + second.var(ddof=1) / 6)
    assert high - low == pytest.approx(2 * 2.228 * error, rel=0.12)


def test_more_frames_make_no_larger_sample() -> None:
    few, many = (
        analyse([("A", [spent(part, count, path=Path(str(part))) for part in (0.1, 0.2, 0.3, 0.5, 0.6, 0.8)])])
        for count in (50, 500)
    )
    one, other = few.comparisons[0].samples[0], many.comparisons[0].samples[0]
    assert len(one.units) == len(other.units) == 6
    assert of(one.low, few.keys) == pytest.approx(of(other.low, many.keys), abs=0.02)
    assert of(one.high, few.keys) == pytest.approx(of(other.high, many.keys), abs=0.02)


def test_faces_that_are_seen_together_are_one_unit() -> None:
    crowd = recording(*(track([HAPPY] * 50 + [SAD] * 50, number=number) for number in range(1, 9)))
    sample = analyse([("A", [crowd])]).comparisons[0].samples[0]
    assert (len(sample.units), sample.people) == (1, 8)
    assert np.isnan(sample.low).all()


def test_sessions_with_the_same_named_person_are_one_unit() -> None:
    anna = track([HAPPY] * 100, name="Anna")
    sessions = [replace(recording(anna), path=Path(str(place))) for place in range(6)]
    assert len(analyse([("A", sessions)]).comparisons[0].samples[0].units) == 1
    others = [replace(each, tracks=(replace(anna, name=""),)) for each in sessions]
    assert len(analyse([("A", others)]).comparisons[0].samples[0].units) == 6


def test_intervals_hold_the_true_mean_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(7)
    hits = []
    for _ in range(150):
        analysis = analyse([("A", group(tuple(rng.beta(2, 3, 8)), "a"))])
        (sample,) = analysis.comparisons[0].samples
        hits.append(of(sample.low, analysis.keys) <= 0.4 <= of(sample.high, analysis.keys))
    assert 0.88 < np.mean(hits) <= 1


def test_fewer_units_than_needed_have_means_without_intervals_and_the_page_says_so() -> None:
    groups = [("A", group(HAPPY_PARTS_A[: FEWEST - 1], "a")), ("B", group(HAPPY_PARTS_B, "b"))]
    (compared,) = analyse(groups).comparisons
    assert np.isnan(compared.samples[0].low).all()
    assert not np.isnan(compared.samples[1].low).all()
    assert np.isnan(compared.differences[0].low).all()
    assert np.isnan(compared.differences[0].effect).all()
    text = page(groups)
    checked(text)
    assert f"Independent units: A {FEWEST - 1}." in text


def test_conditions_are_compared_within_units() -> None:
    """In each session the share of happiness is 8 or 12 points higher during the film."""
    sessions = []
    for place, part in enumerate(HAPPY_PARTS_A):
        before, after = round(part * 50), round((part + 0.08 + 0.04 * (place % 2)) * 50)
        shown = track([HAPPY] * before + [NEUTRAL] * (50 - before) + [HAPPY] * after + [NEUTRAL] * (50 - after))
        markers = (Marker(0.0, "rest", 5.0), Marker(5.0, "film", 5.0))
        sessions.append(replace(recording(shown, markers=markers), path=Path(str(place))))
    # a session without the film has no pair
    sessions.append(replace(sessions[0], path=Path("alone"), markers=(Marker(0.0, "rest", 5.0),)))
    analysis = analyse([("A", sessions)])
    assert analysis.conditions == ("rest", "film")
    compared = analysis.comparisons[1]
    assert compared.names == ["rest", "film"]
    (difference,) = compared.differences
    assert (difference.paired, difference.units, difference.left_out) == (True, 6, 1)
    assert of(difference.value, analysis.keys) == pytest.approx(0.1, abs=0.01)
    # the spread between sessions, 0.15, is not part of the error
    assert 0.01 < of(difference.high, analysis.keys) - of(difference.low, analysis.keys) < 0.06
    said = "film: the difference is within the 6 units that have both; excluded are those that have only one (1)."
    assert said in page([("A", sessions)])


def test_a_marker_without_duration_stands_for_the_two_seconds_after_it() -> None:
    shown = recording(track([NEUTRAL] * 50 + [HAPPY] * 20 + [NEUTRAL] * 30), markers=(Marker(5.0, "joke"),))
    analysis = analyse([("A", [shown])], ["joke"])
    (joke,) = (each for each in analysis.observations if each.condition)
    assert joke.spent.parts == pytest.approx({"happiness": 1.0})
    assert joke.spent.seconds == pytest.approx(2.0, abs=0.11)


def test_repeated_intervals_count_their_own_time_only() -> None:
    markers = (Marker(0.0, "a", 1.0), Marker(5.0, "a", 1.0))
    shown = recording(track([HAPPY] * 10 + [SAD] * 40 + [NEUTRAL] * 10 + [SAD] * 40), markers=markers)
    (each,) = (each for each in analyse([("A", [shown])], ["a"]).observations if each.condition)
    assert each.spent.seconds == pytest.approx(2.0, abs=0.01)
    assert each.spent.parts == pytest.approx({"happiness": 0.5, "neutral": 0.5})


def test_nobody_seen_gives_a_page() -> None:
    nobody = [replace(recording(), path=Path(name)) for name in "ab"]
    text = page([("A", nobody[:1]), ("B", nobody[1:])])
    checked(text)
    assert text.count("No face was seen.") == 2


def lines(path: Path, part: float, people: int = 1) -> Path:
    """A file of results in which everybody is happy for a share of the time."""
    with path.open("w") as file:
        for frame in range(20):
            happy = frame < part * 20
            faces = [
                {
                    "id": number + 1,
                    "box": [1, 2, 3, 4],
                    "score": 0.9,
                    "emotion": "happiness" if happy else "neutral",
                    "confidence": 0.9,
                    "probabilities": {"happiness": 0.9 if happy else 0.1, "neutral": 0.1 if happy else 0.9},
                }
                for number in range(people)
            ]
            event = {"frame": frame, "time": frame / 10, "origin": "x", "faces": faces}
            file.write(json.dumps(event) + "\n")
    return path


@pytest.fixture
def twelve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.chdir(tmp_path)
    parts = (*HAPPY_PARTS_A, *HAPPY_PARTS_B)
    return [str(lines(tmp_path / f"s{place}.jsonl", part)) for place, part in enumerate(parts)]


def test_the_command_compares_groups_and_writes_the_numbers(
    twelve: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    control = "control=" + ",".join(Path(each).stem for each in twelve[:6])
    given = [*twelve[:6], "--group", control]  # the first six are given by name, the others by path
    given += ["--group", "treated=" + ",".join(twelve[6:9]), "--group", "treated=" + ",".join(twelve[9:])]
    for _ in range(2):  # files of earlier reports are replaced
        assert main(["report", *given, "--output", "page.html", "--statistics", "numbers.csv"]) == 0
    assert "numbers.csv" in capsys.readouterr().out
    text = Path("page.html").read_text()
    checked(text)
    for words in ("Side by side", "<h3>control", "<h3>treated", "It may not be concluded", "<th>g</th>"):
        assert words in text
    row = re.search(r"Happiness</span></td>(.*?)</tr>", text)
    assert row is not None
    # mean, interval; mean, interval; difference, interval; g
    numbers = [float(number) for number in re.findall(r"[-+]?\d+\.\d+", row[1])]
    assert len(numbers) == 10
    assert numbers[0] == pytest.approx(100 * np.mean(HAPPY_PARTS_A), abs=1)
    rows = list(csv.DictReader(Path("numbers.csv").read_text().splitlines()))
    happy = [row for row in rows if row["expression"] == "happiness"]
    assert [sum(row["row"] == kind for row in happy) for kind in ("person", "mean", "difference")] == [12, 2, 1]
    (difference,) = (row for row in happy if row["row"] == "difference")
    assert (difference["group"], difference["against"], difference["units"]) == ("treated", "control", "12")
    assert float(difference["low"]) * 100 == pytest.approx(numbers[7], abs=0.06)


def test_sessions_without_groups_have_one_mean(twelve: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", *twelve[:6], "--output", "page.html"]) == 0
    text = Path("page.html").read_text()
    assert "<h2>All sessions</h2>" in text
    assert "<h3>all sessions <span" in text
    row = re.search(r"Happiness</span></td>(.*?)</tr>", text)
    assert row is not None
    assert len(re.findall(r"\d+\.\d", row[1])) == 3  # mean, low, high


def test_persons_of_one_session_can_be_in_different_groups(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    both = lines(tmp_path / "both.jsonl", 0.5, people=2)
    given = ["report", str(both), "--group", "patients=Person 1", "--group", "staff=both:Person 2"]
    assert main([*given, "--output", str(tmp_path / "page.html")]) == 0
    text = (tmp_path / "page.html").read_text()
    assert "<h3>patients" in text
    assert "1 person, 0:02.0 of faces" in text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--group", "control"], "must be NAME=SESSION,SESSION"),
        (["--group", "a=s0,,s1"], "has a member without a name"),
        (["--group", "a=s0,nobody"], "'nobody' is neither a readable session nor a person"),
        (["--group", "a=s0,s1", "--group", "b=s1"], "Person 1 of s1 is in both groups a and b"),
        (["--group", "a=s0"], "in no group; add it to a --group or omit it"),
        (["--group", "a=Person 1"], "is ambiguous: 2 sessions have one"),
        (["--group", "a=s0,s1", "--against", "s0.jsonl"], "give either --against or --group"),
        (["--group", "a=s0,s1", "--output", "x.csv"], "--statistics PATH.csv"),
        (["--statistics", "x.txt"], "needs the suffix .csv"),
        (["--condition", "rest"], "condition 'rest' is in no session; no session has markers"),
    ],
)
def test_a_mistake_in_groups_is_one_line(
    words: list[str], said: str, twelve: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", *twelve[:2], *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_no_session_at_all_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report"]) == 2
    assert "give a session" in capsys.readouterr().err


def test_sessions_of_one_name_are_told_apart() -> None:
    first, second = spent(0.2, path=Path("a")), spent(0.4, path=Path("b"))
    analysis = analyse([("A", [first, second]), ("B", [first])])
    assert [each.session for each in analysis.observations] == [first.name, f"{first.name} (2)", first.name]
