-- Nobody but the owner may call or see anything until it is granted; what was granted stays, and follows its level to new functions.
-- Only what pymeter has installed is touched: the schema may hold other things too.
do $$
begin
    perform _apply_access();
    -- Migrations may have made new sequences.
    perform _align_sequences();
end
$$;
