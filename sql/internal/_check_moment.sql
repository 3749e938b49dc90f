create or replace function _check_moment(parameter text, value timestamptz)
returns void
language plpgsql
immutable
set search_path from current
as $$
begin
    if value is null then
        raise exception using errcode = '22004', message = 'a time is null', column = parameter,
            detail = format('%s is null.', parameter), hint = 'Give an instant; leave the parameter out where it has a default.';
    end if;
    perform _check_time(parameter, value);
end
$$;

comment on function _check_moment(text, timestamptz) is 'Refuses a null (22004), infinite or absurd (22023) time where one is needed.';
