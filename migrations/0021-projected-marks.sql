-- depends: 0020-budgets
-- Marks of limits that fire when the usage expected at the end of a period reaches them.

alter table limits add column projected boolean not null default false;
comment on column limits.projected is 'Whether marks also fire, as threshold.projected, on the usage expected at the end of the period.';
create index limits_projected on limits (metric, subject) where projected;

alter type effective_limit add attribute projected boolean;

alter table fired_marks drop constraint kind_is_known;
alter table fired_marks add constraint kind_is_known
    check (kind in ('mark', 'step', 'refused', 'overflow', 'settle', 'correction', 'projected'));
comment on column fired_marks.kind is 'mark: a percentage of the quota; step: a further step beyond it; refused: the first refusal; overflow: the first '
    'event that was counted in spite of the limit; settle: the first settlement of more than was held that did not fit; correction: the first '
    'correction that took usage beyond the limit; projected: a percentage that the expected usage has reached before usage did.';
comment on column fired_marks.mark is 'The percentage (kinds mark and projected), or the number of the step; 0 for the others.';

create table projection_rounds (
    metric        text        collate "C" not null,
    after_subject text        collate "C",
    judged_at     timestamptz,

    constraint projection_rounds_pkey primary key (metric)
);

comment on table projection_rounds is
    'How far judge_projections() has come: a row for each metric that has had a limit with projected marks. Its subjects are judged in their order, '
    'round after round.';
comment on column projection_rounds.metric is 'A key of metrics.';
comment on column projection_rounds.after_subject is 'The subject that was judged last; null: a new round begins.';
comment on column projection_rounds.judged_at is 'When subjects of the metric were last judged; null: never.';

insert into locks (name) values ('projections') on conflict do nothing;
