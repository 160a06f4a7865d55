"""Tickets, in which every search ends, and their files."""
