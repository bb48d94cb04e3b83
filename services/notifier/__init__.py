"""The notifier: delivers each signal to every endpoint that wants it, signed, until it answers or time is up."""
