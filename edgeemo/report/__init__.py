"""An offline HTML report of a recorded session, or of two groups of sessions side by side."""

from edgeemo.report.page import page, write_report

__all__ = ["page", "write_report"]
