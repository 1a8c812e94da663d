"""What the command line answers before a task begins: help, completion, versions, and errors in settings."""
