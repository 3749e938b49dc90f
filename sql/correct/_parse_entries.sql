create or replace function _check_entries(entries jsonb)
returns void
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_wrong record;
begin
    if entries is null then
        raise exception using errcode = '22004', message = 'entries is null', column = 'entries', hint = 'Give a JSON array; it may be empty.';
    elsif jsonb_typeof(entries) <> 'array' then
        raise exception using errcode = '22023', message = 'entries is not a JSON array', column = 'entries',
            detail = format('It is of type %s.', jsonb_typeof(entries)), hint = 'Give an array of objects with the field entry.';
    end if;
    select e.ordinal, e.entry into v_wrong
    from jsonb_array_elements(entries) with ordinality e (entry, ordinal)
    where jsonb_typeof(e.entry) <> 'object' or coalesce(e.entry ->> 'entry' not in ('void', 'amend', 'adjust', 'record'), true)
    limit 1;
    if found then
        raise exception using errcode = '22023', message = 'an entry is not an object with a known entry', column = 'entries',
            detail = format('Entry %s: %s.', v_wrong.ordinal, left(v_wrong.entry::text, 200)),
            hint = 'The field entry is void, amend, adjust or record.';
    end if;
    select e.ordinal, f.field into v_wrong
    from jsonb_array_elements(entries) with ordinality e (entry, ordinal)
    cross join lateral jsonb_object_keys(e.entry) f (field)
    where f.field <> all (_entry_fields(e.entry))
       or f.field = 'event_id' and (jsonb_typeof(e.entry -> 'event_id') not in ('number', 'string', 'null')
                                    or e.entry ->> 'event_id' !~ '^[0-9]{1,18}$')
       or f.field in ('since', 'until') and _parse_time(e.entry ->> f.field) is null
       or f.field = 'reason' and jsonb_typeof(e.entry -> 'reason') not in ('string', 'null')
    limit 1;
    if found then
        raise exception using errcode = '22023', message = 'an entry has a field that is unknown or not valid', column = 'entries',
            detail = format('Entry %s: field %s.', v_wrong.ordinal, quote_ident(left(v_wrong.field, 80))),
            hint = 'The fields are the parameters of void_event(), amend_event(), adjust() or record(); of a void also since and until, which are '
                'times with a UTC offset.';
    end if;
end
$$;

comment on function _check_entries(jsonb) is 'Raises 22004 or 22023 for entries that are no JSON array of objects with known fields.';

create or replace function _entry_fields(entry jsonb)
returns text[]
language sql
immutable
set search_path from current
as $$
    select '{entry,subject,metric,idempotency_key,at,reason}'::text[] || case entry ->> 'entry'
        when 'void' then case when entry ?| '{since,until}' then '{since,until}' else '{event_id}' end
        when 'amend' then '{event_id,quantity,member,metadata}'
        when 'adjust' then '{quantity}'
        else '{quantity,member,metadata}' end::text[]
$$;

comment on function _entry_fields(jsonb) is 'The fields that an entry of its kind may have.';

-- ordinal: of the entry in the array. Windows are expanded, so the rows are numbered anew.
create or replace function _parse_entries(id bigint, last integer, entries jsonb)
returns correction_entries[]
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
set enable_nestloop to off
set jit to off
as $$
#variable_conflict use_column
declare
    v_given   jsonb := (
        select jsonb_agg(e.entry - '{entry,event_id,since,until,reason}'::text[] order by e.ordinal)
        from jsonb_array_elements(entries) with ordinality e (entry, ordinal));
    v_parsed  batch_event[] := array(select p from _parse_events(coalesce(v_given, '[]')) p order by p.ordinal);
begin
    perform _raise_form_problem(v_parsed), _check_targets(entries, v_parsed);
    return array(
        select (id, _parse_entries.last + row_number() over (order by p.ordinal, w.at, w.event_id), g.entry ->> 'entry', p.subject, p.metric,
                coalesce(w.event_id, n.event_id), coalesce(w.at, n.at),
                coalesce(p.quantity, case when g.entry ->> 'entry' = 'record' and m.aggregate = 'count' then 1 end), p.member, p.idempotency_key,
                case when g.entry ->> 'entry' in ('adjust', 'record') or g.entry ->> 'at' is not null then p.at end, p.metadata,
                g.entry ->> 'reason', null, null)::correction_entries
        from unnest(v_parsed) p
        join jsonb_array_elements(entries) with ordinality g (entry, ordinal) on g.ordinal = p.ordinal
        join metrics m on m.key = p.metric
        left join _staged_events(entries, v_parsed) n on n.ordinal = p.ordinal
        left join lateral (
            select w.event_id, w.at
            from _window_events(p.metric, p.subject, _parse_time(g.entry ->> 'since'), _parse_time(g.entry ->> 'until')) w
            where g.entry ->> 'entry' = 'void' and g.entry ?| '{since,until}'
            offset 0
        ) w on true
        where w.event_id is not null or not (g.entry ->> 'entry' = 'void' and g.entry ?| '{since,until}')
        order by p.ordinal, w.at, w.event_id);
end
$$;

comment on function _parse_entries(bigint, integer, jsonb) is 'The rows of entries, numbered from last + 1. Raises the first error of an entry.';
