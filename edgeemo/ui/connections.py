"""Connect the signals of the window's parts. Called by `window`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgeemo.ui.window import Window


def connect_live(window: Window) -> None:
    """Connect live playback and the buttons."""
    showing = window.showing
    window.live.opening.connect(showing.on_opening)
    window.live.switched.connect(showing.on_switched)
    window.live.kept.connect(showing.on_kept)
    window.live.returned.connect(window.marking.mark_gap)
    window.live.given_up.connect(window.recording.end)
    window.live.cameras_changed.connect(window.toolbar.source.refresh)
    window.player.changed.connect(showing.on_state)
    window.player.arrived.connect(showing.on_result)
    window.timeline.sought.connect(window.file_bar.seek)
    window.toolbar.source_chosen.connect(window.live.choose_source)
    window.toolbar.engine_chosen.connect(window.live.choose_engine)
    picker = window.toolbar.engine
    picker.asked.connect(lambda names, measure: window.live.find_facts(names, measure, picker.show_facts))
    window.toolbar.started.connect(window.start_or_pause)
    window.toolbar.stopped.connect(window.player.stop)
    window.toolbar.snapped.connect(window.take_snapshot)
    window.toolbar.recorded.connect(window.record_or_end)
    window.banner.left.connect(window.video.setFocus)
    window.faces.chosen.connect(window.timeline.show_person)
    window.timeline.failed.connect(window.banner.show_error)
    window.timeline.saved.connect(showing.tell_saved)
    window.timeline.chosen.connect(lambda _: showing.show_again())
    window.thumbnails.chosen.connect(showing.on_picture)
    window.video.offer.clicked.connect(lambda: window.ask_for_video("video"))
    window.saliency.arrived.connect(window.video.show_heat)
    window.saliency.failed.connect(window.stop_saliency)


def connect_recorded(window: Window) -> None:
    """Connect recording and replay."""
    showing = window.showing
    window.recording.changed.connect(showing.show_buttons)
    window.recording.failed.connect(showing.on_record_failure)
    window.recording.warned.connect(lambda text: window.banner.show_message("error", text))
    window.recording.saved.connect(window.library.tell_recorded)
    window.library.read.connect(window.replaying.begin)
    window.library.wanted.connect(window.ask_for_video)
    window.replaying.asked_for_sessions.connect(window.library.show)
    window.replaying.begins.connect(showing.on_replay)
    window.replaying.edited.connect(window.neutral_baseline.take_over)
    window.replaying.began.connect(showing.show_buttons)
    window.replaying.began.connect(showing.show_figures)
    window.library.failed.connect(window.banner.show_error)
    window.replay.arrived.connect(showing.show)
    window.replay.toggled.connect(showing.show_buttons)
    window.replay.left.connect(showing.after_replay)
