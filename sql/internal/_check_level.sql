create or replace function _check_level(level text, subject text)
returns void
language plpgsql
immutable
set search_path from current
as $$
begin
    if level not in ('read', 'write', 'report', 'admin') then
        raise exception using
            errcode = '22023', message = 'level is not a known word', column = 'level',
            detail = format('level %s.', quote_literal(left(level, 80))), hint = 'Use read, write, report or admin.';
    elsif subject is not null and level is distinct from 'read' then
        raise exception using
            errcode = '22023', message = 'only the level read can be bound to a subject', column = 'subject',
            detail = format('level %s.', coalesce(quote_literal(level), 'null')),
            hint = 'Grant read with a subject, or the level without one.';
    end if;
    if subject is not null then
        perform _check_subject(subject);
        if length(subject) > 512 then
            raise exception using errcode = '22023', message = 'subject is longer than 512 characters', column = 'subject',
                detail = format('subject %s.', quote_literal(left(subject, 80))), hint = 'No event has such a subject.';
        end if;
    end if;
end
$$;

comment on function _check_level(text, text) is
    'Refuses (22023) what grant_access() does not know as a level, a subject where the level is not read, and a blank or long subject.';
