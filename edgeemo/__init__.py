"""edgeemo: facial expressions in video, in real time, on the machine itself."""
