create or replace function _statement_basis(header statements, subject text)
returns invoice_basis
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_basis  invoice_basis := jsonb_populate_record(null::invoice_basis, (header).basis);
    v_scope  invoice_scope := v_basis.scope;
    v_later  text[] := array(select m.key from metrics m where m.key <> all (array(select s.metric from unnest(v_basis.segments) s)) order by 1);
    v_metric text;
begin
    v_scope.subject := _statement_basis.subject;
    v_basis.scope := v_scope;
    foreach v_metric in array v_later loop
        v_basis.segments := v_basis.segments || (null, null, null, v_scope.since, v_scope.until, null, v_metric, null, null, null, null, null,
            null)::invoice_segment;
        v_basis.usage := v_basis.usage || (cardinality(v_basis.segments), 0, 0, null)::segment_usage;
    end loop;
    return v_basis;
end
$$;

comment on function _statement_basis(statements, text) is
    'What a statement was computed from, and its subject; with metrics that it does not have, of which nothing was stated.';
