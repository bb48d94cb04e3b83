"""Routes below /v1/accounts: the list, one account, why it has its status, and its signals."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response

from services.activation_engine.api import examples
from services.activation_engine.api.account_paths import AccountId
from services.activation_engine.api.answers import (
    LIMIT,
    MILESTONE_UNKNOWN,
    SEGMENT_UNKNOWN,
    Cursor,
    Limit,
    Text,
    answer,
    names_refused,
    shown,
    signals_as_sent,
)
from services.activation_engine.api.documents import (
    AccountDocument,
    AccountList,
    AccountStatus,
    Explanation,
    Timeline,
)
from services.activation_engine.api.positions import NOT_YET_APPLIED, POSITION_INVALID, AppliedPositions
from services.activation_engine.domain.description import describe, superseded_milestones
from services.activation_engine.domain.explanation import explain
from services.activation_engine.reading.accounts import AccountFilter, AccountReads, PlanUnknown, SeenAccount
from services.activation_engine.reading.ledger import LedgerReads
from services.runtime.access import Principal
from services.runtime.api import problem_responses
from services.runtime.cursors import CURSOR_INVALID, decode_cursor, encode_cursor
from services.runtime.problems import Problem

_POSITION_CHARACTERS_MAX = 65_536
_PLAN_UNKNOWN = (404, "plan_unknown", "`b2b_saas` is not published. Name one of the live plans: api-product, b2b-saas.")

_UNKNOWN = (
    404,
    "account_unknown",
    "No event or command of this account has arrived: check the id, or send one with its account id to ingest first.",
)

After = Annotated[
    str | None,
    Query(
        max_length=_POSITION_CHARACTERS_MAX,
        description="`position` of an answer of POST /v1/commands: wait up to 5 s until that is applied",
    ),
]
Authenticated = Callable[..., Awaitable[Principal]]


def account_routes(
    *,
    accounts: AccountReads,
    ledger: LedgerReads,
    applied: AppliedPositions,
    may_read: Authenticated,
) -> APIRouter:
    """The routes."""
    # The two longer paths come before the one that matches everything.
    routes = APIRouter(prefix="/v1/accounts", tags=["accounts"], dependencies=[Depends(may_read)])
    _add_list(routes, accounts)
    _add_explanation(routes, accounts)
    _add_timeline(routes, accounts, ledger)
    _add_account(routes, accounts, applied)
    return routes


def _add_list(routes: APIRouter, accounts: AccountReads) -> None:
    @routes.get(
        "",
        summary="List accounts",
        response_class=Response,
        responses={
            **shown(AccountList, examples.ACCOUNTS),
            **problem_responses(CURSOR_INVALID, _PLAN_UNKNOWN, SEGMENT_UNKNOWN, MILESTONE_UNKNOWN),
        },
    )
    async def list_accounts(
        plan: Text = None,
        status: AccountStatus | None = None,
        segment: Text = None,
        milestone: Text = None,
        owner: Text = None,
        cursor: Cursor = None,
        limit: Limit = LIMIT,
    ) -> Response:
        """Accounts by id. `plan`, `status`, `segment` and `milestone` (one that is reached) must hold together for one
        plan of the account; `owner` is the account's trait. Scope `accounts:read`."""
        after = decode_cursor(cursor, str)[0] if cursor is not None else ""
        wanted = AccountFilter(plan=plan, status=status, segment=segment, milestone=milestone, owner=owner)
        try:
            with names_refused():
                found = await accounts.page(wanted, after=after, limit=limit + 1)
        except PlanUnknown as error:
            raise Problem(404, "plan_unknown", f"`{plan}` is not published. {_choice(error.live)}") from error
        following = encode_cursor([found[limit - 1].state.account_id]) if len(found) > limit else None
        return answer({"data": [_shown(seen, briefly=True) for seen in found[:limit]], "next": following})


def _add_explanation(routes: APIRouter, accounts: AccountReads) -> None:
    @routes.get(
        "/{account_id:path}/explain",
        summary="Explain an account's status",
        response_class=Response,
        responses={**shown(Explanation, examples.EXPLANATION), **problem_responses(_UNKNOWN)},
    )
    async def explain_account(account_id: AccountId) -> Response:
        """Why the account has its status under each plan, each condition as measured, the next deadline, and what
        would change it. Scope `accounts:read`."""
        seen = await _known(accounts, account_id)
        return answer(explain(seen.state, seen.view.plans, seen.view.clock))


def _add_timeline(routes: APIRouter, accounts: AccountReads, ledger: LedgerReads) -> None:
    @routes.get(
        "/{account_id:path}/timeline",
        summary="List an account's signals",
        response_class=Response,
        responses={**shown(Timeline, examples.TIMELINE), **problem_responses(_UNKNOWN, CURSOR_INVALID)},
    )
    async def list_signals_of_account(account_id: AccountId, cursor: Cursor = None, limit: Limit = LIMIT) -> Response:
        """The account's signals as they were sent, in the order of sending: a `timestamp` may lie before that of one
        above, because some things are learned of late. Scope `accounts:read`."""
        after = decode_cursor(cursor, int)[0] if cursor is not None else 0
        seen = await _known(accounts, account_id)
        found = await ledger.timeline(account_id, after=after, limit=limit + 1)
        following = encode_cursor([found[limit - 1][0]]) if len(found) > limit else None
        return answer(
            {
                "data": signals_as_sent(payload for _, payload in found[:limit]),
                "superseded": superseded_milestones(seen.state, seen.view.plans),
                "next": following,
            }
        )


def _add_account(routes: APIRouter, accounts: AccountReads, applied: AppliedPositions) -> None:
    @routes.get(
        "/{account_id:path}",
        summary="Show an account",
        response_class=Response,
        responses={
            **shown(AccountDocument, examples.ACCOUNT),
            **problem_responses(_UNKNOWN, NOT_YET_APPLIED, POSITION_INVALID),
        },
    )
    async def show_account(account_id: AccountId, after: After = None) -> Response:
        """The account with its traits, people, and milestones under each plan, as of its partition's clock.
        Scope `accounts:read`."""
        if after is not None:
            await applied.wait_for(after)
        return answer(_shown(await _known(accounts, account_id)))


async def _known(accounts: AccountReads, account_id: str) -> SeenAccount:
    seen = await accounts.one(account_id) if "\x00" not in account_id else None
    if seen is None:
        raise Problem(*_UNKNOWN)
    return seen


def _choice(live: tuple[str, ...]) -> str:
    return f"Name one of the live plans: {', '.join(live)}." if live else "None is: publish one first."


def _shown(seen: SeenAccount, *, briefly: bool = False) -> dict[str, Any]:
    return describe(seen.state, seen.view.plans, seen.view.clock, briefly=briefly)
