"""What ensembles of a pool gain, how that goes with how alike their members are, and which to build."""
