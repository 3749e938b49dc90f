-- depends: 0008-access
-- What report_status() and health() need to tell metrics and billers apart.

alter type push_status add attribute metric text;
comment on type push_status is
    'How much of a metric is in a state: how many pushes, the sum of their values, and the earliest time that they are stamped with.';

alter table billers add column first_claimed_at timestamptz;
comment on column billers.first_claimed_at is
    'When a worker first called claim_pushes(); null: nobody has reported to this biller yet, which is no problem of health().';

update billers b set first_claimed_at = (select min(p.first_attempt_at) from pushes p where p.biller = b.biller);

-- For report_subject(): who else is this customer.
create index report_subjects_by_customer on report_subjects (biller, customer);

comment on column pushes.state is
    'planned, sending, delivered (the biller took it), rejected (the biller refused it), uncertain (the outcome is unknown, and it is too '
    'late to find out by sending it again), resolved (found in the biller''s totals), held (waits for a decision), left (never sent, by a '
    'setting or by leave_pushes()) or replaced (another push was made for it).';
comment on column pushes.reason is
    'Why it is held, left, rejected or replaced: too_old, negative, late, too_many_digits, ambiguous (another subject or metric has a value '
    'of mode last for the same customer, event name and period), refused, failed, absent, retried or superseded. '
    'late on any other push: the grace of its period had passed when it was planned.';
