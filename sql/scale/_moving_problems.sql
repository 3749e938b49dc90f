-- Closed for a second is usual, for minutes is not: the command was interrupted, and nothing is recorded for the subject. While a subject is
-- arriving, the other shard records it, and copying the log of a very large one takes hours.
create or replace function _moving_problems(now timestamptz)
returns setof text
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
begin
    return query
        select format('subjects closed for a move for more than five minutes: %s; pymeter shard status names them', count(*))
        from moves m
        where m.state = 'closing' and m.changed_at < _moving_problems.now - interval '5 minutes'
        having count(*) > 0
        union all
        select format('subjects arriving by a move for more than a day: %s; pymeter shard status names them', count(*))
        from moves m
        where m.state = 'arriving' and m.changed_at < _moving_problems.now - interval '24 hours'
        having count(*) > 0;
end
$$;

comment on function _moving_problems(timestamptz) is
    'Returns a text if subjects have been closed by close_home() for more than five minutes, and neither left nor reopened; and one if subjects have '
    'been arriving for more than a day.';
