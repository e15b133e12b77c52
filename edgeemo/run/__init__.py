"""A run: sources -> one engine -> sinks. `open` makes a Runner of a configuration; `headless` is the command."""
