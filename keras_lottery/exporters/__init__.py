"""Exporters: one folder for each format a ticket can be shipped in."""
