-- depends: 0003-series
-- The members of unique metrics, by month: one row holds all hours (or days) of a month in which a member was seen.

-- fillfactor leaves room on the page for the next version of a row, and no index has a column that changes: updates stay HOT.
create table unique_members (
    bucket_start  timestamptz not null,
    series_id     integer     not null,
    member_digest uuid        not null,
    bucket        text        collate "C" not null,
    seen          bit varying,
    added         bit varying,

    constraint unique_members_pkey primary key (series_id, bucket, bucket_start, member_digest),
    constraint hours_and_days_are_bits_of_months check (bucket not in ('hour', 'day')),
    constraint only_months_have_bits check (seen is null or bucket = 'month' and length(seen) in (31, 744))
) with (fillfactor = 70);

comment on table unique_members is
    'The distinct members of a unique metric: a row for each month in which a member was seen, with a bit for each hour or day of it '
    'if the metric has such buckets, and a row for each bucket of another kind. Derived from the log; rebuild() restores it.';
comment on column unique_members.bucket_start is 'The first instant of the bucket, as in rollups.';
comment on column unique_members.series_id is 'Who consumed what: a series, of a metric whose aggregate is unique.';
comment on column unique_members.member_digest is
    'The first 128 bits of the member''s SHA-256: short, of one length, and as distinct as the member. The log keeps the text.';
comment on column unique_members.bucket is
    'The kind of bucket, as in rollups; hour and day have no rows of their own but are bits of the month''s row, which is there also '
    'where the metric''s period is no month.';
comment on column unique_members.seen is
    'The hours (744 bits) or days (31 bits) of the month, UTC, in which the member was seen, the first one first: hours if the period '
    'or the rollup of the metric is hour, else days if one is day, else null.';
comment on column unique_members.added is
    'The bits that the latest change of `seen` has set: tells who set them that they were new. Null while the row is as it was inserted.';
