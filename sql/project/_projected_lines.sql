create or replace function _projected_lines(scope invoice_scope, at timestamptz)
returns setof invoice_projection
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_scope    invoice_scope := scope;
    v_basis    invoice_basis;
    v_so_far   segment_usage[];
    v_late     invoice_line[];
    v_outlooks usage_outlook[];
    v_priced   invoice_line[];
    v_lines    projected_line[] := '{}';
begin
    select p.* into v_scope.part_starts, v_scope.part_weights, v_scope.cycle_weight
    from _cycle_parts(v_scope.subject, v_scope.since, v_scope.until, v_scope.known_at) p;
    v_late := array(select l from _late_invoice_lines(v_scope, true) l);
    v_basis := _with_payments(_invoice_basis(v_scope), v_late);
    v_so_far := array(select u from _segments_usage(_basis_until(v_basis, _projected_lines.at), '{}', null) u);
    v_outlooks := array(select o from _scope_outlooks(v_basis, _projected_lines.at) o);
    for v_case in 0 .. 3 loop
        v_basis.usage := case when v_case = 0 then v_so_far
                              else array(select u from _projected_segments(v_basis, v_so_far, v_outlooks, _projected_lines.at, v_case) u) end;
        v_priced := array(select l from _priced_lines(v_basis, v_late, null) l);
        v_lines := v_lines || array(select (v_case, n, v_priced[n])::projected_line from generate_subscripts(v_priced, 1) n);
    end loop;
    return query select * from _merged_lines(v_basis, v_lines, v_outlooks, _projected_lines.at);
end
$$;

comment on function _projected_lines(invoice_scope, timestamptz) is
    'The lines of project_invoice() for a cycle that is not closed. Raises as project_invoice() does.';

-- What is after the instant is left out: events that were recorded ahead of it, and, in a projection of the past, what came then.
create or replace function _basis_until(basis invoice_basis, at timestamptz)
returns invoice_basis
language plpgsql
immutable
set search_path from current
as $$
declare
    v_basis   invoice_basis := basis;
    v_segment invoice_segment;
begin
    for v_n in 1 .. coalesce(cardinality(basis.segments), 0) loop
        v_segment := basis.segments[v_n];
        v_segment.until := greatest(v_segment.since, least(v_segment.until, _basis_until.at));
        v_basis.segments[v_n] := v_segment;
    end loop;
    return v_basis;
end
$$;

comment on function _basis_until(invoice_basis, timestamptz) is
    'The segments up to an instant; those after it are empty.';

create or replace function _scope_outlooks(basis invoice_basis, at timestamptz)
returns setof usage_outlook
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_scope invoice_scope := basis.scope;
    v_known timestamptz := _known_since(v_scope.subject, _scope_outlooks.at);
begin
    return query
    select o.*
    from (
        select distinct s.metric from unnest(basis.segments) s where s.until > _scope_outlooks.at
    ) s
    join metrics m on m.key = s.metric
    cross join lateral _outlook(m, v_scope.subject, v_scope.since, v_scope.until, _scope_outlooks.at, v_known) o;
end
$$;

comment on function _scope_outlooks(invoice_basis, timestamptz) is
    'What is expected of each metric that has a segment after an instant.';
