"""The desktop app. The only package that imports PyQt6."""
