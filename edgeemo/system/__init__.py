"""What the operating system is asked for: the service unit and its notifications."""
