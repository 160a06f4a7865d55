"""Exporters: a folder for each format that a ticket can be shipped in, and `tables` for reports."""
