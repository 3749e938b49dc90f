-- Subjects that have never failed come first, then those that are not enrolled yet, which needs a look through all series, then the postponed ones.
create or replace function _due_periods(now timestamptz, max_rows integer, give_up timestamptz)
returns setof closing
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_ended timestamptz := _add_duration(_due_periods.now, _parse_duration(_setting_value('grace')), -1, 'UTC');
    v_due   closing[];
begin
    loop
        v_due := array(select d from _due_among(false, v_ended, _due_periods.max_rows, give_up) d);
        exit when cardinality(v_due) = _due_periods.max_rows or clock_timestamp() > give_up or _enroll_recorded(10 * _due_periods.max_rows) = 0;
    end loop;
    return query
        select d.* from unnest(v_due) d
        union all
        select d.* from _due_among(true, v_ended, _due_periods.max_rows - cardinality(v_due), give_up) d;
end
$$;

comment on function _due_periods(timestamptz, integer, timestamptz) is
    'The next billing cycle of each subject of which it ended longer before now than the setting grace; at most max_rows, and what was found by the '
    'time to give up.';

-- What this transaction has postponed is left to the next one.
create or replace function _due_among(postponed boolean, ended timestamptz, max_rows integer, give_up timestamptz)
returns setof closing
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
set jit to off
as $$
#variable_conflict use_column
declare
    v_subject sealed_subjects;
    v_cycle   tstzrange;
    v_found   integer := 0;
begin
    for v_subject in
        select s.*
        from (
            (select s.* from sealed_subjects s
             where not _due_among.postponed and s.postponed_at = '-infinity' and s.due_at <= ended
               and ((select _all_here()) or _is_home(s.subject))
             order by s.due_at, s.subject_id)
            union all
            (select s.* from sealed_subjects s
             where _due_among.postponed and s.postponed_at > '-infinity' and s.postponed_at < now() and s.due_at <= ended
               and ((select _all_here()) or _is_home(s.subject))
             order by s.postponed_at, s.due_at, s.subject_id)
        ) s
    loop
        exit when v_found = _due_among.max_rows or clock_timestamp() > give_up;
        v_cycle := _next_cycle(v_subject, ended);
        if upper(v_cycle) <= ended then
            return next (v_subject.subject, lower(v_cycle), upper(v_cycle), null, null, null, null, null)::closing;
            v_found := v_found + 1;
        else
            update sealed_subjects s set due_at = upper(v_cycle) where s.subject_id = v_subject.subject_id and s.due_at <> upper(v_cycle);
        end if;
    end loop;
end
$$;

comment on function _due_among(boolean, timestamptz, integer, timestamptz) is
    'The next billing cycles that ended by then, of subjects that could always be closed, or of those that were postponed; at most max_rows.';

-- A subject that has no statement begins with the last cycle that has ended, or if it was not there by then with the next one.
create or replace function _next_cycle(sealed sealed_subjects, ended timestamptz)
returns tstzrange
language plpgsql
stable
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_until timestamptz := (select max(t.until) from statements t where t.subject_id = (sealed).subject_id);
    v_cycle tstzrange;
begin
    if v_until is not null then
        v_cycle := _cycle_at((sealed).subject, v_until);
        return tstzrange(v_until, upper(v_cycle));
    end if;
    v_cycle := _cycle_at((sealed).subject, ended);
    if _has_usage_before((sealed).subject, lower(v_cycle)) then
        return _cycle_at((sealed).subject, lower(v_cycle) - interval '1 microsecond');
    end if;
    return v_cycle;
end
$$;

comment on function _next_cycle(sealed_subjects, timestamptz) is 'The billing cycle of a subject that is to be closed next; it may not have ended.';

create or replace function _has_usage_before(subject text, until timestamptz)
returns boolean
language plpgsql
stable
set search_path from current
set enable_seqscan to off
set enable_hashjoin to off
set enable_mergejoin to off
as $$
#variable_conflict use_column
begin
    return exists (
        select from metrics m
        cross join lateral (
            select s.series_id, s.fine_start, s.fine_last_at from series s where s.metric = m.key and s.subject = _has_usage_before.subject offset 0
        ) s
        where s.fine_last_at > '-infinity' and s.fine_start < _has_usage_before.until
           or (select count(*) from (
                   select from rollups r
                   where r.series_id = s.series_id and r.bucket = m.fine_bucket and r.bucket_start < _has_usage_before.until
                   limit 1) r) > 0);
end
$$;

comment on function _has_usage_before(text, timestamptz) is 'Whether anything of a subject was recorded in a bucket that begins before an instant.';

create or replace function _enroll_recorded(max_rows integer)
returns bigint
language plpgsql
volatile
set search_path from current
set jit to off
as $$
#variable_conflict use_column
declare
    v_subjects text[] := array(
        select distinct s.subject from series s
        where s.stripe = 0 and s.version > 0 and not exists (select from sealed_subjects w where w.subject = s.subject)
          and ((select _all_here()) or _is_home(s.subject))
        limit max_rows);
begin
    perform _enroll_subjects(v_subjects);
    return cardinality(v_subjects);
end
$$;

comment on function _enroll_recorded(integer) is 'Makes rows of sealed_subjects for subjects that have none, at most max_rows; returns how many.';
