"""The human study: made from runs, answered in a browser, aggregated."""
