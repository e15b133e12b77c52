"""The processing stages of a frame, one file per stage; `pipeline` runs them in order."""
