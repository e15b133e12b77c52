"""File dialogs of the window, which remember the last folder for each purpose."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from PyQt6.QtCore import Qt
from PyQt6.QtWidgets import QFileDialog, QWidget

from edgeemo.ui.language import tr, translatable
from edgeemo.ui.settings import Settings

VIDEOS = translatable("Videos (*.mp4 *.m4v *.mov *.mkv *.webm *.avi *.mpg *.mpeg *.ts *.wmv)")
PICTURES = translatable("Pictures (*.jpg *.jpeg *.png *.bmp *.webp *.tif *.tiff)")
ALL = translatable("All files (*)")
SUFFIX = re.compile(r"\*(\.\w+)")


def open_dialog(
    settings: Settings, purpose: str, title: str, parent: QWidget, filters: Sequence[str], *, several: bool = False
) -> QFileDialog:
    """A dialog for an existing file; the caller connects and opens it.

    Args:
        purpose: dialogs of one purpose share a folder: "video", "engine", "events", "export", "plot", "dataset".
        filters: texts marked with `translatable`.
    """
    modes = QFileDialog.FileMode
    dialog = _dialog(settings, purpose, title, parent)
    dialog.setFileMode(modes.ExistingFiles if several else modes.ExistingFile)
    dialog.setNameFilters([tr(each) for each in (*filters, ALL)])
    return dialog


def folder_dialog(settings: Settings, purpose: str, title: str, parent: QWidget) -> QFileDialog:
    """A dialog for a folder."""
    dialog = _dialog(settings, purpose, title, parent)
    dialog.setFileMode(QFileDialog.FileMode.Directory)
    dialog.setOption(QFileDialog.Option.ShowDirsOnly)
    return dialog


def save_dialog(
    settings: Settings, purpose: str, title: str, parent: QWidget, filters: Sequence[str], name: str
) -> QFileDialog:
    """A dialog for the path of a new file.

    Args:
        name: proposed name. Its suffix, or the first one of the selected filter, is added if none is typed.
    """
    dialog = _dialog(settings, purpose, title, parent)
    dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
    dialog.setNameFilters([tr(each) for each in filters])
    dialog.setDefaultSuffix(Path(name).suffix[1:])
    dialog.selectFile(name)

    def change_suffix(chosen: str) -> None:
        suffixes = SUFFIX.findall(chosen)
        typed = Path(dialog.selectedFiles()[0]).name if dialog.selectedFiles() else name
        if not typed.endswith(tuple(suffixes)):
            for each in SUFFIX.findall(" ".join(filters)):
                typed = typed.removesuffix(each)
            dialog.selectFile(typed + suffixes[0])
        dialog.setDefaultSuffix(suffixes[0][1:])

    dialog.filterSelected.connect(change_suffix)
    return dialog


def _dialog(settings: Settings, purpose: str, title: str, parent: QWidget) -> QFileDialog:
    dialog = QFileDialog(parent, title)
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    if Path(folder := settings.folder(purpose)).is_dir() and folder:
        dialog.setDirectory(folder)

    def remember(paths: list[str]) -> None:
        if paths:
            settings.keep_folder(purpose, str(Path(paths[0]).parent))

    dialog.filesSelected.connect(remember)
    return dialog
