"""The signals of risks and opportunities: opened, closed, held and missed, each with what was measured."""

from services.activation_engine.domain import signals
from services.activation_engine.domain.signals import CandidateSignal, Evidence
from services.activation_engine.domain.subject import Subject, next_step, signal_of
from services.activation_engine.domain.timers import after
from services.activation_engine.domain.truths import Part, View
from services.activation_engine.domain.watches import Watch
from services.activation_engine.domain.watching import HELD, OPENED, Happening
from services.activation_engine.domain.wording import condition_text, shortened

_KINDS = {
    (False, True): signals.RISK_OPENED,
    (False, False): signals.RISK_CLOSED,
    (True, True): signals.OPPORTUNITY_OPENED,
    (True, False): signals.OPPORTUNITY_CLOSED,
}


def announce(subject: Subject, happening: Happening, view: View, *, catch_up: bool) -> CandidateSignal:
    """The signal of one happening; its episode is the instant at which the watch opened."""
    watch, opened = happening.watch, happening.what == OPENED
    return signal_of(
        subject,
        _KINDS[watch.opportunity, opened],
        happening.at_ms if opened else view.clock_ms,
        about=watch.id,
        episode=f"{subject.state.life}:{happening.at_ms}",
        risk=None if watch.opportunity else watch.id,
        opportunity=watch.id if watch.opportunity else None,
        outcome=happening.outcome,
        due_at_ms=_closes_at(watch, happening, view) if opened else None,
        summary=_summary(subject, happening),
        evidence=evidence_of(watch, happening.part),
        next=_what_next(watch) if opened else next_step(subject),
        origin=signals.origin_of(catch_up=catch_up),
    )


def evidence_of(watch: Watch, part: Part | None) -> Evidence:
    """The rule as written, and the measure of its first part."""
    rule = shortened(watch.text)
    return Evidence(rule) if part is None else Evidence(rule, part.measured, part.threshold)


def _closes_at(watch: Watch, happening: Happening, view: View) -> int | None:
    return None if watch.open_ms is None else after(happening.at_ms, watch.open_ms, view.standing.still)


def _summary(subject: Subject, happening: Happening) -> str:
    name, watch = subject.state.name, happening.watch
    if happening.what == OPENED:
        return f"{name}: {watch.title} ({shortened(watch.text)})."
    if not watch.opportunity:
        return f"{name}: {watch.title} is over."
    how = "was taken" if happening.outcome == HELD else "was missed"
    return f"{name}: the opportunity {watch.title} {how}."


def _what_next(watch: Watch) -> str:
    """What would end it, in one sentence."""
    if watch.until is not None:
        return f"{condition_text(watch.until)} ends it."
    if watch.quiet:
        who = "anyone" if watch.quiet == ("anyone",) else " or ".join(one.replace("_", " ") for one in watch.quiet)
        return f"Any use of the product by {who} ends it."
    if watch.unless is not None:
        return f"{condition_text(watch.unless)} ends it."
    return "It ends by itself once the rule does not hold any more."
