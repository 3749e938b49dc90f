-- depends: 0021-projected-marks
-- Charges as FOCUS 1.2, the FinOps Open Cost and Usage Specification, has them. The columns are named and ordered as there, so that a query of them
-- is a file of that format; times are texts, because the format of a time is a part of the specification.

create type focus_charge as (
    "BilledCost" numeric, "BillingAccountId" text, "BillingAccountName" text, "BillingCurrency" text, "BillingPeriodEnd" text,
    "BillingPeriodStart" text, "ChargeCategory" text, "ChargeClass" text, "ChargeDescription" text, "ChargeFrequency" text, "ChargePeriodEnd" text,
    "ChargePeriodStart" text, "ConsumedQuantity" numeric, "ConsumedUnit" text, "ContractedCost" numeric, "ContractedUnitPrice" numeric,
    "EffectiveCost" numeric, "InvoiceId" text, "InvoiceIssuerName" text, "ListCost" numeric, "ListUnitPrice" numeric, "PricingCategory" text,
    "PricingQuantity" numeric, "PricingUnit" text, "ProviderName" text, "PublisherName" text, "ServiceCategory" text, "ServiceName" text,
    "ServiceSubcategory" text, "SkuId" text, "SkuMeter" text, "SkuPriceDetails" jsonb, "SkuPriceId" text, "x_CorrectedInvoiceId" text,
    "x_IncludedTax" numeric, "x_Item" text, "x_Kind" text, "x_PriceVersion" bigint, "x_StatementHash" text, "x_StatementLine" integer);
comment on type focus_charge is
    'A charge of a statement: a row of FOCUS 1.2. Columns that begin with x_ are not of the specification. x_CorrectedInvoiceId: the statement that '
    'the charge corrects; x_IncludedTax: what the prices contain of a tax whose charge is 0; x_Item, x_Kind, x_PriceVersion, x_StatementLine: of the '
    'line of the statement, as statement() has it; x_StatementHash: as statements() has it.';
