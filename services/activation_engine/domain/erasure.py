"""The end of an account by command: all that is left to decide is what is announced."""

from services.activation_engine.domain.account import AccountState
from services.activation_engine.domain.event import Event
from services.activation_engine.domain.signals import ERASED, CandidateSignal, Evidence, signal_id

ERASE, ERASE_PERSON = "erase", "erase_person"


def is_erasure(event: Event) -> bool:
    """Whether the record erases its account."""
    return event.type == "command" and event.name == ERASE


def erase(state: AccountState, event: Event) -> CandidateSignal:
    """End the state, which nobody may use any more. Of what was known about the account only its id goes out once more,
    so that subscribers can forget it too."""
    state.erased = True
    account_id = state.account_id
    return CandidateSignal(
        id=signal_id(account_id, "", "", ERASED, str(event.occurred_at_ms)),
        type=ERASED,
        timestamp_ms=event.occurred_at_ms,
        summary=f"{account_id} was erased: delete what you keep about it.",
        account_id=account_id,
        account_name=None,
        segment=None,
        owner=None,
        traits={},
        plan_id=None,
        plan_version=None,
        status_from=None,
        status_to=None,
        to=(),
        evidence=Evidence("erased by command", events=(event.message_id,)),
    )
