"""A run: sources -> one engine -> sinks. `open` makes a `Runner` from a configuration; `headless` is the command."""
