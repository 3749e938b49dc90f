-- Blank is ASCII white space. The vertical tab is written \x0b: before PostgreSQL 16, \v is the letter v.
create or replace function _check_subject(subject text)
returns void
language plpgsql
immutable
set search_path from current
as $$
begin
    if subject is null then
        raise exception using errcode = '22004', message = 'subject is null', column = 'subject',
            hint = 'Name who consumed: an account, a user, an API key.';
    elsif btrim(subject, E' \t\n\r\f\x0b') = '' then
        raise exception using errcode = '22023', message = 'subject is blank', column = 'subject',
            hint = 'Name who consumed: an account, a user, an API key.';
    end if;
end
$$;

comment on function _check_subject(text) is 'Refuses a null (22004) or blank (22023) subject of a question.';
