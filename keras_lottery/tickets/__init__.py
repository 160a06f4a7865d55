"""What a search ends in, and the files it is kept in."""
