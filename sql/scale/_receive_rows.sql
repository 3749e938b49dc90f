create or replace function _check_arriving(subject text)
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
begin
    perform from moves m where m.subject = _check_arriving.subject and m.state = 'arriving' for update;
    if not found then
        raise exception using errcode = '55000', message = 'the subject is not arriving here',
            detail = format('subject %s.', quote_literal(left(_check_arriving.subject, 80))), hint = 'Begin with: pymeter shard move';
    end if;
end
$$;

comment on function _check_arriving(text) is 'Raises 55000 unless a subject is arriving; locks its row of moves until the transaction ends.';

-- Rows that only reserve the numbers: what they have to say comes with the series. revision 0: recording copies the definition anew.
create or replace function _receive_series(subject text, metric_keys text[])
returns jsonb
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
begin
    perform _check_arriving(_receive_series.subject);
    insert into series (metric, subject, stripe, series_id, revision, has_stripes, is_ordinary, is_count, unit, newest_start, fine_start, fine_end,
                        fine_last_at, coarse_start, coarse_end, coarse_last_at)
    select m.key, _receive_series.subject, 0, nextval('series_ids'), 0, false, false, m.aggregate = 'count', m.unit, z.z, z.z, z.z, '-infinity', z.z,
           z.z, '-infinity'
    from unnest(metric_keys) k (key)
    join metrics m on m.key = k.key
    cross join (select timestamptz '1970-01-01 00:00:00+00') z (z)
    left join _subject_series(_receive_series.subject, null) s on s.metric_key = m.key
    where s.series_id is null
    order by m.key;
    return (select coalesce(jsonb_agg(to_jsonb(n)), '[]') from _moved_numbers(_receive_series.subject) n);
end
$$;

comment on function _receive_series(text, text[]) is 'Makes the missing series of a subject that is arriving; returns _moved_numbers().';

create or replace function _receive_subject_id(subject text)
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
begin
    perform _check_arriving(_receive_subject_id.subject);
    perform _enroll_subjects(array[_receive_subject_id.subject]);
end
$$;

comment on function _receive_subject_id(text) is
    'Makes the row of sealed_subjects of a subject that is arriving, so that statements have their number.';

-- The temporary table holds what has come for one table.
create or replace function _receive_table(name text)
returns text
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_table text := case _receive_table.name when 'old_keys' then 'keys' else _receive_table.name end;
    v_names text := (select string_agg(quote_ident(c), ', ' order by n) from unnest(_moved_columns(v_table)) with ordinality c (c, n));
begin
    execute format('create temporary table moved_%s on commit drop as select %s from %I where false', v_table, v_names, v_table);
    return format('copy pg_temp.moved_%s (%s) from stdin (format binary)', v_table, v_names);
end
$$;

comment on function _receive_table(text) is 'Makes the temporary table that takes the rows of a table, and returns the COPY that fills it.';

create or replace function _receive_rows(name text, subject text)
returns bigint
language plpgsql
volatile
set search_path from current
set jit to off
as $$
#variable_conflict use_column
declare
    v_table   record;
    v_columns text[] := _moved_columns(_receive_rows.name);
    v_names   text := (select string_agg(quote_ident(c), ', ') from unnest(v_columns) c);
    v_keys    text[];
    v_sets    text;
    v_rows    bigint;
begin
    perform _check_arriving(_receive_rows.subject);
    select * into strict v_table from _moved_tables() t where t.name = _receive_rows.name;
    v_keys := array(
        select a.attname::text from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any (i.indkey)
        where i.indrelid = quote_ident(_receive_rows.name)::regclass and i.indisprimary);
    if v_table.treatment = 'replace' then
        execute format('delete from %I t where %s', _receive_rows.name, _moved_predicate(v_table.predicate, _receive_rows.subject));
    elsif v_table.treatment = 'log' then
        analyze pg_temp.moved_events;
        perform _check_moved_months();
        delete from pg_temp.moved_events m
        using events e
        where e.series_id = m.series_id and e.at = m.at and e.event_id = m.event_id and e.series_id = any (array(
            select s.series_id from _subject_series(_receive_rows.subject, null) s));
    elsif v_table.treatment = 'update' then
        select string_agg(format('%1$I = excluded.%1$I', c), ', ') into v_sets from unnest(v_columns) c where c <> all (v_keys);
    end if;
    execute format('insert into %1$I (%2$s) select %2$s from pg_temp.moved_%1$s%3$s', _receive_rows.name, v_names, case
        when v_table.treatment = 'update' then format(' on conflict (%s) do update set %s',
            (select string_agg(quote_ident(k), ', ') from unnest(v_keys) k), v_sets)
        when v_table.treatment in ('keep', 'keys') then ' on conflict do nothing' else '' end);
    get diagnostics v_rows = row_count;
    return v_rows;
end
$$;

comment on function _receive_rows(text, text) is
    'Puts what has come for a table into it, as _moved_tables() says, for a subject that is arriving. Returns how many rows it wrote.';

create or replace function _check_moved_months()
returns void
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_months timestamptz[] := array(select _dropped_months());
begin
    if v_months <> '{}' and exists (
        select from pg_temp.moved_events m where date_trunc('month', m.at at time zone interval '0') at time zone interval '0' = any (v_months))
    then
        raise exception using errcode = '55000', message = 'this shard has dropped a month in which the subject has usage',
            hint = 'Move it to a shard that has the month.';
    end if;
end
$$;

comment on function _check_moved_months() is 'Raises 55000 if an event that has come is in a month that was dropped here.';
