"""The dialog Persons and the menu of a card: name, merge, split and exclude persons. Opened by `replaying`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from PyQt6.QtCore import QPoint, Qt
from PyQt6.QtGui import QKeySequence, QShortcut
from PyQt6.QtWidgets import (
    QDialog,
    QHBoxLayout,
    QInputDialog,
    QMenu,
    QVBoxLayout,
    QWidget,
)

from edgeemo.recording import Recording, Track
from edgeemo.recording.people import excluded_people
from edgeemo.ui.buttons import action_button
from edgeemo.ui.labels import Label
from edgeemo.ui.language import tr, translatable
from edgeemo.ui.review import Review
from edgeemo.ui.screen import open_with_size
from edgeemo.ui.tables import Cell, RowTable
from edgeemo.ui.theme import named
from edgeemo.ui.words import clock, person_name

HINT = translatable(
    "Select two or more to merge them into one person. A split starts at the current frame. "
    "The recording itself does not change."
)


def called(track: Track) -> str:
    """A person's name, or number."""
    return track.name or person_name(track.id)


def ask_for_name(review: Review, person: int, parent: QWidget) -> None:
    recording = review.recording
    track = next((each for each in recording.tracks if each.id == person), None) if recording is not None else None
    if track is None:
        return
    dialog = QInputDialog(parent)
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.setWindowTitle(tr("Name"))
    dialog.setLabelText(tr("Name of {person}:", person=person_name(person)))
    dialog.setTextValue(track.name)
    dialog.textValueSelected.connect(partial(review.name, person))
    dialog.open()


def person_menu(review: Review, person: int, parent: QWidget) -> QMenu | None:
    """The context menu of a person's card; None without a replay."""
    recording = review.recording
    if recording is None or all(track.id != person for track in recording.tracks):
        return None
    menu = QMenu(parent)
    menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    menu.addAction(tr("Name…"), lambda: ask_for_name(review, person, parent))
    others = [track for track in recording.tracks if track.id != person]
    same = menu.addMenu(tr("Same person as"))
    assert same is not None
    same.setEnabled(bool(others))
    for other in others:
        same.addAction(called(other).replace("&", "&&"), partial(review.merge, [person, other.id]))
    menu.addAction(tr("Another person from here on"), partial(review.split, person))
    menu.addAction(tr("Leave out"), partial(review.exclude, person))
    if review.can_undo:
        menu.addSeparator()
        menu.addAction(tr("Undo"), review.undo)
    return menu


def show_person_menu(review: Review, person: int, where: QPoint, parent: QWidget) -> None:
    menu = person_menu(review, person, parent)
    if menu is not None:
        menu.popup(where)


class PeopleDialog(QDialog):
    """The persons of the replayed session."""

    def __init__(self, review: Review, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("Persons"))
        self._review = review
        self._listed: list[tuple[Track, bool]] = []
        self.table = RowTable(tr("Persons"), [tr("Name"), tr("Number"), tr("First seen"), tr("Seen for"), ""], wide=0)
        self.table.itemSelectionChanged.connect(self._enable)
        self.table.itemDoubleClicked.connect(lambda _: self.name_chosen())
        self.hint = named(Label(tr(HINT)), "muted")
        self.hint.setWordWrap(True)
        self.name = action_button(tr("Name…"), self.name_chosen)
        self.merge = action_button(tr("Merge"), lambda: review.merge(self.chosen))
        self.split = action_button(tr("Split here"), lambda: review.split(self.chosen[0]))
        self.exclude = action_button(tr("Leave out"), self.exclude_chosen)
        self.undo = action_button(tr("Undo"), review.undo)
        row = QHBoxLayout()
        for button in (self.name, self.merge, self.split, self.exclude, self.undo):
            row.addWidget(button)
        row.addStretch()
        layout = QVBoxLayout(self)
        layout.addWidget(self.table, 1)
        layout.addWidget(self.hint)
        layout.addLayout(row)
        QShortcut(QKeySequence(Qt.Key.Key_F2), self.table, self.name_chosen)
        QShortcut(QKeySequence(QKeySequence.StandardKey.Undo), self, review.undo)
        review.changed.connect(self.fill)
        self.fill()
        open_with_size(self, 620, 360)

    @property
    def chosen(self) -> list[int]:
        """Numbers of the selected persons that are not excluded."""
        return [track.id for track, excluded in self._selected() if not excluded]

    def fill(self) -> None:
        recording = self._review.recording
        self._listed = listed_people(recording) if recording is not None else []
        begin = recording.begin if recording is not None else 0.0
        self.table.fill([_cells(track, excluded, begin) for track, excluded in self._listed])
        self._enable()

    def name_chosen(self) -> None:
        if len(self.chosen) == 1:
            ask_for_name(self._review, self.chosen[0], self)

    def exclude_chosen(self) -> None:
        """Exclude the selected persons; if all of them are excluded, include them."""
        included = self.chosen
        for person in included or [track.id for track, _ in self._selected()]:
            self._review.exclude(person, bool(included))

    def _selected(self) -> list[tuple[Track, bool]]:
        return [self._listed[record] for record in sorted(self.table.chosen)]

    def _enable(self) -> None:
        selected, count = self._selected(), len(self.chosen)
        self.name.setEnabled(count == 1)
        self.split.setEnabled(count == 1)
        self.merge.setEnabled(count > 1)
        self.exclude.setEnabled(bool(selected))
        self.exclude.setText(tr("Take in") if selected and not count else tr("Leave out"))
        self.undo.setEnabled(self._review.can_undo)


def _cells(track: Track, excluded: bool, begin: float) -> Sequence[Cell]:
    first, seconds = float(track.times[0]) - begin if len(track) else 0.0, float(track.seconds_of().sum())
    return (
        called(track),
        (str(track.id), track.id),
        (clock(first) if len(track) else "", first),
        (clock(seconds), seconds),
        tr("left out") if excluded else "",
    )


def listed_people(recording: Recording) -> list[tuple[Track, bool]]:
    """Every person and whether it is excluded, by number."""
    both = [(track, False) for track in recording.tracks] + [(track, True) for track in excluded_people(recording)]
    return sorted(both, key=lambda each: each[0].id)
