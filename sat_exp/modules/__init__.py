"""Lightning modules: training, adversarial generation, evaluation."""
