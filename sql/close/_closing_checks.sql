create or replace function _check_not_overlapping(closings closing[])
returns void
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_other record;
begin
    select c.subject, t.* into v_other
    from unnest(closings) c
    cross join lateral (
        select t.statement_id, t.since, t.until
        from sealed_subjects s
        join statements t on t.subject_id = s.subject_id and t.until > c.since and t.since < c.until
        where s.subject = c.subject
        offset 0
    ) t
    limit 1;
    if found then
        raise exception using errcode = '22023', message = 'a part of the period is closed already', column = 'since',
            detail = format('subject %s: statement %s holds %s to %s.', quote_literal(left(v_other.subject, 80)), v_other.statement_id,
                to_char(v_other.since at time zone interval '0', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
                to_char(v_other.until at time zone interval '0', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')),
            hint = 'Statements do not overlap: begin at the end of that one, or end at its start. statements() lists them.';
    end if;
end
$$;

comment on function _check_not_overlapping(closing[]) is 'Raises 22023 if a statement holds a part of one of the periods.';

create or replace function _check_no_open_hold(closings closing[])
returns void
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_hold reservations;
    v_now  timestamptz := clock_timestamp();
begin
    if not exists (select from reservations r where r.state = 'held' and r.expires_at > v_now) then
        return;
    end if;
    select r.* into v_hold
    from unnest(closings) c
    cross join metrics m
    cross join lateral (
        select r.* from reservations r
        where r.metric = m.key and r.subject = c.subject and r.state = 'held' and r.expires_at > v_now and r.at >= c.since and r.at < c.until
        limit 1
    ) r
    limit 1;
    if v_hold.reservation_id is not null then
        raise exception using errcode = '55000', message = 'a reservation of the period is open', table = 'statements',
            detail = format('subject %s, metric %s, reservation %s.', quote_literal(left(v_hold.subject, 80)), quote_literal(v_hold.metric),
                v_hold.reservation_id),
            hint = 'Settle or release it, or wait until it has expired.';
    end if;
end
$$;

comment on function _check_no_open_hold(closing[]) is 'Raises 55000 if a reservation of one of the periods still holds.';

-- The log is compared with the short buckets that lie within the period, and with the long ones. Months that were dropped cannot be compared.
create or replace function _check_no_drift(closings closing[])
returns timestamptz
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_found record;
begin
    select bool_or(c.has_drifted) as has_drifted, min(c.subject) filter (where c.has_drifted) as subject,
           min(c.metric) filter (where c.has_drifted) as metric, max(c.recorded_at) as recorded_at
    into v_found
    from _compared_metrics(closings) c;
    if v_found.has_drifted then
        raise exception using errcode = '55000', message = 'buckets of the period do not equal the log', table = 'statements',
            detail = format('subject %s, metric %s.', quote_literal(left(v_found.subject, 80)), quote_literal(v_found.metric)),
            hint = format('Look at SELECT * FROM %I.verify(%L), and correct them with rebuild().', current_schema(), left(v_found.subject, 80));
    end if;
    return v_found.recorded_at;
end
$$;

comment on function _check_no_drift(closing[]) is
    'When the last row of the periods was recorded. Raises 55000 if buckets of one of them differ from the log.';
