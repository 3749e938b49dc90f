-- The same rules as those of _stated_usage(), without buckets: what tells whether both are right must not share what may be wrong.
create or replace function _logged_statement(
    metric metrics, subject text, header statements, as_of timestamptz, out event_count bigint, out quantity numeric
)
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_metric metrics := _logged_statement.metric;
    v_series integer := _find_series(v_metric.key, _logged_statement.subject);
    v_starts timestamptz[] := array[(header).since];
    v_parts  boolean := (header).part_starts is not null and v_metric.aggregate not in ('sum', 'count');
begin
    if v_parts then
        v_starts := (header).part_starts;
    end if;
    select coalesce(sum(p.event_count), 0)::bigint,
           case when v_parts then _share_of_cycle(sum(p.quantity * (header).part_weights[p.n]), (header).cycle_weight) else sum(p.quantity) end
    into event_count, quantity
    from (
        select s.n, coalesce(l.event_count, 0) as event_count,
               case when v_metric.carry and coalesce(l.event_count, 0) = 0
                    then coalesce(_carried_as_of(v_metric, v_series, v_starts[s.n], as_of), 0)
                    else coalesce(l.quantity, 0) end as quantity
        from generate_subscripts(v_starts, 1) s (n)
        left join _logged_usage(v_metric, v_series, v_starts, (header).until, '-infinity', as_of) l on l.n = s.n
    ) p;
end
$$;

comment on function _logged_statement(metrics, text, statements, timestamptz) is
    'What a statement says of a metric, computed from the log alone, as of a time; infinity: now.';

create or replace function _known_statement(
    metric metrics, subject text, header statements, as_of timestamptz, out event_count bigint, out quantity numeric
)
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
begin
    select l.* into event_count, quantity from _logged_statement(_known_statement.metric, _known_statement.subject, header, as_of) l;
exception when sqlstate 'UM006' then
    event_count := null;
    quantity := null;
end
$$;

comment on function _known_statement(metrics, text, statements, timestamptz) is
    'As _logged_statement(); nulls if retention has dropped events that are needed.';
