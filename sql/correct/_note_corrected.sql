create or replace function _note_corrected(steps correction_step[])
returns void
language plpgsql
volatile
set search_path from current
as $$
begin
    null;
end
$$;

comment on function _note_corrected(correction_step[]) is 'Fires and clears the marks of limits that a correction takes usage beyond, or below.';
