"""Pieces: trained networks, each computed once and found by whoever needs it.

A piece is named by a hash of its parent's name and of what was done to it, in plain settings. Each
kind of piece is a file here, a record of these settings with a method `begin`, which brings the
model of a `Bench` to where the training begins. A `Store` keeps the pieces that are computed.
"""
