"""`next_check` is a lower bound: looking only at due accounts finds what looking at everybody finds."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st

from services.activation_engine.domain.description import describe
from services.activation_engine.domain.explanation import explain
from services.activation_engine.domain.rows import plan_rows
from services.activation_engine.domain.signals import CandidateSignal, to_payload
from tests.builders import DAY_MS, HOUR_MS, SMALL_PLAN, day, event, plan, plan_set, traits
from tests.fakes.oracle import Oracle, Record, Tick

HASTY = SMALL_PLAN.replace("week 1", "3d").replace("quiet: 14d", "quiet: 5d")
VERSIONS = [
    plan_set([plan(), plan(SMALL_PLAN.replace("plan: small", "plan: fitted") + "applies_to: {product: crm}\n")]),
    plan_set([plan(HASTY)], version=2, live_from=day(9)),
    plan_set([plan(SMALL_PLAN + "at_risk_after: {smb: 4d, else: 9d}\n")], version=3, policy="emit"),
]
MOMENTS = st.sampled_from([f"2026-11-{number:02}" for number in (1, 2, 5, 9, 20)] + ["2026-12-24", "soon", None])
SETS = st.fixed_dictionaries(
    {},
    optional={
        "contract_start": MOMENTS,
        "reached__data": MOMENTS,
        "reached__output": MOMENTS,
        "segment": st.sampled_from(["smb", "large", "unheard of", None]),
        "product": st.sampled_from(["crm", "erp"]),
    },
)
STEPS = st.one_of(
    st.tuples(st.just("event"), st.sampled_from(["Data Imported", "Report Made", "Page Viewed"]), st.integers(0, 40)),
    st.tuples(st.just("set"), SETS, st.integers(0, 3)),
    st.tuples(st.just("ticks"), st.integers(1, 300), st.sampled_from([60_000, 290_000])),
    st.tuples(st.just("days"), st.integers(1, 9), st.just(0)),
    st.tuples(st.just("gap"), st.integers(1, 200), st.just(0)),
    st.tuples(st.just("version"), st.integers(0, 2), st.just(0)),
)


class Everybody(Oracle):
    """Looks at every account at every tick, due or not."""

    def _tick(self, tick: Tick) -> Iterator[None]:
        for state in self.accounts.values():
            state.check_by(0)
            self._check(state)
        yield from super()._tick(tick)


def records(steps: list[tuple[str, object, int]]) -> list[Record]:
    """Steps of a story laid out on one log, time going on between them."""
    now, made = day(0), list[Record]([Tick(day(0), day(0), day(0))])
    for number, (kind, what, extra) in enumerate(steps):
        account = f"a{number % 2}"
        if kind == "event":
            at = now - extra * 6 * HOUR_MS
            made.append(event(str(what), at, account=account, message=f"e{number}", appended=now))
        elif kind == "set":
            assert isinstance(what, dict)
            made.append(traits(now, account=account, message=f"s{number}", **what))
        elif kind == "version":
            made.append(VERSIONS[int(str(what))])
        else:
            count = int(str(what))
            unit, length = {"ticks": (count, extra), "days": (count * 300, DAY_MS // 300), "gap": (1, count * HOUR_MS)}[
                kind
            ]
            for _ in range(unit):
                now += length
                made.append(Tick(now, now, now))
    return made


def key(signal: CandidateSignal) -> tuple[str, str, str, bool, int]:
    """What must not depend on who was looked at."""
    return signal.account_id, signal.id, signal.origin, signal.late, signal.timestamp_ms


@settings(max_examples=60)
@given(st.lists(STEPS, min_size=1, max_size=12))
def test_due_accounts_are_enough(steps: list[tuple[str, object, int]]) -> None:
    """The same signals, sequence and standing; whatever happened can be told and explained."""
    due, everybody = Oracle(VERSIONS[0]), Everybody(VERSIONS[0])
    for record in records(steps):
        told = sorted(key(one) for one in due.take(record))
        assert told == sorted(key(one) for one in everybody.take(record))
    for account_id, state in due.accounts.items():
        assert state.plans == everybody.accounts[account_id].plans
        assert plan_rows(state, due.plans) == plan_rows(everybody.accounts[account_id], due.plans)
        assert explain(state, due.plans, due.clock)["text"]
        assert describe(state, due.plans, due.clock)["id"] == account_id
    for signal in due.signals:
        assert to_payload(signal)["summary"].endswith(".")
