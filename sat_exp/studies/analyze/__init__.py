"""Clusters, embedding, hubs, components and sample size of a measured matrix."""
