"""Masks on a model: who owns them, how they are held, and how they are taken off."""
