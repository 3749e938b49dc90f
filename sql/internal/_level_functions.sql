-- The one place that says who may call what: every public function has one level. The last two are not granted by name: own is what
-- read becomes for a role that is bound to subjects, owner is for nobody else, since who could grant could grant himself everything.
create or replace function _level_functions()
returns table (level text, function text)
language sql
immutable parallel safe
as $$
    select l.level, f.function
    from (values
        ('read', array['catalog', 'usage', 'summary', 'series', 'usage_by', 'check_quota', 'subjects', 'events', 'resolve_window',
                       'health']),
        ('write', array['record', 'record_batch', 'known_events']),
        -- What a reporter calls in its loop. Where usage goes, and a person's word on it, is for administrators.
        ('report', array['plan_pushes', 'preview_pushes', 'claim_pushes', 'confirm_push', 'settle_pushes', 'release_pushes', 'uncertain_hours',
                         'settle_hour', 'fail_pushes', 'reconcilable_ranges', 'reconcile_range', 'reconciliation', 'report_status',
                         'report_mappings', 'report_journal', 'pushes']),
        ('admin', array['define_metric', 'retire_metric', 'verify', 'rebuild', 'maintain', 'access']),
        ('admin', array['define_biller', 'report_metric', 'report_subject', 'resolve_push', 'retry_pushes', 'leave_pushes',
                        'adopt_journal']),
        ('own', array['own_usage', 'own_summary', 'own_series', 'own_usage_by', 'own_events']),
        ('owner', array['grant_access', 'revoke_access'])
    ) as l (level, functions)
    cross join lateral unnest(l.functions) as f (function)
$$;

comment on function _level_functions() is
    'The level of every public function: read, write, report, admin, own (read, for a role bound to subjects) or owner (never granted).';
