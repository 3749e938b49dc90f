-- depends: 0004-results
-- Members by month: one row holds all hours (or days) of a month in which a member was seen, instead of one row for each of them.

lock table unique_members in access exclusive mode;

create table converted_members as
select case when k.slot is null then u.bucket_start else date_trunc('month', u.bucket_start, 'UTC') end as bucket_start,
       u.subject, u.metric,
       case when k.slot is null then u.bucket else 'month' end as bucket,
       u.member_digest,
       bit_or(case
           when k.slot is null then null
           when u.bucket = k.slot then set_bit(
               repeat('0', k.slots)::bit varying,
               (extract(epoch from u.bucket_start - date_trunc('month', u.bucket_start, 'UTC')) / k.slot_seconds)::int, 1)
           else repeat('0', k.slots)::bit varying
       end) as seen
from unique_members u
join metrics m on m.key = u.metric
cross join lateral (
    select case when 'hour' in (m.period, m.rollup) then 'hour' when 'day' in (m.period, m.rollup) then 'day' end as finest
) f
-- Rows of other kinds stay as they are.
left join (values ('hour', 744, 3600), ('day', 31, 86400)) as k (slot, slots, slot_seconds)
    on k.slot = f.finest and u.bucket in ('hour', 'day', 'month')
where u.bucket in (m.period, m.rollup)
group by 1, 2, 3, 4, 5;

truncate unique_members;
alter table unique_members
    add column seen  bit varying,
    add column added bit varying,
    add constraint hours_and_days_are_bits_of_months check (bucket not in ('hour', 'day')),
    add constraint only_months_have_bits check (seen is null or bucket = 'month' and length(seen) in (31, 744)),
    -- Room on the page for the next version of a row; no index has a column that changes: updates stay HOT.
    set (fillfactor = 70);

insert into unique_members (bucket_start, subject, metric, bucket, member_digest, seen)
select bucket_start, subject, metric, bucket, member_digest, seen
from converted_members
order by subject, metric, bucket, bucket_start, member_digest;
drop table converted_members;

comment on table unique_members is
    'The distinct members of a unique metric: a row for each month in which a member was seen, with a bit for each hour or day of it '
    'if the metric has such buckets, and a row for each bucket of another kind. Derived from the log; rebuild() restores it.';
comment on column unique_members.bucket is
    'The kind of bucket, as in rollups; hour and day have no rows of their own but are bits of the month''s row, which is there also '
    'where the metric''s period is no month.';
comment on column unique_members.seen is
    'The hours (744 bits) or days (31 bits) of the month, UTC, in which the member was seen, the first one first: hours if the period '
    'or the rollup of the metric is hour, else days if one is day, else null.';
comment on column unique_members.added is
    'The bits that the latest change of `seen` has set: tells who set them that they were new. Null while the row is as it was inserted.';

alter type member_drift
    drop attribute missing,
    add attribute stored boolean,
    add attribute logged boolean,
    add attribute unfounded boolean,
    add attribute stored_seen bit varying,
    add attribute logged_seen bit varying;
comment on type member_drift is
    'A row of unique_members that differs from the log: whether there is one, whether the log asks for one, whether it claims more '
    'than the log, and both bit strings.';

create type bucket_key as (subject text, metric text, bucket text, bucket_start timestamptz);
comment on type bucket_key is 'One bucket of a subject and metric.';

create type bucket_member as (
    subject text, metric text, bucket text, bucket_start timestamptz, member_digest bytea, coarse text);
comment on type bucket_member is
    'A member of one bucket of a subject and metric. coarse: the kind of the coarser bucket, where that matters.';
