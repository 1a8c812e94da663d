"""One folder for each study: its computation, figures, findings in words, tables and task."""
