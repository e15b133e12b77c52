"""Builds docs/ as a small site: `sphinx-build -W docs OUTPUT`. tests/test_docs.py builds it with warnings as errors."""

project = "edgeemo"
author = "The edgeemo maintainers"
extensions = ["myst_parser"]
html_theme = "furo"
html_title = "edgeemo"
html_show_copyright = False
html_extra_path = ["edge.toml", "analyse-a-video.ipynb"]
exclude_patterns = ["analyse-a-video.ipynb"]
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]
