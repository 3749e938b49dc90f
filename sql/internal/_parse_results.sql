-- Of several results for one push the best informed counts: that it was delivered, else that of the latest attempt.
create or replace function _parse_results(results jsonb)
returns push_result[]
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_bad text;
begin
    if results is null or jsonb_typeof(results) <> 'array' then
        raise exception using
            errcode = case when results is null then '22004' else '22023' end,
            message = 'results is not a JSON array', column = 'results', detail = format('It is %s.', coalesce(jsonb_typeof(results), 'null')),
            hint = 'Give an array of objects with push_id, attempt, outcome, and optionally identifier, error and retry_after (seconds).';
    end if;
    select left(r.value::text, 200) into v_bad
    from jsonb_array_elements(results) r
    where jsonb_typeof(r.value) <> 'object'
       or coalesce(r.value ->> 'push_id', '') !~ '^[0-9]{1,18}$' or coalesce(r.value ->> 'attempt', '') !~ '^[0-9]{1,9}$'
       or coalesce(r.value ->> 'outcome', '') not in ('delivered', 'rejected', 'unknown', 'not_applied')
       or coalesce(r.value ->> 'retry_after', '0') !~ '^[0-9]{1,6}([.][0-9]{1,9})?$'
    limit 1;
    if v_bad is not null then
        raise exception using
            errcode = '22023', message = 'a result is not understood', column = 'results', detail = v_bad,
            hint = 'push_id, attempt and identifier are those of claim_pushes(); outcome: delivered, rejected, unknown or not_applied; '
                'retry_after: seconds.';
    end if;
    return array(
        select distinct on ((r.value ->> 'push_id')::bigint) (
               (r.value ->> 'push_id')::bigint, (r.value ->> 'attempt')::integer, r.value ->> 'outcome', left(r.value ->> 'error', 1000),
               (r.value ->> 'retry_after')::numeric * interval '1 second', r.value ->> 'identifier')::push_result
        from jsonb_array_elements(results) r
        order by (r.value ->> 'push_id')::bigint, r.value ->> 'outcome' = 'delivered' desc, (r.value ->> 'attempt')::integer desc);
end
$$;

comment on function _parse_results(jsonb) is
    'The results that settle_pushes() is given, one per push. Raises 22004 for null, 22023 for what is not understood.';
