"""What can go wrong with the local stack, each with a message that says what to do."""


class StackError(Exception):
    """The stack cannot do what was asked; the message says why and what to do."""


class AlreadyRunning(StackError):
    """Another stack uses the same data folder."""


class StopRequested(StackError):
    """Somebody asked the stack to stop while it was starting."""
