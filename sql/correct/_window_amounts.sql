-- Where no statement holds the usage: by how much the invoice of the window changes.
create or replace function _open_amounts(subject text, billed billed_window, pieces effect_piece[])
returns setof effect_amount
language plpgsql
stable
set search_path from current
set jit to off
as $$
#variable_conflict use_column
declare
    v_scope   invoice_scope := _invoice_scope(_open_amounts.subject, billed.since, billed.until, null, null, null);
    v_late    invoice_line[];
    v_basis   invoice_basis;
    v_changes segment_usage[];
    v_before  invoice_line[];
    v_after   invoice_line[];
    v_piece   effect_piece;
    v_amounts effect_amount[] := '{}';
begin
    select p.* into v_scope.part_starts, v_scope.part_weights, v_scope.cycle_weight
    from _cycle_parts(v_scope.subject, v_scope.since, v_scope.until, v_scope.known_at) p;
    v_basis := _invoice_basis(v_scope);
    -- Usage without a price changes nothing.
    v_basis.segments := array(
        select s
        from unnest(v_basis.segments) with ordinality i (plan, item, subscribed_at, since, until, price_version, metric, name, price, currency, bill,
            prorate, tiers_after_change, n)
        cross join lateral (select v_basis.segments[i.n] as s) s
        where i.item is not null
        order by i.n);
    v_basis.usage := array(select u from _segments_usage(v_basis, '{}', null) u);
    v_late := array(select l from _late_invoice_lines(v_scope, true) l);
    v_before := array(select l from _priced_lines(v_basis, v_late, null) l where l.kind = 'total');
    foreach v_piece in array pieces loop
        v_changes := _segment_changes(v_basis.segments, v_piece);
        if v_changes is null then
            v_amounts := v_amounts || (v_piece.effect, null, null)::effect_amount;
            continue;
        end if;
        v_basis.usage := _with_added(v_basis.usage, v_changes);
        v_after := array(select l from _priced_lines(v_basis, v_late, null) l where l.kind = 'total');
        v_amounts := v_amounts || array(
            select (v_piece.effect, a.amount - b.amount, a.currency)::effect_amount
            from unnest(v_after) a join unnest(v_before) b on b.currency = a.currency);
        v_before := v_after;
    end loop;
    return query select a.* from unnest(v_amounts) a;
exception when sqlstate 'UM006' then  -- retention has dropped what the invoice needs
    return query select p.effect, null::numeric, null::text from unnest(pieces) p;
end
$$;

comment on function _open_amounts(text, billed_window, effect_piece[]) is
    'By how much the invoice of a window that no statement holds changes, for each piece of a correction, after the pieces before it.';

-- Where a statement holds the usage: by how much the amount of its late usage changes, as late_usage() shows it.
create or replace function _closed_amounts(subject text, billed billed_window, pieces effect_piece[])
returns setof effect_amount
language plpgsql
stable
set search_path from current
set enable_seqscan to off
set jit to off
as $$
#variable_conflict use_column
declare
    v_header   statements := (select t from statements t where t.statement_id = billed.statement_id);
    v_segments invoice_segment[] := (_statement_basis(v_header, _closed_amounts.subject)).segments;
    v_stored   integer := jsonb_array_length(v_header.basis -> 'segments');
    v_piece    effect_piece;
    v_changes  segment_usage[];
    v_added    segment_usage[];
    v_delta    numeric;
    v_before   late_line;
    v_after    late_line;
begin
    foreach v_piece in array pieces loop
        v_changes := case when v_header.basis is not null then _segment_changes(v_segments, v_piece) end;
        v_delta := _piece_delta(v_header, v_piece);
        if v_changes is null or v_delta is null then
            return next (v_piece.effect, null, null)::effect_amount;
            continue;
        end if;
        v_changes := array(
            select (case when c.segment <= v_stored then c.segment else 0 end, c.event_count, c.quantity, c.combinations)::segment_usage
            from unnest(v_changes) c);
        if v_after.metric is distinct from v_piece.metric then
            v_added := null;
            v_before := (select _with_amount(l) from _late_lines(array[billed.statement_id], v_piece.metric) l);
        end if;
        v_added := case when v_added is null then v_changes else _with_added(v_added, v_changes) end;
        v_after := v_before;
        v_after.delta := trim_scale(v_before.delta + v_delta);
        v_after.amount := null;
        v_after := _with_amount(v_after, v_added);
        return next (v_piece.effect, _amount_of_delta(v_after) - _amount_of_delta(v_before),
                     coalesce(v_after.currency, v_before.currency))::effect_amount;
        v_before := v_after;
    end loop;
end
$$;

comment on function _closed_amounts(text, billed_window, effect_piece[]) is
    'By how much the amount of late usage of a statement changes, for each piece of a correction, after the pieces of its metric before it.';

-- Inlined: no SET, nothing outside pg_catalog. Null: unknown.
create or replace function _amount_of_delta(line late_line)
returns numeric
language sql
immutable parallel safe
as $$
    select case when line.delta = 0 then coalesce(line.amount, 0) else line.amount end
$$;

comment on function _amount_of_delta(late_line) is 'What billing all that is open of a line costs.';

create or replace function _piece_delta(header statements, piece effect_piece)
returns numeric
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
begin
    if (select m.aggregate in ('sum', 'count') from metrics m where m.key = piece.metric) then
        return (select sum(s.quantity) from unnest(piece.steps) s);
    end if;
    return case when (header).part_starts is null and (header).since = piece.since and (header).until = piece.until
                then piece.after - piece.before end;
end
$$;

comment on function _piece_delta(statements, effect_piece) is
    'By how much a piece of a correction changes what the log says of a statement''s metric; null if its rows do not tell.';
