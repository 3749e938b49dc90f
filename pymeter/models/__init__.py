"""Arguments and results: frozen models named after the SQL types, with fields named after the columns.

Quantities are ``Decimal`` and exact, times are aware and in UTC. A column that a newer server adds is
ignored, so an older client keeps working.

The models of ``sql/<folder>/`` are in ``<folder>.py``; what they are made of in ``values.py``.
"""

from __future__ import annotations

from pymeter.models.access import AccessRight, Level
from pymeter.models.catalog import Aggregate, Metric, Period, Rollup
from pymeter.models.limits import (
    AdminEntry,
    BillingCycle,
    CycleLength,
    EffectiveLimit,
    Limit,
    LimitAction,
    LimitSource,
    Notification,
    Overrun,
    Plan,
    Setting,
    Subscription,
)
from pymeter.models.notify import (
    ClaimedDelivery,
    Delivery,
    DeliveryState,
    Endpoint,
    EndpointFormat,
    EndpointStatus,
    SettledDelivery,
    SpikeAlert,
)
from pymeter.models.operate import Health, MaintenanceAction
from pymeter.models.record import BatchOutcome, BatchResult, NewEvent, Outcome, Recorded, RecordedWithoutTotal
from pymeter.models.repair import Drift
from pymeter.models.report import (
    Biller,
    ClaimedPush,
    MetricMapping,
    PlannedPush,
    Push,
    PushState,
    PushStatus,
    ReconcilableRange,
    Reconciliation,
    ReportJournal,
    ReportMode,
    ReportStep,
    SettledHour,
    SettledPush,
    SubjectMapping,
    UncertainHour,
)
from pymeter.models.usage import (
    CalendarStep,
    Event,
    QuotaStatus,
    SubjectActivity,
    SubjectPeriod,
    SubjectTotal,
    UsageBucket,
    UsageGroup,
    UsageTotal,
    Window,
)
from pymeter.models.values import Moment, Quantity, is_number, to_decimal, trim

__all__ = [
    "AccessRight",
    "AdminEntry",
    "Aggregate",
    "BatchOutcome",
    "BatchResult",
    "Biller",
    "BillingCycle",
    "CalendarStep",
    "ClaimedDelivery",
    "ClaimedPush",
    "CycleLength",
    "Delivery",
    "DeliveryState",
    "Drift",
    "EffectiveLimit",
    "Endpoint",
    "EndpointFormat",
    "EndpointStatus",
    "Event",
    "Health",
    "Level",
    "Limit",
    "LimitAction",
    "LimitSource",
    "MaintenanceAction",
    "Metric",
    "MetricMapping",
    "Moment",
    "NewEvent",
    "Notification",
    "Outcome",
    "Overrun",
    "Period",
    "Plan",
    "PlannedPush",
    "Push",
    "PushState",
    "PushStatus",
    "Quantity",
    "QuotaStatus",
    "ReconcilableRange",
    "Reconciliation",
    "Recorded",
    "RecordedWithoutTotal",
    "ReportJournal",
    "ReportMode",
    "ReportStep",
    "Rollup",
    "Setting",
    "SettledDelivery",
    "SettledHour",
    "SettledPush",
    "SpikeAlert",
    "SubjectActivity",
    "SubjectMapping",
    "SubjectPeriod",
    "SubjectTotal",
    "Subscription",
    "UncertainHour",
    "UsageBucket",
    "UsageGroup",
    "UsageTotal",
    "Window",
    "is_number",
    "to_decimal",
    "trim",
]
