-- depends: 0009-report-status
-- Where the journal of a biller lives, so that a restored or copied one is told from the one that was used.

create table report_journals (
    biller         text not null,
    salt           uuid not null default gen_random_uuid(),
    server         text,
    adopted_at     timestamptz,
    lost_since     timestamptz,
    doubtful_until timestamptz,

    constraint report_journals_pkey primary key (biller)
);

comment on table report_journals is 'One row per biller: the server that its journal is used on. Created when something is first planned.';
comment on column report_journals.biller is 'A key of billers.';
comment on column report_journals.salt is 'Makes the identifiers of this journal different from those of every other one.';
comment on column report_journals.server is
    'System identifier, timeline, database and table, as _journal_server() returned them; planning and claiming stop where it differs.';
comment on column report_journals.adopted_at is 'When adopt_journal() was last called.';
comment on column report_journals.lost_since is
    'The time of the last thing that the adopted journal knew of: what it has lost was done later.';
comment on column report_journals.doubtful_until is
    'Usage of hours before this may have been sent without this journal''s knowledge; null: everything that was sent is in the journal.';

alter table reported add column pushes bigint not null default 0;
comment on column reported.pushes is 'How many pushes were planned for the bucket, single events not counted: a part of their identifiers.';

alter type push_result add attribute identifier text;

create type report_journal as (biller text, stopped boolean, server text, this_server text, adopted_at timestamptz, doubtful_until timestamptz);
comment on type report_journal is
    'Where a biller''s journal lives. stopped: server, where it was used last, is not this_server, and nothing is planned or claimed. '
    'Usage of hours before doubtful_until is compared with the biller''s totals before it is sent.';

comment on column pushes.identifier is
    'What the biller recognises a repeat by: a digest of what is sent and of the place in the journal, the same on every attempt.';
