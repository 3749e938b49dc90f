-- Which marks of a limit have fired keeps them from firing twice. Those of a version that the other meter does not have are left out: usage there is
-- never checked against it. So are those of past versions of common limits where meters are compared, since one of the two may not have them.
--
-- COPY takes a query as text, and so the rows go from server to server as they are, in binary and without being held anywhere.
create or replace function _moved_rows(name text, subject text, numbers jsonb, part text default 'true')
returns text
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_table  record;
    v_column text;
    v_kind   text;
    v_map    text;
    v_both   text := 'true';
    v_list   text;
begin
    select * into strict v_table from _moved_tables() t where t.name = _moved_rows.name;
    v_column := split_part(v_table.numbered, ' ', 1);
    v_kind := split_part(v_table.numbered, ' ', 2);
    v_list := (
        select string_agg(case
            when c.c is distinct from v_column then 't.' || quote_ident(c.c)
            when _moved_rows.numbers is null then format('coalesce(m.key, t.%I::text) as %I', c.c, c.c)
            else format('coalesce(m.other, t.%I)::%s as %I', c.c, case when v_kind in ('series', 'subject') then 'integer' else 'bigint' end, c.c)
            end, ', ' order by c.n)
        from unnest(_moved_columns(_moved_rows.name)) with ordinality c (c, n));
    if v_kind is not null then
        v_both := case when _moved_rows.numbers is not null then '(m.number is null or m.other is not null)'
                       when v_kind = 'limit' then 'coalesce((m.key::jsonb ->> 4)::bigint, 0) >= 0' else 'true' end;
        select format(' %sjoin unnest(%L::bigint[], %L::text[], %L::bigint[]) m (number, key, other) on m.number = t.%I',
                   case when v_kind in ('limit', 'spike_alert') then 'left ' end, coalesce(array_agg(m.number), '{}'),
                   coalesce(array_agg(m.key), '{}'), coalesce(array_agg(m.other), '{}'), v_column)
        into v_map
        from _move_map(_moved_rows.subject, coalesce(_moved_rows.numbers, '[]')) m where m.kind = v_kind;
    end if;
    return format('select %s from %I t%s where %s and %s and (%s)', v_list, _moved_rows.name, v_map, v_both,
                  _moved_predicate(v_table.predicate, _moved_rows.subject), _moved_rows.part);
end
$$;

comment on function _moved_rows(text, text, jsonb, text) is
    'The query for the rows of a subject in a table, as another meter is to have them; numbers: its _moved_numbers(). Null numbers: with what every '
    'meter calls the same, to be compared. part: a further condition.';

-- A key says whose it is by its digest alone. Of reservations that maintain() has deleted nothing else is left; so the keys of all of them are
-- taken along: those of other subjects can never be mistaken for this one's.
create or replace function _moved_keys(subject text, part text, also text)
returns text
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_digests text := format(
        'select _key_digest(s.metric, s.subject, t.idempotency_key) as digest from events t '
        'join series s on s.series_id = t.series_id and s.stripe = 0 where t.idempotency_key is not null and %s and (%s)',
        _moved_predicate('t.series_id = any ($series)', _moved_keys.subject), _moved_keys.part);
begin
    if _moved_keys.also <> 'nothing' then
        v_digests := v_digests || format(
            ' union select _key_digest(r.metric, r.subject, r.idempotency_key) from reservations r'
            ' where r.subject = %1$L and r.idempotency_key is not null'
            ' union select _key_digest(e.metric, e.subject, e.idempotency_key) from correction_entries e'
            ' where e.subject = %1$L and e.idempotency_key is not null', _moved_keys.subject);
    end if;
    if _moved_keys.also = 'deleted reservations' then
        v_digests := v_digests || ' union select k.digest from (select * from keys union all select * from old_keys) k'
            ' where k.quantity is null and k.member is null and not exists (select from reservations r where r.reservation_id = k.event_id)';
    end if;
    return format('select k.at, k.digest, k.event_id, k.member, k.quantity from (%s) d join '
        '(select * from keys union all select * from old_keys) k on k.digest = d.digest', v_digests);
end
$$;

comment on function _moved_keys(text, text, text) is
    'The query for the idempotency keys of a subject: those of its events of which part is true. also: nothing, reservations (and corrections), or '
    'deleted reservations (and all of these).';
