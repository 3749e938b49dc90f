"""Charges as the FinOps Open Cost and Usage Specification has them: sql/focus/.

The names of the fields are those of the specification, so that a file of these rows has its columns.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Literal

from pymeter.models.values import Model

FocusCategory = Literal["Usage", "Purchase", "Tax", "Credit", "Adjustment"]


class FocusCharge(Model):
    """A charge of a statement: a row of FOCUS 1.2. Times are ISO 8601 texts in UTC, as in its files."""

    BilledCost: Decimal
    BillingAccountId: str
    BillingAccountName: str | None = None
    BillingCurrency: str
    BillingPeriodEnd: str
    BillingPeriodStart: str
    ChargeCategory: FocusCategory
    ChargeClass: Literal["Correction"] | None = None
    """``Correction``: of a period that was invoiced before."""
    ChargeDescription: str
    ChargeFrequency: Literal["One-Time", "Recurring", "Usage-Based"]
    ChargePeriodEnd: str
    ChargePeriodStart: str
    ConsumedQuantity: Decimal | None = None
    ConsumedUnit: str | None = None
    ContractedCost: Decimal
    ContractedUnitPrice: Decimal | None = None
    EffectiveCost: Decimal
    InvoiceId: str
    InvoiceIssuerName: str
    ListCost: Decimal
    ListUnitPrice: Decimal | None = None
    PricingCategory: Literal["Standard"] | None = None
    PricingQuantity: Decimal | None = None
    PricingUnit: str | None = None
    ProviderName: str
    PublisherName: str
    ServiceCategory: str
    ServiceName: str
    ServiceSubcategory: str
    SkuId: str | None = None
    SkuMeter: str | None = None
    SkuPriceDetails: dict[str, Any] | None = None
    SkuPriceId: str | None = None
    x_CorrectedInvoiceId: str | None = None
    """The statement that the charge corrects."""
    x_IncludedTax: Decimal | None = None
    """What the prices contain of a tax whose charge is 0."""
    x_Item: str | None = None
    x_Kind: str
    x_PriceVersion: int | None = None
    x_StatementHash: str
    x_StatementLine: int
