-- Of pushes with equal values it makes no difference which are taken for delivered: the earlier ones are. So it is the values that
-- have to be told apart, not the pushes. Beyond 12 there are too many sets to go through, and too many that would fit.
create or replace function _explained_by(push_ids bigint[], amounts numeric[], missing numeric)
returns bigint[]
language sql
immutable
set search_path from current
as $$
    with sets as (
        select array_agg(v.amount order by v.amount, v.push_id) as amounts, array_agg(v.push_id order by v.push_id) as push_ids
        from generate_series(0, case when cardinality(push_ids) <= 12 then (1 << cardinality(push_ids)) - 1 else 0 end) s (members)
        join unnest(push_ids, amounts) with ordinality v (push_id, amount, n) on s.members >> (v.n::integer - 1) & 1 = 1
        group by s.members
        having sum(v.amount) = missing
        union all
        select '{}', '{}' where missing = 0
        union all
        select amounts, push_ids where cardinality(push_ids) > 12 and missing = (select sum(a) from unnest(amounts) a)
    )
    select case when count(distinct amounts) = 1 then min(push_ids) end from sets
$$;

comment on function _explained_by(bigint[], numeric[], numeric) is
    'Which of the pushes with these amounts make up what is missing, if only one set of amounts does; else null.';
