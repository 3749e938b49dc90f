-- depends: 0018-comparisons
-- What project_usage() and project_invoice() return, and what they work on.

create type usage_projection as (
    metric text, aggregate text, unit text, since timestamptz, until timestamptz, at timestamptz, elapsed numeric, used numeric, method text,
    low numeric, expected numeric, high numeric, run_rate numeric, weekday_profile numeric, history_days integer, reason text);
comment on type usage_projection is
    'How much of a metric a subject will have used when its billing cycle [since, until) ends. elapsed: the part of the cycle that has passed at at; '
    'used: what was used up to then. method: run_rate, weekday_profile, recent_values (a metric that is no sum or count), unchanged (nothing more is '
    'expected) or none (unknown: low, expected and high are null; reason says why). low to high: an interval around expected. run_rate, '
    'weekday_profile: what each of the two methods says; null: it says nothing. history_days: how many whole days of usage before at there are.';

create type invoice_projection as (
    item text, metric text, kind text, since timestamptz, until timestamptz, quantity numeric, unit text, so_far numeric, low numeric,
    expected numeric, high numeric, currency text, method text, reason text, explanation text, plan text, name text);
comment on type invoice_projection is
    'A line of the invoice that the running billing cycle will have. so_far: its amount if nothing more is used; low, expected, high: its amounts at '
    'the low, expected and high usage of every metric, null: unknown. quantity: the expected one, all tiers together. kind: as in invoice_line. '
    'method, reason: as in usage_projection, of the metric; method stated: the cycle is closed, and this is its statement. explanation: how the '
    'expected amount comes about.';

create type usage_history as (
    bucket text, first_at timestamptz, last_at timestamptz, origin timestamptz, weeks integer, gap integer, totals numeric[], event_count bigint);
comment on type usage_history is
    'What a series had before an instant. first_at, last_at: the starts of the first and last bucket with an event; bucket: hour or day, null: it '
    'keeps neither. totals: of the 672 hours before origin, the oldest first (a day is spread over its hours); event_count: their events. weeks: '
    'how many whole weeks of them are history, at most 4. gap: the most days in a row in which nothing was used, before last_at.';

create type usage_outlook as (
    metric text, method text, reason text, at timestamptz, history_days integer, used numeric, used_events bigint, low numeric, expected numeric,
    high numeric, events numeric, run_rate numeric, weekday_profile numeric, origin timestamptz, profile numeric[], length numeric);
comment on type usage_outlook is
    'What is expected of a metric from at to the end of the cycle. low, expected, high, run_rate, weekday_profile: of the time that is left (of a '
    'max, min, last or avg: the value in it; null: nothing happens in it). events: how many events are expected. profile: 168 hours from origin '
    'on, which repeat; they say how the quantity is spread over the time that is left. length: that time in seconds.';

create type projected_line as (scenario integer, n integer, line invoice_line);
comment on type projected_line is
    'Line n of the invoice in one of the scenarios of a projection: 0 nothing more is used, 1 low, 2 expected, 3 high usage.';
