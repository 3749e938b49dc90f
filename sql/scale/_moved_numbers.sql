-- Limits and spike alerts of a plan or of everybody are on all shards, with ids of each. The versions of a limit are counted from the one that holds
-- now, which is 0: those before it, below 0, are not on a shard that was added since, and those that are to come may be only here.
create or replace function _moved_numbers(subject text)
returns table (kind text, key text, number bigint)
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_now timestamptz := clock_timestamp();  -- as set_limit(), which may have committed since this transaction began
begin
    return query
    select 'series', s.metric_key, s.series_id::bigint from _subject_series(_moved_numbers.subject, null) s
    union all
    select 'subject', '', w.subject_id from sealed_subjects w where w.subject = _moved_numbers.subject
    union all
    select 'limit', jsonb_build_array(l.metric, l.name, l.period, l.plan,
               row_number() over (v order by l.since, l.limit_id) - count(*) filter (where l.since <= v_now) over v)::text, l.limit_id
    from limits l
    where l.subject is null
    window v as (partition by l.metric, l.name, l.period, l.plan)
    union all
    select 'spike_alert', jsonb_build_array(a.metric, a.within)::text, a.spike_alert_id from spike_alerts a where a.subject is null;
end
$$;

comment on function _moved_numbers(text) is
    'The numbers that this meter has drawn for what other meters have too, by what it is: the series of a subject by metric, its row in '
    'sealed_subjects, and limits and spike alerts of plans and of everybody.';

create or replace function _move_map(subject text, numbers jsonb)
returns table (kind text, number bigint, key text, other bigint)
language sql
stable
set search_path from current
as $$
    select n.kind, n.number, n.key, o.number
    from _moved_numbers(subject) n
    left join jsonb_to_recordset(numbers) o (kind text, key text, number bigint) on o.kind = n.kind and o.key = n.key
$$;

comment on function _move_map(text, jsonb) is 'What this meter numbers, and how the other meter numbers it; numbers: its _moved_numbers().';

create or replace function _moved_predicate(predicate text, subject text)
returns text
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_series text := (select coalesce(array_agg(s.series_id), '{}')::text from _subject_series(_moved_predicate.subject, null) s);
    v_id     text := coalesce((select w.subject_id from sealed_subjects w where w.subject = _moved_predicate.subject), -1)::text;
begin
    return replace(replace(replace(replace(_moved_predicate.predicate,
        '$statement', 't.statement_id in (select s.statement_id from statements s where s.subject_id = $subject_id)'),
        '$subject_id', v_id), '$series', quote_literal(v_series) || '::integer[]'), '$subject', quote_literal(_moved_predicate.subject));
end
$$;

comment on function _moved_predicate(text, text) is 'A predicate of _moved_tables() for one subject of this meter, as SQL.';

-- Of series, what recording derives from definitions, and what only grows, is not the subject's.
create or replace function _moved_columns(name text)
returns text[]
language sql
stable
set search_path from current
as $$
    select array_agg(a.attname::text order by a.attname collate "C")
    from pg_attribute a
    where a.attrelid = quote_ident(_moved_columns.name)::regclass and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
      and not (_moved_columns.name = 'series' and a.attname = any (
          '{revision,is_ordinary,unit,billers,version,recorded_after,unchecked_below,unchecked_until,exhausted_at,limited_by,limit_quota,
            limit_used,limit_held}'))
$$;

comment on function _moved_columns(text) is 'The columns of a table that move with a subject, in an order that is the same on every meter.';
