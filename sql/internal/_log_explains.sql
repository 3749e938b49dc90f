create or replace function _log_explains(bucket text, bucket_start timestamptz)
returns boolean
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
begin
    return not exists (
        select from log_months m
        where m.month < _bucket_end(_log_explains.bucket, _log_explains.bucket_start)
          and _log_explains.bucket_start < _bucket_end('month', m.month)
          and (m.dropped or not exists (
              select from pg_inherits i join pg_class c on c.oid = i.inhrelid
              where i.inhparent = 'events'::regclass and c.relname = _partition_name(m.month))));
end
$$;

comment on function _log_explains(text, timestamptz) is
    'Whether the log still holds every event of a rollup bucket: false if the partition of one of its months was dropped.';
