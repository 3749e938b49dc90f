-- Two would do the same work twice. Erasing a subject takes the lock too, so that none is told of under its text afterwards.
create or replace function _is_only_judge()
returns boolean
language plpgsql
volatile
set search_path from current
as $$
begin
    insert into locks (name) values ('projections') on conflict do nothing;
    perform from locks l where l.name = 'projections' for update skip locked;
    return found;
end
$$;

comment on function _is_only_judge() is
    'Takes the lock of judge_projections() until the transaction ends, unless another transaction has it; returns whether it did.';
