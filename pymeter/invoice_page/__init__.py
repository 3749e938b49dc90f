"""An invoice as one HTML file to print or send: no script, and nothing that is fetched from elsewhere."""

from pymeter.invoice_page.page import Draft, Letter, draft_page, statement_page

__all__ = ["Draft", "Letter", "draft_page", "statement_page"]
