"""What depends on the operating system: service unit, signals, locks, paths and the rules for output files."""
