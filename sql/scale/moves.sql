create or replace function reopen_home(subject text, run uuid default null)
returns void
language plpgsql
volatile
security definer
set search_path from current
as $$
#variable_conflict use_column
begin
    perform _check_run(reopen_home.subject, reopen_home.run, '{closing}');
    delete from moves m where m.subject = reopen_home.subject;
    update series s set revision = 0 where s.series_id in (select i.series_id from _subject_series(reopen_home.subject, null) i);
end
$$;
comment on function reopen_home(text, uuid) is 'Lets be recorded for a subject again.';

create or replace function leave_home(subject text, run uuid default null)
returns void
language plpgsql
volatile
security definer
set search_path from current
as $$
#variable_conflict use_column
begin
    perform _check_run(leave_home.subject, leave_home.run, '{closing,moved}');
    update moves m set state = 'moved', changed_at = clock_timestamp() where m.subject = leave_home.subject and m.state = 'closing';
end
$$;
comment on function leave_home(text, uuid) is 'What is here of a subject is a sealed copy from now on.';

create or replace function expect_subject(subject text, source text, run uuid default null)
returns void
language plpgsql
volatile
security definer
set search_path from current
as $$
#variable_conflict use_column
begin
    perform _check_run(expect_subject.subject, null, '{arriving,moved}');
    insert into moves (subject, state, other, run) values (expect_subject.subject, 'arriving', expect_subject.source, expect_subject.run)
    on conflict (subject) do update set state = 'arriving', other = excluded.other, run = excluded.run, changed_at = clock_timestamp();
end
$$;
comment on function expect_subject(text, text, uuid) is 'A subject is going to come here.';

create or replace function admit_subject(subject text, run uuid default null)
returns void
language plpgsql
volatile
security definer
set search_path from current
as $$
#variable_conflict use_column
begin
    perform _check_run(admit_subject.subject, admit_subject.run, '{arriving}');
    delete from moves m where m.subject = admit_subject.subject;
end
$$;
comment on function admit_subject(text, uuid) is 'A subject has come, and is at home here.';

create or replace function moves()
returns setof moves
language sql
stable
security definer
set search_path from current
as $$
    select * from moves order by subject
$$;
comment on function moves() is 'Subjects that this meter is not the home of.';

create or replace function _check_home(subject text)
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_move moves;
begin
    select * into v_move from moves m where m.subject = _check_home.subject;
    if found then
        raise exception using errcode = 'UM008', message = 'the subject has moved to another shard',
            detail = v_move.other, hint = 'Read the map of shards again, and repeat the call there.';
    end if;
end
$$;
comment on function _check_home(text) is 'Raises UM008 unless a subject is at home here.';
