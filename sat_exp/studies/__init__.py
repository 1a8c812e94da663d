"""What is done with scores: groups of models, where one model lies among others, agreement of two matrices."""
