create or replace function _check_scope(subject text, metric text)
returns void
language plpgsql
stable
set search_path from current
as $$
begin
    if subject is not null then
        perform _check_subject(subject);
    end if;
    if metric is not null then
        perform _metric(metric);
    end if;
end
$$;

comment on function _check_scope(text, text) is
    'Refuses a blank subject (22023) and an unknown metric (UM001) of verify() and rebuild(); null means all.';
