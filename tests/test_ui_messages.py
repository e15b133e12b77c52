"""Messages of the library in the window's language: templates are those of the library, real errors are translated."""

from __future__ import annotations

import ast
import os
import re
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import fakes
import pytest
from PyQt6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot
from windows import Windows, shows

from edgeemo.capture import open_source
from edgeemo.config import Config
from edgeemo.doctor import CHECKS
from edgeemo.errors import EdgeemoError
from edgeemo.recording.recorder import Loss
from edgeemo.recording.rows import DecodingErrors
from edgeemo.sinks import SinkContext, open_sink
from edgeemo.ui import messages
from edgeemo.ui.language import use_language
from edgeemo.ui.messages import error_words, finding_words, marker_words, message_words
from edgeemo.ui.welcome import DoctorDialog
from engines import find_bundle

ROOT = Path(__file__).parents[1]
FIELD = "\0"
COMPOSED = {
    "connected: {cameras}",
    "1 picture of the source, lost or decoded with errors (the first at {time})",
    "{count} pictures of the source, lost or decoded with errors (the first at {time})",
    "recording could not continue after {time}: {reason}",
    "the video could not continue after {time}: {reason}",
    "a note could not be stored at {time}: {reason}",
    "{space} of disk space left, enough for about {minutes} minutes",
    "{version} on {system}",
    "{description} (asked for)",
    "{description} (installed, and tested to send nothing)",
    "H.264: {reason}",
    "H.265: {reason}",
    "others: {reason}",
    "tensorrt: {reason}",
    "onnx-cuda: {reason}",
}  # put together from several texts of the library; tested below
STAYS_ENGLISH = ("pip ", "sudo ", "PyQt6 7", "pylsl 7")
LEAST_LETTERS = 6  # a text of the library with less fixed text would fit every template


def test_every_template_is_a_clause_of_a_message_of_the_library() -> None:
    patterns = [re.compile(pattern) for pattern in sorted(set(patterns_of_the_library()))]
    templates = [each for each in (*messages.TEMPLATES, *messages.FINDINGS) if each not in messages.SYSTEM]
    foreign = {each for each in templates if not any(pattern.fullmatch(each) for pattern in patterns)}
    assert foreign - COMPOSED == set(), "reworded in the library: reword edgeemo/ui/messages.py and its translations"


def patterns_of_the_library() -> Iterator[str]:
    """A regular expression for each clause of every text in the library. Fields match any text.

    A field may precede a clause, for its subject.
    """
    for path in [*(ROOT / "edgeemo").rglob("*.py"), *(ROOT / "engines").rglob("*.py")]:
        if path == Path(messages.__file__):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = [str(each.value) if isinstance(each, ast.Constant) else FIELD for each in node.values]
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                parts = [node.value]
            else:
                continue
            for clause in "".join(parts).split("; "):
                if sum(letter.isalpha() for letter in clause) >= LEAST_LETTERS:
                    yield r"(\{\w+\} )?" + ".*".join(map(re.escape, clause.strip(" ").split(FIELD)))


def test_every_finding_of_the_self_test_is_translated(german: None) -> None:
    """The texts in its calls of `Check`, with numbers for fields; commands and names of versions stay English."""
    tree = ast.parse((ROOT / "edgeemo" / "doctor.py").read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "Check"]
    texts = [argument for call in calls for argument in call.args[2:]]
    assert len(texts) > 20
    english = []
    for text in texts:
        if isinstance(text, ast.JoinedStr):
            said = "".join(str(part.value) if isinstance(part, ast.Constant) else "7" for part in text.values)
        elif isinstance(text, ast.Constant):
            said = str(text.value)
        else:
            continue
        clauses = [clause for clause in said.split("; ") if sum(map(str.isalpha, clause)) >= LEAST_LETTERS]
        english += [each for each in clauses if finding_words(each) == each and not each.startswith(STAYS_ENGLISH)]
    assert english == []
    assert [name for name in CHECKS if finding_words(name) == name] == ["python", "opencv"]


def test_every_error_of_the_window_has_a_template() -> None:
    patterns = [messages._pattern(template) for template in messages.TEMPLATES]
    english: list[str] = []
    for path in sorted((ROOT / "edgeemo" / "ui").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Raise) or not isinstance(node.exc, ast.Call) or not node.exc.args:
                continue
            text = node.exc.args[0]
            parts = text.values if isinstance(text, ast.JoinedStr) else [text]
            said = "".join(str(part.value) if isinstance(part, ast.Constant) else "7" for part in parts)
            clauses = [clause for clause in said.split("; ") if sum(map(str.isalpha, clause)) >= LEAST_LETTERS]
            english += [each for each in clauses if not any(pattern.fullmatch(each) for pattern in patterns)]
    assert english == []


def test_the_self_test_is_shown_in_german(qtbot: QtBot, german: None) -> None:
    dialog = DoctorDialog(Config())
    qtbot.addWidget(dialog)
    qtbot.waitUntil(lambda: not dialog._thread.is_alive() and not dialog._timer.isActive(), timeout=120_000)
    shown = dialog.text.toPlainText()
    for words in ("Gesichter in 25 Bildern des Demo-Films, je", "FFmpeg, auf dem Prozessor", " ms pro Gesicht"):
        assert words in shown
    assert " on " not in shown
    assert not re.search(r"\d\.\d ms", shown), "numbers have the German decimal separator"


def test_the_system_words_its_errors_as_expected() -> None:
    words = [os.strerror(number) for number in range(1, 140)]
    assert [each for each in messages.SYSTEM if each[0].isupper() and each not in words] == []


@pytest.fixture
def german(qapp: QApplication) -> Iterator[None]:
    use_language(qapp, "de")
    yield
    use_language(qapp, "en")


def error_of(uri: str) -> EdgeemoError:
    """The error of opening and reading a source."""
    with pytest.raises(EdgeemoError) as caught:
        list(open_source(uri, open_timeout=2).frames())
    return caught.value


def test_errors_of_sources_are_german(tmp_path: Path, german: None) -> None:
    text = tmp_path / "note.mp4"
    text.write_text("not a video\n" * 200)
    empty = tmp_path / "empty.mp4"
    empty.touch()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert error_words(error_of(f"{tmp_path}/gone.mp4")).startswith("Es gibt keine Datei und keinen Ordner ")
    assert error_words(error_of(str(text))) == (
        f"{text} ist kein Video, das FFmpeg lesen kann; wählen Sie eine Videodatei, etwa .mp4, .mkv oder .avi"
    )
    assert error_words(error_of(str(empty))) == f"{empty} ist leer; kopieren oder filmen Sie es noch einmal"
    assert error_words(error_of(str(tmp_path))).startswith(f"Im Ordner {tmp_path} sind keine Bilder; nötig sind .jpg")
    assert error_words(error_of(f"http://127.0.0.1:{port}/a.mp4")) == (
        f"Http://127.0.0.1:{port}/a.mp4 kann nicht geöffnet werden: 127.0.0.1:{port} weist die Verbindung ab; "
        "prüfen Sie den Port, und ob die Kamera an ist"
    )
    no_camera = error_words(error_of("/dev/video97"))
    assert no_camera.startswith("/dev/video97 ist nicht vorhanden; ")
    assert no_camera.split("; ")[1].startswith(("keine Kamera ist angeschlossen", "angeschlossen: "))


def test_errors_of_engines_are_german(tmp_path: Path, german: None) -> None:
    with pytest.raises(EdgeemoError) as caught:
        find_bundle("nosuch")
    assert error_words(caught.value).startswith("Es gibt keine Engine 'nosuch'; vorhanden sind: ")
    folder = tmp_path / "damaged"
    shutil.copytree(find_bundle("hybrid_lite").folder, folder)
    model = find_bundle(str(folder)).model
    model.write_bytes(model.read_bytes()[:5000])
    with pytest.raises(EdgeemoError) as caught:
        find_bundle(str(folder)).read()
    assert "5000 Bytes, laut manifest.json " in error_words(caught.value)
    assert "; kopieren oder erzeugen Sie die Engine noch einmal; nach einer " in error_words(caught.value)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a full disk is /dev/full of Linux")
def test_a_full_disk_and_losses_are_german(german: None) -> None:
    sink = open_sink("jsonl:/dev/full", SinkContext(("neutral", "happiness"), draw=lambda result: result.frame.image))
    with pytest.raises(EdgeemoError) as caught:
        sink.write(fakes.result())
    assert "/dev/full" in error_words(caught.value)
    assert "kein Platz mehr auf dem Datenträger" in error_words(caught.value)
    loss = Loss("the video", "60 MB of disk space left, enough for about 2 minutes; the data continue", 12.0)
    assert message_words(str(loss)) == (
        "das Video brach nach 0:12,0 ab: noch 60 MB Speicherplatz, genug für etwa 2 Minuten; "
        "die Daten werden weiter aufgenommen"
    )
    assert message_words(str(Loss("recording", "database or disk is full", 3.0))).endswith(": der Datenträger ist voll")
    assert message_words(str(Loss("a note", "disk I/O error", 3.0))).startswith("eine Notiz konnte bei 0:03,0 nicht ")
    errors = DecodingErrors()
    errors.add(4.0, 1)
    assert [message_words(note) for note in errors.note()] == [
        "1 Bild der Quelle, verloren oder fehlerhaft (bei 0:00,0)"
    ]
    errors.add(9.0, 2)
    assert message_words(errors.note()[0]) == "3 Bilder der Quelle, verloren oder fehlerhaft (das erste bei 0:00,0)"


def test_unknown_clauses_stay_english(german: None) -> None:
    assert message_words("the moon is full; check the network") == "the moon is full; prüfen Sie das Netz"
    assert message_words("") == ""
    assert message_words("cannot open camera 0: code 5; close that first") == (
        "camera 0 kann nicht geöffnet werden: code 5; schließen Sie es zuerst"
    )


def test_labels_of_markers_that_the_window_gave_are_translated(german: None) -> None:
    assert marker_words("mark 3") == "Marke 3"
    assert marker_words("no signal") == "kein Signal"
    assert marker_words("hybrid, Balanced") == "hybrid, Ausgewogen"
    assert marker_words("hybrid, Calm, unsure below 60 %") == "hybrid, Ruhig, unsicher unter 60 %"
    for own in ("question mark 3 asked", "left, right", "Calm"):
        assert marker_words(own) == own


def test_the_german_window_says_errors_and_shows_markers_in_german(qtbot: QtBot, make: Windows, german: None) -> None:
    window = make()
    shows(qtbot, window)
    window.mark()
    labels = [mark.label.format for mark in window.timeline.plot._marks if hasattr(mark, "label")]
    assert labels == ["Marke 1"]
    assert window.history.markers[0].label == "mark 1", "what is recorded is English"
    window.live.choose_engine("nosuch")
    qtbot.waitUntil(lambda: "keine Engine 'nosuch'" in window.banner.text)
    assert window.banner.text.startswith("Es gibt keine Engine 'nosuch'; ")
