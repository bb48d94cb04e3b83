"""Commands: what people say about accounts, by name, with the fields and the scope that each needs."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, TypeAlias, get_args

from msgspec import Meta, Struct

REASON_CHARACTERS_MAX = 200
NOTE_CHARACTERS_MAX = 1_000
ID_CHARACTERS_MAX = 255

# The end of the text; `$` would let a line end follow.
_END = r"(?![\s\S])"

Date = Annotated[str, Meta(description="RFC 3339 date or date-time; UTC where it names no offset")]
Reason = Annotated[str, Meta(pattern=r"\S", max_length=REASON_CHARACTERS_MAX)]
MilestoneId = Annotated[str, Meta(pattern=rf"^[a-z][a-z0-9_]{{0,63}}{_END}")]
_MILESTONE = "milestone (its id: lower-case letters, digits and _)"
PlanId = Annotated[str, Meta(pattern=rf"^[a-z0-9][a-z0-9_-]{{0,63}}{_END}")]

# Kinds of signals that can be muted, beside the ids of a plan's risks and opportunities; and those that cannot, because
# what happens once would never be told.
SNOOZED_KINDS = (
    *("at_risk", "stalled", "recovered", "escalated"),
    *("risk_opened", "risk_closed", "opportunity_opened", "opportunity_closed"),
)
NEVER_SNOOZED_KINDS = (
    *("activation_started", "milestone_reached", "first_value_reached", "activated"),
    *("closed", "erased"),
)


class Command(Struct, kw_only=True, forbid_unknown_fields=True, tag_field="command"):
    """What all commands have: the account, and optionally an id that makes a repeat harmless and the time it is of.

    `scope` is what a key needs, `takes` says the command's own fields to a person.
    """

    account_id: str | int
    message_id: str | None = None
    timestamp: str | int | float | None = None

    scope: ClassVar[Literal["accounts:write", "admin"]] = "accounts:write"
    takes: ClassVar[str] = "no fields of its own"


class Set(Command, tag="set"):
    """Sets traits of the account; null takes one back, `reached.<milestone>` dates what was reached earlier."""

    traits: dict[str, str | int | float | bool | list[Any] | dict[str, Any] | None]

    takes = "traits (an object of names and values)"


class Note(Command, tag="note"):
    """Something that the vendor's own people did or heard: an event of the plans, never activity."""

    event: Annotated[str, Meta(pattern=r"\S\.\S", max_length=ID_CHARACTERS_MAX)]
    text: Annotated[str, Meta(max_length=NOTE_CHARACTERS_MAX)] | None = None

    takes = "event (a plan's event name, with a dot, such as conversation.held) and may take text (1000 characters)"


class Pause(Command, tag="pause"):
    """Takes the time from now on out of every clock of the account, until resumed or until a date."""

    reason: Reason
    side: Literal["customer", "us"]
    until: Date | None = None

    takes = "reason (1 to 200 characters), side (customer or us) and may take until (a date to come)"


class Resume(Command, tag="resume"):
    """Ends a pause."""


class Snooze(Command, tag="snooze"):
    """Mutes one kind of signal of the account until a date; one that has passed lifts the snooze."""

    kind: MilestoneId
    until: Date

    takes = f"kind ({', '.join(SNOOZED_KINDS)}, or the id of a risk or opportunity) and until (a date)"


class Mark(Command, tag="mark"):
    """Says that a milestone is reached, at the date `at` or at the command's own time."""

    milestone: MilestoneId
    at: Date | None = None

    takes = f"{_MILESTONE} and may take at (the date on which it was reached)"


class Waive(Command, tag="waive"):
    """Says that this account does not need a milestone."""

    milestone: MilestoneId

    takes = _MILESTONE


class Diagnose(Command, tag="diagnose"):
    """A person's judgement of why the account does not move; it overrides `likely`."""

    cause: Literal["fit", "execution"]
    action: Literal["help", "downsize", "pivot", "exit"] | None = None

    takes = "cause (fit or execution) and may take action (help, downsize, pivot or exit)"


class Move(Command, tag="move"):
    """Puts the account under one plan, whatever `applies_to` says; null gives it back to the plans' own rules."""

    plan: PlanId | None

    takes = "plan (its id: lower-case letters, digits, - and _; or null, back to the plans' own applies_to)"


class Close(Command, tag="close"):
    """Ends the watch over an account that has left."""

    reason: Reason

    takes = "reason (1 to 200 characters)"


class Reopen(Command, tag="reopen"):
    """Begins a new episode of a closed account; what it reached stays reached."""


class Erase(Command, tag="erase"):
    """Forgets the account for good."""

    scope = "admin"


class ErasePerson(Command, tag="erase_person"):
    """Forgets one person of the account for good."""

    user_id: Annotated[str, Meta(min_length=1, max_length=ID_CHARACTERS_MAX)]

    scope = "admin"
    takes = "user_id (the person's id, as the product sends it)"


AnyCommand: TypeAlias = (
    Set | Note | Pause | Resume | Snooze | Mark | Waive | Diagnose | Move | Close | Reopen | Erase | ErasePerson
)

COMMANDS: dict[str, type[Command]] = {str(kind.__struct_config__.tag): kind for kind in get_args(AnyCommand)}
