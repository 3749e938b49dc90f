-- Inlined: no SET, nothing outside pg_catalog.
create or replace function _overlaps_months(months timestamptz[], bucket_start timestamptz, bucket_end timestamptz)
returns boolean
language sql
immutable parallel safe
as $$
    select months <> '{}' and exists (
        select from unnest(months) m (month)
        where m.month < bucket_end and bucket_start < (m.month at time zone interval '0' + interval '1 month') at time zone interval '0')
$$;

comment on function _overlaps_months(timestamptz[], timestamptz, timestamptz) is
    'Whether a bucket [bucket_start, bucket_end) shares time with one of the months that start at the given instants (UTC).';
