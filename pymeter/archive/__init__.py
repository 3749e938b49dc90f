"""Old months of the log as Parquet files, and back: sql/archive/ has the page. Needs the extra `parquet`."""
