create or replace function _next_bucket_start(bucket text, at timestamptz)
returns timestamptz
language plpgsql
immutable parallel safe
set search_path from current
as $$
declare
    v_start timestamptz := _bucket_start(bucket, at);
begin
    return case when v_start = at then at else _bucket_end(bucket, v_start) end;
end
$$;

comment on function _next_bucket_start(text, timestamptz) is
    'The first start of a rollup bucket that is not before an instant.';
