"""A run of months: several sources that come and go, sinks that may fail, one engine."""
