create or replace function _check_after_statements(subject text, since timestamptz)
returns void
language plpgsql
volatile
set search_path from current
as $$
declare
    v_until timestamptz := _closed_until(_check_after_statements.subject);
begin
    if _check_after_statements.since < v_until then
        raise exception using
            errcode = 'UM004', message = 'a period after that time is closed', column = 'since',
            detail = format('subject %s: closed up to %s.', quote_literal(left(_check_after_statements.subject, 80)),
                            to_char(v_until at time zone interval '0', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')),
            hint = 'Statements are final: pass that time, or a later one, as since.';
    end if;
end
$$;

comment on function _check_after_statements(text, timestamptz) is 'Raises UM004 if the subject has a statement that ends after the instant.';

create or replace function _closed_until(subject text)
returns timestamptz
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    return (
        select max(t.until) from sealed_subjects s join statements t on t.subject_id = s.subject_id where s.subject = _closed_until.subject);
end
$$;

comment on function _closed_until(text) is 'The end of the latest period of a subject that a statement holds; null without one.';

create or replace function _holds_part_of(subject text, since timestamptz, until timestamptz)
returns boolean
language plpgsql
stable
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    return (
        select count(*) > 0
        from (
            select
            from sealed_subjects s
            join statements t on t.subject_id = s.subject_id and t.until > _holds_part_of.since and t.since < _holds_part_of.until
            where s.subject = _holds_part_of.subject
            limit 1
        ) t);
end
$$;

comment on function _holds_part_of(text, timestamptz, timestamptz) is 'Whether a statement of the subject holds a part of [since, until).';
