-- What was recorded after a move has a later recorded_at than what was before, whatever the clocks of the two servers say: reads as of a
-- watermark rest on it, and the next move tells by it what it has copied.
create or replace function _receive_totals(subject text, recorded_until timestamptz)
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_after timestamptz := coalesce(_receive_totals.recorded_until + interval '1 microsecond', '-infinity');
    v_names text;
    v_sets  text;
begin
    perform _check_arriving(_receive_totals.subject);
    select string_agg(quote_ident(c), ', '), string_agg(format('%1$I = excluded.%1$I', c), ', ')
    into v_names, v_sets from unnest(_moved_columns('series')) c;
    delete from series s where s.series_id in (select k.series_id from _subject_series(_receive_totals.subject, null) k) and s.stripe > 0;
    execute format(
        'insert into series as o (%1$s, revision, is_ordinary, unit, unchecked_below)
         select %2$s, 0, false, m.unit, case when m.limited then ''-infinity''::numeric else ''infinity'' end
         from pg_temp.moved_series n join metrics m on m.key = n.metric
         on conflict (metric, subject, stripe) do update set %3$s, version = o.version + 1, revision = 0, is_ordinary = false,
             unchecked_below = excluded.unchecked_below, unchecked_until = ''infinity'', exhausted_at = null, limited_by = null,
             limit_quota = null, limit_used = null, limit_held = null',
        v_names, (select string_agg('n.' || quote_ident(c), ', ') from unnest(_moved_columns('series')) c), v_sets);
    update series s set recorded_after = greatest(s.recorded_after, v_after, w.watermark + interval '1 microsecond')
    from (select coalesce((select w.watermark from sealed_subjects w where w.subject = _receive_totals.subject), '-infinity')) w (watermark)
    where s.series_id in (select k.series_id from _subject_series(_receive_totals.subject, null) k);
end
$$;

comment on function _receive_totals(text, timestamptz) is
    'Writes the series that have come for a subject that is arriving; recorded_until: the latest recorded_at of its events.';

-- The later one of two rows has the higher id, also if it was drawn on another shard than the earlier one. A step of 65,536 ids, so that it is
-- rarely needed. As _align_sequences(), it blocks nobody for long.
create or replace function _raise_sequences(highest jsonb)
returns bigint
language plpgsql
volatile
set search_path from current
set lock_timeout to '50ms'
as $$
#variable_conflict use_column
declare
    c_step     constant bigint := 65536 * 1024;
    v_number   bigint := (select s.number from shard s);
    v_sequence record;
    v_above    bigint;
    v_raised   bigint := 0;
begin
    for v_sequence in
        select i.name, (_raise_sequences.highest ->> i.name)::bigint as above from _id_sequences() i
        where coalesce(i.last_id, i.first_id - 1) < (_raise_sequences.highest ->> i.name)::bigint
        order by i.name = 'event_ids', i.name
    loop
        v_above := (v_sequence.above / c_step + 2) * c_step + v_number;
        execute format('alter sequence %I increment by 1024 start with %s restart', v_sequence.name, v_above);
        v_raised := v_raised + 1;
    end loop;
    return v_raised;
end
$$;

comment on function _raise_sequences(jsonb) is
    'Lets the sequences of this shard continue above ids that another shard has drawn, given by the name of the sequence. Returns how many had to '
    'be changed. Raises 55P03 if a transaction that has drawn ids is open.';

create or replace function _highest_ids()
returns jsonb
language sql
stable
set search_path from current
as $$
    select coalesce(jsonb_object_agg(i.name, i.last_id), '{}') from _id_sequences() i where i.last_id is not null
$$;

comment on function _highest_ids() is 'The last id that each sequence of bigint has drawn.';
