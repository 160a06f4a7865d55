"""Reports of runs and studies: tables, sentences, figures, a page."""
