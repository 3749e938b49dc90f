-- The sum does not depend on the order of the rows, and a row that is there twice counts twice. MD5 is the same on every version and machine.
create or replace function _digest_of(query text)
returns table (row_count bigint, digest numeric)
language plpgsql
stable
set search_path from current
set timezone to 'UTC'
set datestyle to 'ISO, MDY'
set intervalstyle to 'postgres'
set bytea_output to 'hex'
set extra_float_digits to 1
set jit to off
as $$
begin
    return query execute format(
        'select count(*), coalesce(sum((''x'' || left(md5(r::text), 15))::bit(60)::bigint), 0) from (%s) r', _digest_of.query);
end
$$;

comment on function _digest_of(text) is 'How many rows a query returns, and the sum of their digests.';

-- A table with one row or more on either side is copied. So that fired_marks always is, it has one more: not all of its rows are compared.
create or replace function _move_digests(subject text)
returns table (name text, row_count bigint, digest numeric)
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
begin
    return query
    select t.name, d.row_count + case when t.numbered like '% limit' then 1 else 0 end, d.digest
    from _moved_tables() t
    cross join lateral _digest_of(_moved_rows(t.name, _move_digests.subject, null)) d
    where t.treatment not in ('log', 'keys');
end
$$;

comment on function _move_digests(text) is
    'What a meter has of a subject, table by table, without the log, its keys, and what other meters may not have; fired_marks has a row more.';

-- What is known already is below both marks: ids grow, except that settle() gives the event the id of its reservation; so does recorded_at.
create or replace function _log_part(known_id bigint, known_at timestamptz, up_to_id bigint, up_to_at timestamptz)
returns text
language sql
immutable
set search_path from current
as $$
    select case when known_id is null then 'true' else format('(t.event_id > %s or t.recorded_at > %L::timestamptz)', known_id, known_at) end
        || case when up_to_id is null then '' else format(' and t.event_id <= %s and t.recorded_at <= %L::timestamptz', up_to_id, up_to_at) end
$$;

comment on function _log_part(bigint, timestamptz, bigint, timestamptz) is
    'The condition for the rows of the log that come after the known marks and up to the others; null: without an end.';

create or replace function _move_log_digests(subject text, part text, also text)
returns table (name text, row_count bigint, digest numeric)
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
begin
    return query
    select 'events', d.row_count, d.digest from _digest_of(_moved_rows('events', _move_log_digests.subject, null, _move_log_digests.part)) d
    union all
    select 'keys', d.row_count, d.digest
    from _digest_of(_moved_keys(_move_log_digests.subject, _move_log_digests.part, _move_log_digests.also)) d;
end
$$;

comment on function _move_log_digests(text, text, text) is 'As _move_digests(), of a part of the log and its keys; also: as for _moved_keys().';

create or replace function _event_counts(subject text)
returns table (metric text, event_count bigint)
language plpgsql
stable
set search_path from current
set jit to off
as $$
#variable_conflict use_column
begin
    return query
    select s.metric_key, c.event_count
    from _subject_series(_event_counts.subject, null) s
    cross join lateral (select count(*) as event_count from events e where e.series_id = s.series_id) c
    where c.event_count > 0
    order by s.metric_key;
end
$$;

comment on function _event_counts(text) is 'How many rows of the log each metric of a subject has.';

-- The marks are read before waiting for those that may record below them.
create or replace function _log_marks()
returns table (up_to_id bigint, up_to_at timestamptz)
language sql
volatile
set search_path from current
as $$
    select case when e.is_called then e.last_value else e.last_value - 1 end, clock_timestamp() from event_ids e
$$;

comment on function _log_marks() is 'The last id that was drawn for an event, and the clock.';

create or replace function _own_marks(subject text, known_at timestamptz, part text)
returns table (up_to_id bigint, up_to_at timestamptz)
language plpgsql
stable
set search_path from current
set jit to off
as $$
#variable_conflict use_column
begin
    return query execute format(
        'select case when e.is_called then e.last_value else e.last_value - 1 end, greatest(%L::timestamptz, (select max(t.recorded_at) from (%s) t))
         from event_ids e', coalesce(_own_marks.known_at, '-infinity'), _moved_rows('events', _own_marks.subject, null, _own_marks.part));
end
$$;

comment on function _own_marks(text, timestamptz, text) is
    'Marks that no row of the log of a subject is above, while nothing can be recorded for it; known_at: such a mark of all but a part of the log.';
