create or replace function _note_objects()
returns void
language sql
volatile
set search_path from current
as $$
    insert into installed_objects (kind, name)
    select 'function', unnest(nullif(current_setting('pymeter.functions', true), '')::text[])
    union
    select 'relation', unnest(nullif(current_setting('pymeter.relations', true), '')::text[])
    on conflict do nothing
$$;

comment on function _note_objects() is 'Adds to installed_objects what the installer has just installed.';
