"""The report: one page that needs no network, each figure as PNG and PDF beside it, and a table in text."""
