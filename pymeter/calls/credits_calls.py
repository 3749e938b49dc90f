"""Money that a subject has, and its taxes: sql/credits/."""

from __future__ import annotations

from datetime import datetime

from pymeter.calls import argument, result
from pymeter.calls.call import Call
from pymeter.models import Credit, CreditSource, Quantity, Tax


def grant_credit(
    subject: str,
    amount: Quantity,
    currency: str,
    idempotency_key: str,
    *,
    priority: int = 50,
    since: datetime | None = None,
    expires_at: datetime | None = None,
    source: CreditSource = "paid",
    reason: str | None = None,
) -> Call[Credit]:
    """Give a subject money that pays its next statements, before tax.

    Args:
        subject: Who consumes: an account, an organisation, an API key.
        amount: How much, with the decimals of the currency.
        currency: ISO 4217, such as ``EUR``; it pays for lines of this currency.
        idempotency_key: A repetition with the same key is the same credit and changes nothing.
        priority: Lower ones are drawn first; then the one that expires earlier, promotional before paid.
        since: It pays for periods that end after this; now unless given.
        expires_at: It pays for periods that end up to this; for ever unless given.
        source: ``paid`` or ``promotional``.
        reason: Why, for people.

    Returns:
        The credit.

    Raises:
        IdempotencyConflict: the key was used for another credit.
        InvalidInput: a value is not allowed.
        LockUnavailable: the subject's period is being closed.

    Example:
        meter.grant_credit("acct_1", 50, "EUR", "welcome", source="promotional")
    """
    return Call(
        "grant_credit",
        (
            argument.text("subject", subject, required=True),
            argument.quantity("amount", amount, required=True),
            argument.text("currency", currency, required=True),
            argument.text("idempotency_key", idempotency_key, required=True),
            argument.integer("priority", "integer", priority, required=True),
            argument.time("since", since),
            argument.time("expires_at", expires_at),
            argument.text("source", source, required=True),
            argument.text("reason", reason),
        ),
        result.one(Credit),
    )


def void_credit(credit_id: int, reason: str) -> Call[Credit]:
    """Take back what is left of a credit; statements that it has paid stay as they are.

    Args:
        credit_id: The credit's id.
        reason: Why, for people.

    Returns:
        The credit; one that is void already is returned unchanged.

    Raises:
        NotFound: there is no such credit.
        InvalidInput: a value is not allowed.
        LockUnavailable: the subject's period is being closed.

    Example:
        meter.void_credit(17, "granted twice")
    """
    return Call(
        "void_credit",
        (
            argument.integer("credit_id", "bigint", credit_id, required=True),
            argument.text("reason", reason, required=True),
        ),
        result.one(Credit),
    )


def credits(subject: str, *, at: datetime | None = None) -> Call[list[Credit]]:
    """Return the credits that would pay for a period that ends at a moment, in the order of drawing.

    Args:
        subject: Who consumes: an account, an organisation, an API key.
        at: When; now unless given.

    Returns:
        The credits, with what statements have drawn and what is left; void ones are left out.

    Raises:
        InvalidInput: a value is not allowed.

    Example:
        sum(credit.remaining for credit in meter.credits("acct_1") if credit.currency == "EUR")
    """
    return Call("credits", _of(subject, at), result.every(Credit))


def set_tax(
    subject: str,
    percent: Quantity | None,
    *,
    inclusive: bool = False,
    name: str = "tax",
    since: datetime | None = None,
) -> Call[Tax]:
    """Set a tax of a subject from a time on.

    Args:
        subject: Who consumes: an account, an organisation, an API key.
        percent: Of what is left to pay after credits; None: it is not due any more.
        inclusive: Prices contain it: it is shown, not added.
        name: What it is called on invoices; several names are several taxes.
        since: From when; unless given, a first version holds from the beginning, a change from now.

    Returns:
        The tax. Setting what holds already changes nothing.

    Raises:
        InvalidInput: a value is not allowed.
        LockUnavailable: the subject's period is being closed.

    Example:
        meter.set_tax("acct_1", 19, name="VAT")
    """
    return Call(
        "set_tax",
        (
            argument.text("subject", subject, required=True),
            argument.quantity("percent", percent, required=True),
            argument.boolean("inclusive", inclusive, required=True),
            argument.text("name", name, required=True),
            argument.time("since", since),
        ),
        result.one(Tax),
    )


def taxes(subject: str, *, at: datetime | None = None) -> Call[list[Tax]]:
    """Return the taxes of a subject for a period that ends at a moment.

    Args:
        subject: Who consumes: an account, an organisation, an API key.
        at: When; now unless given.

    Returns:
        The taxes, by name.

    Raises:
        InvalidInput: a value is not allowed.

    Example:
        [(tax.name, tax.percent) for tax in meter.taxes("acct_1")]
    """
    return Call("taxes", _of(subject, at), result.every(Tax))


def _of(subject: str, at: datetime | None) -> tuple[argument.Argument, ...]:
    return (argument.text("subject", subject, required=True), argument.time("at", at))
