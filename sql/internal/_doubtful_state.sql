create or replace function _doubtful_state(push planned_push, doubtful_until timestamptz)
returns text
language sql
immutable parallel safe
set search_path from current
as $$
    select case
        when (push).state <> 'planned' or (push).mode = 'last' or doubtful_until is null or (push).bucket_start >= doubtful_until
            then (push).state
        -- The biller's total of the hour says whether it was sent.
        when _bucket_start('hour', (push).stamped_at) = _bucket_start('hour', (push).bucket_start) then 'uncertain'
        else 'held'
    end
$$;

comment on function _doubtful_state(planned_push, timestamptz) is
    'The state that a push begins in: that of its proposal, but uncertain where a lost part of the journal may have sent its usage in the '
    'same hour, and held where that would be in another hour. A value of mode last may be sent twice.';
