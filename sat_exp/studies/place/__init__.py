"""Where a new model lies among measured ones."""
