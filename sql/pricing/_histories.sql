-- Called with the row of sealed_subjects locked, so after every watermark of the subject.
create or replace function _history_recorded_at(subject text)
returns timestamptz
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    return greatest(clock_timestamp(),
        (select s.watermark from sealed_subjects s where s.subject = _history_recorded_at.subject) + interval '1 microsecond',
        _latest_change(array[_history_recorded_at.subject]));
end
$$;

comment on function _history_recorded_at(text) is
    'When a change of a subject''s subscriptions, cycles, credits or taxes is recorded: after all that was recorded before.';

-- The server that recorded it may have had a clock that was ahead of this one.
create or replace function _latest_change(subjects text[])
returns timestamptz
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
set enable_hashjoin to off
set enable_mergejoin to off
set jit to off
as $$
#variable_conflict use_column
begin
    return (
        select greatest(max(s.recorded_at), max(y.recorded_at), max(c.recorded_at), max(t.recorded_at))
        from unnest(subjects) u (subject)
        cross join lateral (
            select max(h.recorded_at) as recorded_at from subscription_history h where h.subject = u.subject offset 0
        ) s
        cross join lateral (
            select max(h.recorded_at) as recorded_at from cycle_history h where h.subject = u.subject offset 0
        ) y
        cross join lateral (
            select max(greatest(c.recorded_at, c.voided_at)) as recorded_at from credits c where c.subject = u.subject offset 0
        ) c
        cross join lateral (select max(t.recorded_at) as recorded_at from taxes t where t.subject = u.subject offset 0) t);
end
$$;

comment on function _latest_change(text[]) is 'When what statements of subjects are computed with, prices aside, was changed last; null if never.';

create or replace function _note_subscriptions(subject text)
returns void
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    insert into subscription_history (recorded_at, subject, plans, starts, ends)
    select _history_recorded_at(_note_subscriptions.subject), _note_subscriptions.subject,
           coalesce(array_agg(s.plan order by s.since, s.plan), '{}'), coalesce(array_agg(s.since order by s.since, s.plan), '{}'),
           coalesce(array_agg(s.until order by s.since, s.plan), '{}')
    from subscriptions s
    where s.subject = _note_subscriptions.subject;
end
$$;

comment on function _note_subscriptions(text) is 'Keeps what the subscriptions of a subject are now.';

create or replace function _note_cycles(subject text)
returns void
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    insert into cycle_history (recorded_at, subject, starts, anchors, timezones, lengths)
    select _history_recorded_at(_note_cycles.subject), _note_cycles.subject,
           coalesce(array_agg(c.since order by c.since), '{}'), coalesce(array_agg(c.anchor order by c.since), '{}'),
           coalesce(array_agg(c.timezone order by c.since), '{}'), coalesce(array_agg(c.every order by c.since), '{}')
    from billing_cycles c
    where c.subject = _note_cycles.subject;
end
$$;

comment on function _note_cycles(text) is 'Keeps what the rules of a subject''s billing cycles are now.';

create or replace function _known_subscriptions(subject text, known_at timestamptz)
returns table (plan text, since timestamptz, until timestamptz)
language plpgsql
stable
set search_path from current
set enable_seqscan to off
set enable_bitmapscan to off
as $$
#variable_conflict use_column
begin
    return query
    select s.plan, s.since, s.until
    from (
        select h.*
        from subscription_history h
        where h.subject = _known_subscriptions.subject and h.recorded_at <= _known_subscriptions.known_at
        order by h.recorded_at desc, h.history_id desc
        limit 1
    ) h
    cross join lateral unnest(h.plans, h.starts, h.ends) s (plan, since, until);
end
$$;

comment on function _known_subscriptions(text, timestamptz) is 'The subscriptions of a subject, as of a time.';

create or replace function _known_cycles(subject text, known_at timestamptz)
returns billing_cycles[]
language plpgsql
stable
set search_path from current
set enable_seqscan to off
set enable_bitmapscan to off
as $$
#variable_conflict use_column
begin
    return array(
        select row(h.subject, c.since, c.anchor, c.timezone, c.every)::billing_cycles
        from (
            select h.*
            from cycle_history h
            where h.subject = _known_cycles.subject and h.recorded_at <= _known_cycles.known_at
            order by h.recorded_at desc, h.history_id desc
            limit 1
        ) h
        cross join lateral unnest(h.starts, h.anchors, h.timezones, h.lengths) c (since, anchor, timezone, every)
        order by c.since);
end
$$;

comment on function _known_cycles(text, timestamptz) is 'The rules of a subject''s billing cycles, as of a time, the earliest first.';
