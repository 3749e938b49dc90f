"""The columns of FOCUS 1.2, from the text of the specification: names, types, which may be null, values.

https://focus.finops.org/focus-specification/v1-2/. Nothing here is read from sql/focus/.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["mandatory", "conditional", "recommended"]
Kind = Literal["text", "number", "time", "currency", "object"]


@dataclass(frozen=True)
class Column:
    """What the specification says of one column."""

    level: Level
    kind: Kind = "text"
    nullable: bool = False
    values: tuple[str, ...] = ()


CHARGE_CATEGORIES = ("Usage", "Purchase", "Tax", "Credit", "Adjustment")
PRICING_CATEGORIES = ("Standard", "Dynamic", "Committed", "Other")
SERVICE_CATEGORIES = (
    "AI and Machine Learning", "Analytics", "Business Applications", "Compute", "Databases",
    "Developer Tools", "Multicloud", "Identity", "Integration", "Internet of Things",
    "Management and Governance", "Media", "Migration", "Mobile", "Networking", "Security", "Storage",
    "Web", "Other",
)  # fmt: skip
# Each has one for what fits nowhere else; of the other subcategories, none is used here.
SERVICE_SUBCATEGORIES = {f"Other ({category})": category for category in SERVICE_CATEGORIES}

_TEXT = Column("mandatory")
_NULLABLE = Column("mandatory", nullable=True)
_COST = Column("mandatory", "number")
_TIME = Column("mandatory", "time")
_PRICE = Column("conditional", "number", nullable=True)
_IF = Column("conditional", nullable=True)
COLUMNS = {
    "AvailabilityZone": Column("recommended", nullable=True),
    "BilledCost": _COST,
    "BillingAccountId": _TEXT,
    "BillingAccountName": _NULLABLE,
    "BillingAccountType": Column("conditional"),
    "BillingCurrency": Column("mandatory", "currency"),
    "BillingPeriodEnd": _TIME,
    "BillingPeriodStart": _TIME,
    "CapacityReservationId": _IF,
    "CapacityReservationStatus": _IF,
    "ChargeCategory": Column("mandatory", values=CHARGE_CATEGORIES),
    "ChargeClass": Column("mandatory", nullable=True, values=("Correction",)),
    "ChargeDescription": _NULLABLE,
    "ChargeFrequency": Column("recommended", values=("One-Time", "Recurring", "Usage-Based")),
    "ChargePeriodEnd": _TIME,
    "ChargePeriodStart": _TIME,
    "CommitmentDiscountCategory": _IF,
    "CommitmentDiscountId": _IF,
    "CommitmentDiscountName": _IF,
    "CommitmentDiscountQuantity": _PRICE,
    "CommitmentDiscountStatus": _IF,
    "CommitmentDiscountType": _IF,
    "CommitmentDiscountUnit": _IF,
    "ConsumedQuantity": _PRICE,
    "ConsumedUnit": _IF,
    "ContractedCost": _COST,
    "ContractedUnitPrice": _PRICE,
    "EffectiveCost": _COST,
    "InvoiceId": Column("recommended", nullable=True),
    "InvoiceIssuerName": _TEXT,
    "ListCost": _COST,
    "ListUnitPrice": _PRICE,
    "PricingCategory": Column("conditional", nullable=True, values=PRICING_CATEGORIES),
    "PricingCurrency": Column("conditional", "currency", nullable=True),
    "PricingCurrencyContractedUnitPrice": _PRICE,
    "PricingCurrencyEffectiveCost": _PRICE,
    "PricingCurrencyListUnitPrice": _PRICE,
    "PricingQuantity": Column("mandatory", "number", nullable=True),
    "PricingUnit": _NULLABLE,
    "ProviderName": _TEXT,
    "PublisherName": _TEXT,
    "RegionId": _IF,
    "RegionName": _IF,
    "ResourceId": _IF,
    "ResourceName": _IF,
    "ResourceType": _IF,
    "ServiceCategory": Column("mandatory", values=SERVICE_CATEGORIES),
    "ServiceName": _TEXT,
    "ServiceSubcategory": Column("recommended", values=tuple(SERVICE_SUBCATEGORIES)),
    "SkuId": _IF,
    "SkuMeter": _IF,
    "SkuPriceDetails": Column("conditional", "object", nullable=True),
    "SkuPriceId": _IF,
    "SubAccountId": _IF,
    "SubAccountName": _IF,
    "SubAccountType": _IF,
    "Tags": Column("conditional", "object", nullable=True),
}

# Conditional columns whose condition holds for pymeter: it measures usage, has unit prices in rate cards, and
# prices that are negotiated with one customer. Sub accounts, resources, regions, tags, commitment discounts,
# capacity reservations and a second currency for prices are nothing that it has.
REQUIRED_HERE = {
    "ConsumedQuantity", "ConsumedUnit", "ContractedUnitPrice", "ListUnitPrice", "SkuId", "SkuMeter",
    "SkuPriceDetails", "SkuPriceId",
}  # fmt: skip
RECOMMENDED_HERE = {"ChargeFrequency", "InvoiceId", "ServiceSubcategory"}
