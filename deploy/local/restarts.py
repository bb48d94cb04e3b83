"""How long a process that died has to wait before it is started again."""

_FIRST_SECONDS = 0.2
_LONGEST_SECONDS = 30.0
# A process that ran this long was healthy: its next death counts as the first.
_HEALTHY_SECONDS = 60.0
_QUICK_FAILURES_MAX = 5


class RestartDelay:
    """Doubles the wait with every quick failure, up to half a minute, and never gives up."""

    def __init__(self) -> None:
        self._failures = 0

    def after(self, ran_seconds: float) -> float:
        """Seconds to wait after a process that ran for `ran_seconds` died."""
        self._failures = 1 if ran_seconds >= _HEALTHY_SECONDS else self._failures + 1
        return float(min(_LONGEST_SECONDS, _FIRST_SECONDS * 2 ** min(self._failures - 1, 20)))

    @property
    def hopeless(self) -> bool:
        """True after so many quick failures that a person should look."""
        return self._failures >= _QUICK_FAILURES_MAX
