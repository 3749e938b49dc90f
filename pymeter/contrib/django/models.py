"""No models: the tables are pymeter's. Django sends post_migrate only to apps that have this module."""
