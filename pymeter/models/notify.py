"""Endpoints, what is sent to them, and alerts about spikes: sql/notify/."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Literal

from pymeter.models.values import Model, Moment

EndpointFormat = Literal["standard", "slack", "email"]
DeliveryState = Literal["waiting", "planned", "sending", "delivered", "dead"]


class Endpoint(Model):
    """Where notifications are sent."""

    name: str
    url: str | None = None
    """None where the secret is the URL."""
    types: list[str]
    """The types that are sent there; ``*``: all but ``usage.recorded`` and ``usage.aggregated``."""
    format: EndpointFormat
    secret_name: str | None = None
    """The name of the environment variable, or file, from which the sender reads the secret."""
    since: Moment
    """Notifications from then on are sent."""
    failing_since: Moment | None = None
    """Since when no attempt has succeeded; None if the last one has."""
    disabled_at: Moment | None = None
    """When the endpoint answered that it is gone; None while it is in use."""
    disabled_reason: str | None = None
    created_at: Moment


class EndpointStatus(Endpoint):
    """An endpoint, and how many deliveries it has, each counted up to 10,000."""

    open_deliveries: int
    """Still to be sent."""
    dead_deliveries: int
    """Given up."""
    oldest_open_at: Moment | None = None


class Delivery(Model):
    """A notification for an endpoint."""

    delivery_id: int
    notification_id: int
    endpoint: str
    subject: str | None = None
    lane: str
    """Deliveries of one endpoint and lane are sent one after another: the subject, or empty."""
    type: str
    message_id: str
    """The same at every attempt: by it the receiver recognises a repetition."""
    body: str
    """What is sent, as it is."""
    state: DeliveryState
    attempts: int
    failures: int
    """Since it was planned or retried."""
    next_attempt_at: Moment | None = None
    """When it may be claimed; while it is being sent, when the lease ends."""
    worker: str | None = None
    status: int | None = None
    """The HTTP status of the last answer."""
    error: str | None = None
    created_at: Moment
    settled_at: Moment | None = None


class ClaimedDelivery(Model):
    """A delivery to send now."""

    delivery_id: int
    attempt: int
    message_id: str
    endpoint: str
    url: str | None = None
    format: EndpointFormat
    secret_name: str | None = None
    type: str
    subject: str | None = None
    body: str
    leased_until: Moment
    """Send nothing after this: another worker may claim it then."""


class SettledDelivery(Model):
    """The state of a delivery after its result."""

    delivery_id: int
    state: DeliveryState
    next_attempt_at: Moment | None = None
    """When it is sent again."""


class SpikeAlert(Model):
    """Which usage of a metric counts as a spike."""

    spike_alert_id: int
    metric: str
    subject: str | None = None
    """None: each subject by itself."""
    within: timedelta
    """The length of the windows that are compared."""
    factor: Decimal
    """From which multiple of the usual usage on."""
    baseline: timedelta
    """How far back the usage is the usual one."""
    created_at: Moment
