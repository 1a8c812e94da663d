"""Statistics that know nothing of attacks: resampling, rank correlation, clustering, embedding."""
