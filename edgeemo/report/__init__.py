"""A recorded session, or two groups of them side by side, as one page that works offline."""

from edgeemo.report.page import page, write_report

__all__ = ["page", "write_report"]
