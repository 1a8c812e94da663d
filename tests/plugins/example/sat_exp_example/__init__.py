"""An example of a plug-in for sat_exp."""
