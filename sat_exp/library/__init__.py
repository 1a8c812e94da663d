"""The measurement of the command line for models and images given in Python."""
