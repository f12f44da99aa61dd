"""What a training run minimises: the model and a batch to a loss, one file an objective."""
