"""Ways to find a ticket."""
