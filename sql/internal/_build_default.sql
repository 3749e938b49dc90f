create or replace function _build_default(months timestamptz[])
returns void
language plpgsql
volatile
set search_path from current
as $$
begin
    create table events_next (like events including defaults including constraints including indexes);
    insert into events_next select * from events_default where _bucket_start('month', at) <> all (months);
    perform _close_relation('events_next');
    comment on table events_next is
        'Takes events of months that have no partition yet, so that none is ever refused; maintain() moves them on.';
end
$$;

comment on function _build_default(timestamptz[]) is
    'Creates the table that is to be the log''s next default partition, with copies of the stray events that are not of these months.';
